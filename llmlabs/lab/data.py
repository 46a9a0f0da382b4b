"""The data sets of the labs, each loaded offline from a package or from the course's data/ folder."""

import base64
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmlabs.catalogue import find_root

NOVELS = (
    *("sense_and_sensibility", "pride_and_prejudice", "mansfield_park"),
    *("emma", "northanger_abbey", "persuasion"),
)


def data_folder() -> Path:
    """The course's data/: in a grader's box where LLMLABS_DATA says, else below the course's root."""
    if chosen := os.environ.get("LLMLABS_DATA"):
        return Path(chosen)
    return find_root() / "data"


class Digits(NamedTuple):
    """Images of handwritten digits in three disjoint parts.

    Each `*_x` has shape (N, 64): 8x8 images, row by row, pixels in [0, 1], float64.
    Each `*_y` has shape (N,): the digit shown, 0 to 9, int64.
    """

    train_x: NDArray[np.float64]
    train_y: NDArray[np.int64]
    valid_x: NDArray[np.float64]
    valid_y: NDArray[np.int64]
    test_x: NDArray[np.float64]
    test_y: NDArray[np.int64]


def digits(seed: int = 0) -> Digits:
    """Load scikit-learn's 1,797 digit images, split by class: 1,077 for training, 360 each for validation and test.

    The images are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998,
    UCI Machine Learning Repository, https://doi.org/10.24432/C50P49), CC BY 4.0.

    Args:
        seed: which split is drawn; the same seed always gives the same one.
    """
    # scikit-learn takes about a second to import, so only a lab that loads the digits pays for it
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x, y = x / 16.0, y.astype(np.int64)
    train_x, rest_x, train_y, rest_y = train_test_split(x, y, test_size=720, random_state=seed, stratify=y)
    valid_x, test_x, valid_y, test_y = train_test_split(
        rest_x, rest_y, test_size=360, random_state=seed, stratify=rest_y
    )
    return Digits(train_x, train_y, valid_x, valid_y, test_x, test_y)


def austen(title: str) -> str:
    """Load one of Jane Austen's six novels as plain text; data/austen/card.yml describes them.

    Args:
        title: a name of `NOVELS`, such as "emma".

    Returns:
        The text: lines of about 70 characters, an empty line between paragraphs, two before a chapter's heading.

    Raises:
        ValueError: if there is no such novel.
    """
    if title not in NOVELS:
        raise ValueError(f"there is no novel {title!r}; there are {', '.join(NOVELS)}")
    return (data_folder() / "austen" / f"{title}.txt").read_text(encoding="utf-8")


class Vocabulary(NamedTuple):
    """A byte-level vocabulary as tiktoken takes it: the rank of each token's bytes, and the pattern that cuts text."""

    ranks: dict[bytes, int]
    pattern: str


def gpt2_merges() -> str:
    """Load the 50,000 merges of GPT-2's tokenizer, the text of its merges.txt (data/gpt2_vocabulary/card.yml)."""
    return (data_folder() / "gpt2_vocabulary" / "merges.txt").read_text(encoding="utf-8")


def tekken() -> Vocabulary:
    """Load Mistral's multilingual vocabulary of 130,072 tokens; data/tekken_vocabulary/card.yml describes it."""
    folder = data_folder() / "tekken_vocabulary"
    tokens = (folder / "tokens.txt").read_bytes().split()
    ranks = {base64.b64decode(token): rank for rank, token in enumerate(tokens)}
    return Vocabulary(ranks, (folder / "pattern.txt").read_text(encoding="utf-8").removesuffix("\n"))


def interface_translations() -> dict[str, list[str]]:
    """Load the same sentences in 16 languages, by BCP 47 tag; data/interface_translations/card.yml describes them."""
    return {
        path.stem: path.read_text(encoding="utf-8").splitlines()
        for path in sorted((data_folder() / "interface_translations").glob("*.txt"))
        if path.stem != "code"
    }


def sample_code() -> str:
    """Load two modules of Python code, 30 kB; data/interface_translations/card.yml describes them."""
    return (data_folder() / "interface_translations" / "code.txt").read_text(encoding="utf-8")


class Chat(NamedTuple):
    """A conversation of ChatterBot's corpus: what was said in turn, beginning with the user."""

    language: str
    category: str
    turns: list[str]


class LabelledReply(NamedTuple):
    """A prompt and one reply to it, with the label that a reader gave the reply by data/chat_corpus/GUIDE.md.

    `part` is "tune" or "test", `source` "chatterbot" or "smollm2", `label` "keep", "length", "repetition", "refusal" or
    "language".
    """

    part: str
    source: str
    prompt: str
    reply: str
    label: str


def chat_corpus() -> list[Chat]:
    """Load 2,265 conversations in five languages, as faulty as they are; data/chat_corpus/card.yml describes them."""
    return [Chat(**row) for row in _json_lines("chat_corpus", "conversations")]


def labelled_replies() -> list[LabelledReply]:
    """Load 239 replies of people and of SmolLM2, labelled by hand; data/chat_corpus/GUIDE.md is the rule."""
    return [LabelledReply(**row) for row in _json_lines("chat_corpus", "labelled")]


def _json_lines(folder: str, stem: str) -> list[dict[str, Any]]:
    text = (data_folder() / folder / f"{stem}.jsonl").read_text(encoding="utf-8")
    # not splitlines(), which would also cut at rarer separators inside a text
    return [json.loads(line) for line in text.split("\n") if line]


class BankDocuments(NamedTuple):
    """An invented bank's documents and customers' questions, with the documents that answer each.

    `ids`, `titles`, `texts` (title, line end, content), `categories` and `internal` (whether the title says that the
    document is for employees) have one entry a document. `relevant` has a set of documents, by their index, for each of
    `questions`. `vectors` (N, 384) and `question_vectors` (Q, 384) are MiniLM's embeddings, float32 of length 1.
    """

    ids: list[str]
    titles: list[str]
    texts: list[str]
    categories: list[str]
    internal: NDArray[np.bool_]
    vectors: NDArray[np.float32]
    questions: list[str]
    relevant: list[set[int]]
    question_vectors: NDArray[np.float32]


def bank_documents() -> BankDocuments:
    """Load 698 documents and 81 questions with gold labels; data/bank_documents/card.yml describes them."""
    folder = data_folder() / "bank_documents"
    documents, questions = (
        [json.loads(line) for line in (folder / f"{stem}.jsonl").read_text(encoding="utf-8").splitlines()]
        for stem in ("documents", "questions")
    )
    vectors, question_vectors = (np.load(folder / f"{s}.npy").astype(np.float32) for s in ("documents", "questions"))
    ids = [document["id"] for document in documents]
    index = {name: number for number, name in enumerate(ids)}
    return BankDocuments(
        ids=ids,
        titles=[document["title"] for document in documents],
        texts=[f"{document['title']}\n{document['content']}" for document in documents],
        categories=[document["category"] for document in documents],
        internal=np.array(["internal" in document["title"].lower() for document in documents]),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        questions=[question["question"] for question in questions],
        relevant=[{index[name] for name in question["relevant"]} for question in questions],
        question_vectors=question_vectors / np.linalg.norm(question_vectors, axis=1, keepdims=True),
    )
