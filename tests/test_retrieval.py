"""What the lab on semantic search stands on: the encoder, FAISS's results and counts, the plain walk, word vectors."""

from __future__ import annotations

import numpy as np
import pytest

from llmlabs.lab import faiss_indexes, retrieval, word_vectors
from llmlabs.lab.data import bank_documents
from llmlabs.lab.minilm import MiniLM, library_embed

TEXTS = ["Close my account.", "naïve café, 東京", "word " * 400, "What is the fee for a transfer?"]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)


def test_the_encoder_equals_sentence_transformers() -> None:
    own, theirs = MiniLM().embed(TEXTS, batch=3), library_embed(TEXTS)
    assert np.abs(own - theirs).max() < 1e-5
    assert np.abs(MiniLM(dtype=np.float64).embed(TEXTS) - theirs).max() < 1e-5


def test_the_documents_vectors_are_the_encoders() -> None:
    data = bank_documents()
    assert np.abs(library_embed(data.texts[:4]) - data.vectors[:4]).max() < 1e-3  # they are kept in float16
    assert np.abs(library_embed(data.questions[:4]) - data.question_vectors[:4]).max() < 1e-3


def test_static_words_of_the_encoder() -> None:
    words, table = MiniLM().words()
    assert len(words) == len(set(words)) == len(table)
    assert {"bank", "river"} <= set(words)


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean"])
def test_exact_search_fills_empty_places(vectors: np.ndarray, metric: str) -> None:
    allowed = np.arange(300) % 100 == 7
    scores, ids = faiss_indexes.exact_search(vectors[:2], vectors, 5, metric, allowed)
    assert {*ids[0].tolist()} == {7, 107, 207, -1}
    assert (scores[:, 3:] == -np.inf).all()
    assert (np.diff(scores[:, :3]) <= 0).all()


def test_all_lists_and_a_wide_graph_are_exact(vectors: np.ndarray) -> None:
    exact = faiss_indexes.exact_search(vectors[:9], vectors, 5)[1].tolist()
    lists = faiss_indexes.inverted_index(vectors, vectors[:6])
    one, every = faiss_indexes.try_settings(lists, vectors[:9], 5, [1, 6])
    assert every.found == exact
    assert every.compared == 306
    assert one.compared < every.compared
    assert sorted(number for ids in faiss_indexes.members(lists) for number in ids) == [*range(300)]
    graph = faiss_indexes.try_settings(faiss_indexes.graph_index(vectors, 8), vectors[:9], 5, [300])[0]
    assert graph.found == exact


def test_the_plain_walk_on_faisss_graph_finds_what_faiss_finds(vectors: np.ndarray) -> None:
    index = faiss_indexes.graph_index(vectors, 8)
    links, entry = faiss_indexes.bottom_layer(index)
    exact = faiss_indexes.exact_search(vectors[:20], vectors, 10)[1].tolist()
    theirs = faiss_indexes.try_settings(index, vectors[:20], 10, [60])[0]
    own = [retrieval.plain_walk((vectors @ query).tolist(), links, entry, 60) for query in vectors[:20]]
    shares = [
        np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, exact, strict=True)])
        for found in (theirs.found, [ids[:10] for ids, _ in own])
    ]
    assert min(shares) > 0.97
    assert abs(np.mean([compared for _, compared in own]) - theirs.compared) < 30


def test_a_changed_argument_is_named() -> None:
    def spoil(values: list[int]) -> None:
        values.append(1)

    assert retrieval.unchanged(sorted, [2, 1]) == [1, 2]
    with pytest.raises(AssertionError, match="spoil changed an argument"):
        retrieval.unchanged(spoil, [1])


def test_bm25_by_hand() -> None:
    scores = retrieval.library_bm25(["card", "fee"], [["card"] * 2, ["card"] + ["fee"] * 5], k1=1.0, b=1.0)
    assert scores == pytest.approx([0.14586, 0.07293 + 0.53319], abs=1e-5)


def test_numbered_text_and_questions() -> None:
    text = word_vectors.number_words("Man, woman; king! Queen's man", at_least=1)
    assert (text.read, text.vocabulary[0], text.counts.tolist()) == (6, "man", [2, 1, 1, 1, 1])
    assert [text.vocabulary[i] for i in text.tokens] == ["man", "woman", "king", "queen", "s", "man"]
    questions = word_vectors.analogy_questions(["he", "she", "his", "her", "day", "days", "sister", "sisters"])
    assert questions["gender"].tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    assert questions["plural"].shape == (2, 4)
    assert questions["past tense"].shape == (0, 4)


def test_answer_shares() -> None:
    words = ["he", "she", "his", "her"]
    vectors = word_vectors.look_up(words[::-1], np.eye(4), words)

    def answer(known: np.ndarray, a: int, b: int, c: int, k: int, exclude: bool) -> list[int]:
        assert known.tolist() == np.eye(4)[::-1].tolist()
        return [6 - a - b - c] if exclude else [b]

    right, echoes = word_vectors.answer_shares(answer, {"toy": vectors}, words)
    assert right == {("toy", True, "gender"): 1.0, ("toy", False, "gender"): 0.0}
    assert echoes == {("toy", "gender"): 1.0}


def test_three_answers() -> None:
    words = ["man", "king", "woman", "queen", "kings", "lord"]

    def answer(known: np.ndarray, a: int, b: int, c: int, k: int, exclude: bool) -> list[int]:
        assert (known.shape, a, b, c, k) == ((6, 6), 0, 1, 2, 3)
        return [3, 4, 5] if exclude else [1, 3, 4]

    line = word_vectors.three_answers(answer, {"toy": np.eye(6), "twin": np.eye(6)}, words, "man king woman")
    assert line == "man : king as woman : ?  toy: queen, kings, lord; twin: queen, kings, lord"
    line = word_vectors.three_answers(answer, {"toy": np.eye(6)}, words, "man king woman", exclude=False)
    assert line == "man : king as woman : ? (a, b, c allowed)  toy: king, queen, kings"


def test_training_brings_words_of_like_company_together() -> None:
    from llmlabs.lab.reference import semantic_search as reference

    rng = np.random.default_rng(0)
    sides = [["sun", "moon", "star"], ["cup", "plate", "spoon"]]
    text = " ".join(
        " ".join(rng.choice(sides[i % 2], 500)) for i in range(480)
    )  # long runs: most words are thinned out
    numbered = word_vectors.number_words(text, 1)
    pieces = (reference.skipgram_pairs, reference.noise_chances, reference.negative_sampling)
    vectors, losses = word_vectors.train_word_vectors(pieces, numbered, window=2, width=8, epochs=8)
    sun, moon, cup = reference.normalise(word_vectors.look_up(numbered.vocabulary, vectors, ["sun", "moon", "cup"]))
    assert losses[-1] < losses[0]
    assert sun @ moon > sun @ cup + 0.3
