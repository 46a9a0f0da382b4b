"""A small text-to-SQL task: English questions about the bank's documents, and the query that answers each.

The table holds the 695 documents of the nine large categories of `bank_documents`, so that a query can be run and its
result compared; nothing in it is invented here but the wording of the questions.
"""

from __future__ import annotations

import itertools
import sqlite3
from random import Random
from typing import Final, NamedTuple

from llmlabs.lab.data import bank_documents

SCHEMA: Final = "CREATE TABLE documents (title TEXT, topic TEXT, words INTEGER)"
UNSEEN: Final = ("savings accounts", "business credit cards")
"""Topics that only held-out questions ask about."""

# wordings of a question, its query, and what may stand for {slot}
_FORMS: Final[tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...]] = (
    (
        ("How many documents are about {topic}?", "Count the documents on {topic}."),
        "SELECT COUNT(*) FROM documents WHERE topic = '{topic}'",
        ("",),
    ),
    (
        ("How many documents on {topic} have more than {slot} words?",),
        "SELECT COUNT(*) FROM documents WHERE topic = '{topic}' AND words > {slot}",
        ("100", "150", "200"),
    ),
    (
        ("How many documents on {topic} mention {slot} in the title?",),
        "SELECT COUNT(*) FROM documents WHERE topic = '{topic}' AND title LIKE '%{slot}%'",
        ("fees", "limits", "account"),
    ),
    (
        ("What is the longest document about {topic}?", "Name the longest document on {topic}."),
        "SELECT title FROM documents WHERE topic = '{topic}' ORDER BY words DESC LIMIT 1",
        ("",),
    ),
    (
        ("What is the shortest document about {topic}?", "Name the shortest document on {topic}."),
        "SELECT title FROM documents WHERE topic = '{topic}' ORDER BY words LIMIT 1",
        ("",),
    ),
    (
        ("How long is a document about {topic} on average?", "What is the mean length of documents on {topic}?"),
        "SELECT AVG(words) FROM documents WHERE topic = '{topic}'",
        ("",),
    ),
)


class Question(NamedTuple):
    """A question in English and the query that answers it."""

    text: str
    sql: str


def bank_database() -> sqlite3.Connection:
    """The table `documents` of `SCHEMA` in memory."""
    bank = bank_documents()
    rows = [
        (title, category.replace("_", " "), len(text.split()))
        for title, category, text in zip(bank.titles, bank.categories, bank.texts, strict=True)
        if bank.categories.count(category) > 2
    ]
    connection = sqlite3.connect(":memory:")
    connection.execute(SCHEMA)
    connection.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)
    return connection


def bank_questions() -> tuple[list[Question], list[Question]]:
    """(Questions to train on, held-out questions), in an order that is always the same.

    A held-out question asks about a topic of `UNSEEN`, which no question to train on does.
    """
    rows = bank_database().execute("SELECT DISTINCT topic FROM documents ORDER BY topic")
    seen: list[Question] = []
    held_out: list[Question] = []
    for (topic,) in rows:
        for wordings, sql, slots in _FORMS:
            for wording, slot in itertools.product(wordings, slots):
                question = Question(wording.format(topic=topic, slot=slot), sql.format(topic=topic, slot=slot))
                (held_out if topic in UNSEEN else seen).append(question)
    for questions in (seen, held_out):
        Random(0).shuffle(questions)
    return seen, held_out


def rows_of(connection: sqlite3.Connection, query: str) -> list[tuple[object, ...]] | None:
    """The rows that a query gives, or None if SQLite refuses it."""
    try:
        return connection.execute(query).fetchall()
    except sqlite3.Error:
        return None
