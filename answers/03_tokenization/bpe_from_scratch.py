# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# Known answers to the exercises of `bpe_from_scratch`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import codecs
import heapq
import unicodedata
from collections import Counter, defaultdict
from itertools import pairwise

import regex

from llmlabs.lab.reference import bpe_from_scratch as reference


# %% exercise="bpe-characters" kind="wrong" name="code points taken for what a reader sees" fails="bpe-characters-example" says="an accent belongs to its letter"
def lengths(text):
    return len(regex.findall(r"\X", text)), len(text), len(text.encode("utf-8"))


def changed_by(form, text):
    forms = {cluster: unicodedata.normalize(form, cluster) for cluster in text}
    return {before: after for before, after in forms.items() if before != after}


# %% exercise="bpe-characters" kind="wrong" name="clusters counted as code points" fails="bpe-characters-example" says="clusters, code points, bytes"
def lengths(text):
    return len(text), len(text), len(text.encode("utf-8"))


def changed_by(form, text):
    forms = {cluster: unicodedata.normalize(form, cluster) for cluster in regex.findall(r"\X", text)}
    return {before: after for before, after in forms.items() if before != after}


# %% exercise="bpe-characters" kind="wrong" name="bytes of UTF-16" fails="bpe-characters-example" says="clusters, code points, bytes"
def lengths(text):
    return len(regex.findall(r"\X", text)), len(text), len(text.encode("utf-16"))


def changed_by(form, text):
    forms = {cluster: unicodedata.normalize(form, cluster) for cluster in regex.findall(r"\X", text)}
    return {before: after for before, after in forms.items() if before != after}


# %% exercise="bpe-characters" kind="wrong" name="accents counted by taking marks away" fails="bpe-characters-example" says="clusters, code points, bytes"
def lengths(text):
    return len([c for c in text if not unicodedata.combining(c)]), len(text), len(text.encode("utf-8"))


def changed_by(form, text):
    forms = {cluster: unicodedata.normalize(form, cluster) for cluster in regex.findall(r"\X", text)}
    return {before: after for before, after in forms.items() if before != after}


# %% exercise="bpe-characters" kind="wrong" name="always NFC" fails="bpe-characters-properties" says="this form?"
def lengths(text):
    return len(regex.findall(r"\X", text)), len(text), len(text.encode("utf-8"))


def changed_by(form, text):
    forms = {cluster: unicodedata.normalize("NFC", cluster) for cluster in regex.findall(r"\X", text)}
    return {before: after for before, after in forms.items() if before != after}


# %% exercise="bpe-characters" kind="wrong" name="returns what does not change as well" fails="bpe-characters-example" says="NFC of"
def lengths(text):
    return len(regex.findall(r"\X", text)), len(text), len(text.encode("utf-8"))


def changed_by(form, text):
    return {cluster: unicodedata.normalize(form, cluster) for cluster in regex.findall(r"\X", text)}


# %% exercise="bpe-characters" kind="wrong" name="the pairs the wrong way round" fails="bpe-characters-example" says="NFC of"
def lengths(text):
    return len(regex.findall(r"\X", text)), len(text), len(text.encode("utf-8"))


def changed_by(form, text):
    forms = {cluster: unicodedata.normalize(form, cluster) for cluster in regex.findall(r"\X", text)}
    return {after: before for before, after in forms.items() if before != after}


# %% exercise="bpe-characters" kind="wrong" name="an unknown form changes nothing" fails="bpe-characters-properties" says="'NFX' should raise ValueError"
def lengths(text):
    return len(regex.findall(r"\X", text)), len(text), len(text.encode("utf-8"))


def changed_by(form, text):
    if form not in ("NFC", "NFD", "NFKC", "NFKD"):
        return {}
    forms = {cluster: unicodedata.normalize(form, cluster) for cluster in regex.findall(r"\X", text)}
    return {before: after for before, after in forms.items() if before != after}


# %% exercise="bpe-characters" kind="wrong" name="the answers of the worked example" fails="bpe-characters-example" says="clusters, code points, bytes"
def lengths(text):
    return 2, 3, 5


def changed_by(form, text):
    return {"e\u0301": "\u00e9"}


# %% exercise="bpe-characters" kind="wrong" name="accents only: base and combining marks" fails="bpe-characters-properties" says="whole grapheme clusters"
def lengths(text):
    return len(regex.findall(r"\X", text)), len(text), len(text.encode("utf-8"))


def changed_by(form, text):
    forms = {cluster: unicodedata.normalize(form, cluster) for cluster in regex.findall(r"\P{M}\p{M}*", text)}
    return {before: after for before, after in forms.items() if before != after}


# %% exercise="bpe-characters" kind="right" name="a loop with finditer that prints"
def lengths(text):
    clusters = 0
    for match in regex.finditer(r"\X", text):
        print("cluster", ascii(match.group()))
        clusters += 1
    return (clusters, sum(1 for _ in text), sum(len(c.encode()) for c in text))


def changed_by(form, text):
    changes = {}
    for match in regex.finditer(r"\X", text):
        if not unicodedata.is_normalized(form, match.group()):
            changes[match.group()] = unicodedata.normalize(form, match.group())
    return changes


# %% exercise="bpe-characters" kind="right" name="bytes by the size of code points, with a warning"
import warnings


def lengths(text):
    warnings.warn("counting")
    sizes = [1 + (ord(c) > 0x7F) + (ord(c) > 0x7FF) + (ord(c) > 0xFFFF) for c in text]
    return len(regex.findall(r"\X", text)), len(sizes), sum(sizes)


def changed_by(form, text):
    found = Counter(regex.findall(r"\X", text))
    return {c: unicodedata.normalize(form, c) for c in found if unicodedata.normalize(form, c) != c}


# %% exercise="bpe-pieces" kind="wrong" name="the space stays with the word before it" fails="bpe-pieces-example" says="compare the rules"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)|\p{L}+ ?|\p{N}+ ?|[^\s\p{L}\p{N}]+ ?|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="white space is thrown away" fails="bpe-pieces-example" says="compare the rules"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="all white space in one piece" fails="bpe-pieces-example" says="compare the rules"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="a group that findall returns" fails="bpe-pieces-example" says="compare the rules"
def pretokenise(text):
    pattern = r"'([stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="letters and digits together" fails="bpe-pieces-properties" says="numerals apart from letters?"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?[\p{L}\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="only the digits 0 to 9" fails="bpe-pieces-properties" says="numerals apart from letters?"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?[0-9]+| ?[^\s\p{L}0-9]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="\w for letters" fails="bpe-pieces-properties" says="numerals apart from letters?"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?\w+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="marks taken for letters" fails="bpe-pieces-properties" says="marks are no letters?"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="endings in capitals too" fails="bpe-pieces-properties" says="no endings in capitals?"
def pretokenise(text):
    pattern = r"'(?i:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="endings last" fails="bpe-pieces-example" says="compare the rules"
def pretokenise(text):
    pattern = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|'(?:[stmd]|re|ve|ll)|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="the curly apostrophe too" fails="bpe-pieces-properties" says="expected"
def pretokenise(text):
    pattern = r"['\u2019](?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="endings without ll" fails="bpe-pieces-example" says="compare the rules"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="any white space joins the next word, not only a space" fails="bpe-pieces-example" says="compare the rules"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)|\s?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="counts each piece once" fails="bpe-pieces-example" says="'no, no, no'"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return {piece.encode("utf-8"): 1 for piece in pretokenise(text)}


# %% exercise="bpe-pieces" kind="wrong" name="counts text, not bytes" fails="bpe-pieces-example" says="'no, no, no'"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece for piece in pretokenise(text))


# %% exercise="bpe-pieces" kind="wrong" name="counts words split at spaces" fails="bpe-pieces-example" says="'no, no, no'"
def pretokenise(text):
    pattern = r"'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text)


def count_pieces(text):
    return Counter(piece.encode("utf-8") for piece in text.split())


# %% exercise="bpe-pieces" kind="wrong" name="the answer of the worked example" fails="bpe-pieces-example" says="compare the rules"
def pretokenise(text):
    return ["I", "'ll", " pay", " ", " £", "20", "!", "\n"]


def count_pieces(text):
    return {b"no": 1, b",": 2, b" no": 2}


# %% exercise="bpe-pieces" kind="right" name="GPT-2's pattern as published, and a loop that prints"
def pretokenise(text):
    pattern = regex.compile(r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""")
    found = [match.group() for match in pattern.finditer(text)]
    print(len(found), "pieces")
    return found


def count_pieces(text):
    counts = {}
    for piece in pretokenise(text):
        key = piece.encode()
        if key not in counts:
            counts[key] = 0
        counts[key] += 1
    return counts


# %% exercise="bpe-pieces" kind="right" name="by hand, character by character"
def pretokenise(text):
    def kind(c):
        if c.isspace():
            return "space"
        category = unicodedata.category(c)[0]
        return category if category in "LN" else "other"

    pieces, i = [], 0
    while i < len(text):
        ending = next((e for e in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d") if text.startswith(e, i)), None)
        if ending:
            pieces.append(ending)
            i += len(ending)
            continue
        start = i + (text[i] == " " and i + 1 < len(text) and kind(text[i + 1]) != "space")
        end = start
        while end < len(text) and kind(text[end]) == kind(text[start]):
            end += 1
        if kind(text[start]) == "space" and end < len(text) and end - start > 1:
            end -= 1
        pieces.append(text[i:end])
        i = end
    return pieces


def count_pieces(text):
    return dict(Counter(map(str.encode, pretokenise(text))))


# %% exercise="bpe-train" kind="wrong" name="ignores how often a word occurs" fails="bpe-train-example" says="5 times [1, 1, 1]"
def count_pairs(words):
    counts = {}
    for ids, _ in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="overlaps counted once" fails="bpe-train-example" says="5 times [1, 1, 1]"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        previous = None
        for pair in pairwise(ids):
            if pair == previous:
                previous = None
                continue
            previous = pair
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="of equals the first one that occurs" fails="bpe-train-example" says="of equals the smallest pair"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = max(counts, key=counts.get)
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="of equals the largest" fails="bpe-train-example" says="of equals the smallest pair"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="the rarest pair" fails="bpe-train-example" says="most frequent first"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="of equals the smaller second token" fails="bpe-train-properties" says="of equals the smallest?"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair[::-1]))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="merge overlaps" fails="bpe-train-example" says="merging (1, 1)"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="merge loses the last token" fails="bpe-train-example" says="merging (1, 1)"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids) - 1:
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="merge replaces the first occurrence only" fails="bpe-train-example" says="of equals the smallest pair"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair and new_id not in merged
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="merge from right to left" fails="bpe-train-example" says="merging (1, 1)"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    ids, pair = ids[::-1], pair[::-1]
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged[::-1]


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="merge changes its argument" fails="bpe-train-properties" says="changed its argument"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    i = 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="new tokens from 257 on" fails="bpe-train-example" says="merges of"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 257 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="one merge too many" fails="bpe-train-example" says="merges of"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) <= n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="min() of nothing when no pair is left" fails="bpe-train-properties" says=""
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges:
        counts = count_pairs(words)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="stops when every pair is rare" fails="bpe-train-example" says="merges of"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        if counts[best] < 2:
            break
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="counts once, at the beginning" fails="bpe-train-example" says="most frequent first"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    counts = count_pairs(words)
    while len(merges) < n_merges and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        del counts[best]
    return merges


# %% exercise="bpe-train" kind="wrong" name="each piece once, whatever its count" fails="bpe-train-example" says="most frequent first"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(piece), 1) for piece in pieces]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="pairs across pieces" fails="bpe-train-example" says="most frequent first"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    words = [(list(b"".join(piece * n for piece, n in pieces.items())), 1)]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="wrong" name="the worked example by heart" fails="bpe-train-example" says="merges of"
def count_pairs(words):
    counts = {}
    for ids, occurrences in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + occurrences
    return counts


def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if found else ids[i])
        i += 2 if found else 1
    return merged


def train(pieces, n_merges):
    if True:
        return dict([*{(101, 115): 256, (256, 116): 257, (108, 111): 258, (258, 119): 259}.items()][:n_merges])
    words = [(list(piece), occurrences) for piece, occurrences in pieces.items()]
    merges = {}
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = 256 + len(merges)
        words = [(merge(ids, best, merges[best]), occurrences) for ids, occurrences in words]
    return merges


# %% exercise="bpe-train" kind="right" name="a Counter, a for loop, and progress printed to stderr"
import sys


def count_pairs(words):
    counts = Counter()
    for ids, n in words:
        for i in range(1, len(ids)):
            counts[ids[i - 1], ids[i]] += n
    return counts


def merge(ids, pair, new_id):
    out = []
    skip = False
    for i, token in enumerate(ids):
        if skip:
            skip = False
        elif i + 1 < len(ids) and (token, ids[i + 1]) == tuple(pair):
            out.append(new_id)
            skip = True
        else:
            out.append(token)
    return out


def train(pieces, n_merges):
    words = [([*piece], n) for piece, n in pieces.items()]
    merges = {}
    for number in range(n_merges):
        counts = count_pairs(words)
        if not counts:
            break
        most = max(counts.values())
        best = min(pair for pair, n in counts.items() if n == most)
        merges[best] = 256 + number
        words = [(merge(ids, best, 256 + number), n) for ids, n in words]
        print("merge", number, best, file=sys.stderr)
    return merges


# %% exercise="bpe-train" kind="right" name="sorted pairs, and text replaced in strings"
def count_pairs(words):
    counts = defaultdict(int)
    for ids, n in words:
        for left, right in pairwise(ids):
            counts[(left, right)] += n
    return dict(counts)


def merge(ids, pair, new_id):
    return [ord(c) for c in "".join(map(chr, ids)).replace(chr(pair[0]) + chr(pair[1]), chr(new_id))]


def train(pieces, n_merges):
    words = [(list(piece), n) for piece, n in pieces.items()]
    merges = {}
    new_id = 256
    while new_id < 256 + n_merges:
        ranking = sorted((-n, pair) for pair, n in count_pairs(words).items())
        if not ranking:
            return merges
        best = ranking[0][1]
        merges[best] = new_id
        words = [(merge(ids, best, new_id), n) for ids, n in words]
        new_id += 1
    return merges


# %% exercise="bpe-encode" kind="wrong" name="the longest token that matches" fails="bpe-encode-example" says="not the leftmost or the longest?"
def encode_piece(piece, merges):
    tokens = {bytes([byte]): byte for byte in range(256)}
    contents = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        contents[new_id] = contents[left] + contents[right]
        tokens[contents[new_id]] = new_id
    ids, i = [], 0
    while i < len(piece):
        end = max(end for end in range(i + 1, len(piece) + 1) if piece[i:end] in tokens)
        ids.append(tokens[piece[i:end]])
        i = end
    return ids


def encode(text, merges):
    return [token for piece in reference.pretokenise(text) for token in encode_piece(piece.encode("utf-8"), merges)]


# %% exercise="bpe-encode" kind="wrong" name="the leftmost pair first" fails="bpe-encode-example" says="not the leftmost or the longest?"
def encode_piece(piece, merges):
    ids = list(piece)
    while candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = candidates[0]
        ids = reference.merge(ids, first, merges[first])
    return ids


def encode(text, merges):
    return [token for piece in reference.pretokenise(text) for token in encode_piece(piece.encode("utf-8"), merges)]


# %% exercise="bpe-encode" kind="wrong" name="the merge learned last first" fails="bpe-encode-example" says="smallest new token first"
def encode_piece(piece, merges):
    ids = list(piece)
    while candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = max(candidates, key=lambda pair: merges[pair])
        ids = reference.merge(ids, first, merges[first])
    return ids


def encode(text, merges):
    return [token for piece in reference.pretokenise(text) for token in encode_piece(piece.encode("utf-8"), merges)]


# %% exercise="bpe-encode" kind="wrong" name="only one merge" fails="bpe-encode-example" says="with"
def encode_piece(piece, merges):
    ids = list(piece)
    if candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = min(candidates, key=lambda pair: merges[pair])
        ids = reference.merge(ids, first, merges[first])
    return ids


def encode(text, merges):
    return [token for piece in reference.pretokenise(text) for token in encode_piece(piece.encode("utf-8"), merges)]


# %% exercise="bpe-encode" kind="wrong" name="the smallest pair, not the smallest new token" fails="bpe-encode-example" says="smallest new token first"
def encode_piece(piece, merges):
    ids = list(piece)
    while candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = min(candidates)
        ids = reference.merge(ids, first, merges[first])
    return ids


def encode(text, merges):
    return [token for piece in reference.pretokenise(text) for token in encode_piece(piece.encode("utf-8"), merges)]


# %% exercise="bpe-encode" kind="wrong" name="each merge only once, in the order of the dict" fails="bpe-encode-example" says="with"
def encode_piece(piece, merges):
    ids = list(piece)
    for pair, new_id in reversed(merges.items()):
        ids = reference.merge(ids, pair, new_id)
    return ids


def encode(text, merges):
    return [token for piece in reference.pretokenise(text) for token in encode_piece(piece.encode("utf-8"), merges)]


# %% exercise="bpe-encode" kind="wrong" name="no pre-tokenisation" fails="bpe-encode-properties" says="cut into pieces?"
def encode_piece(piece, merges):
    ids = list(piece)
    while candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = min(candidates, key=lambda pair: merges[pair])
        ids = reference.merge(ids, first, merges[first])
    return ids


def encode(text, merges):
    return encode_piece(text.encode("utf-8"), merges)


# %% exercise="bpe-encode" kind="wrong" name="code points in place of bytes" fails="bpe-encode-properties" says="UTF-8?"
def encode_piece(piece, merges):
    ids = list(piece)
    while candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = min(candidates, key=lambda pair: merges[pair])
        ids = reference.merge(ids, first, merges[first])
    return ids


def encode(text, merges):
    return [token for piece in reference.pretokenise(text) for token in encode_piece([ord(c) for c in piece], merges)]


# %% exercise="bpe-encode" kind="wrong" name="Latin-1, what does not fit is dropped" fails="bpe-encode-properties" says="UTF-8?"
def encode_piece(piece, merges):
    ids = list(piece)
    while candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = min(candidates, key=lambda pair: merges[pair])
        ids = reference.merge(ids, first, merges[first])
    return ids


def encode(text, merges):
    return [
        token
        for piece in reference.pretokenise(text)
        for token in encode_piece(piece.encode("latin-1", errors="ignore"), merges)
    ]


# %% exercise="bpe-encode" kind="wrong" name="removes merges that are used up" fails="bpe-encode-properties" says="changed the merges"
def encode_piece(piece, merges):
    ids = list(piece)
    while candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = min(candidates, key=lambda pair: merges[pair])
        ids = reference.merge(ids, first, merges.pop(first))
    return ids


def encode(text, merges):
    return [token for piece in reference.pretokenise(text) for token in encode_piece(piece.encode("utf-8"), merges)]


# %% exercise="bpe-encode" kind="wrong" name="bytes without any merge" fails="bpe-encode-example" says="with"
def encode_piece(piece, merges):
    return list(piece)


def encode(text, merges):
    return list(text.encode())


# %% exercise="bpe-encode" kind="wrong" name="split at white space" fails="bpe-encode-example" says="'ab ab'"
def encode_piece(piece, merges):
    ids = list(piece)
    while candidates := [pair for pair in pairwise(ids) if pair in merges]:
        first = min(candidates, key=lambda pair: merges[pair])
        ids = reference.merge(ids, first, merges[first])
    return ids


def encode(text, merges):
    return [token for piece in text.split() for token in encode_piece(piece.encode("utf-8"), merges)]


# %% exercise="bpe-encode" kind="right" name="one occurrence at a time, the leftmost, and it prints"
def encode_piece(piece, merges):
    ids = list(piece)
    while True:
        best, where = None, -1
        for i in range(len(ids) - 1):
            new_id = merges.get((ids[i], ids[i + 1]))
            if new_id is not None and (best is None or new_id < best):
                best, where = new_id, i
        if best is None:
            return ids
        ids[where : where + 2] = [best]


def encode(text, merges):
    print("encoding", len(text), "characters")
    out = []
    for piece in reference.pretokenise(text):
        out.extend(encode_piece(piece.encode(), merges))
    return out


# %% exercise="bpe-encode" kind="right" name="with infinity as the rank of a pair that is no merge"
def encode_piece(piece, merges):
    ids = [int(byte) for byte in piece]
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda p: merges.get(p, float("inf")))
        if pair not in merges:
            break
        ids = reference.merge(ids, pair, merges[pair])
    return ids


def encode(text, merges):
    ids = []
    for piece in reference.pretokenise(text):
        ids += encode_piece(piece.encode(), merges)
    return ids


# %% exercise="bpe-decode" kind="wrong" name="each token decoded alone" fails="bpe-decode-example" says="join all bytes, then decode"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return "".join(tokens[token].decode("utf-8", errors="replace") for token in ids)


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="what is not UTF-8 is left out" fails="bpe-decode-example" says="join all bytes"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="ignore")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="strict decoding fails" fails="bpe-decode-example" says=""
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="Latin-1" fails="bpe-decode-example" says="join all bytes"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("latin-1")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="KeyError for an unknown token" fails="bpe-decode-properties" says=""
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="unknown tokens are skipped" fails="bpe-decode-properties" says="999 should raise ValueError"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    ids = [token for token in ids if token in tokens]
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="right part first" fails="bpe-decode-example" says="tokens 257 and 255"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[right] + tokens[left]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="bytes as text" fails="bpe-decode-example" says="tokens 257 and 255"
def vocabulary(merges):
    tokens = {byte: chr(byte).encode() for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="ASCII only" fails="bpe-decode-example" says=""
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(128)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=i == len(ids)) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="the stream shows halves of characters" fails="bpe-decode-example" says="one by one"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    return [tokens[token].decode("utf-8", errors="replace") for token in ids]


# %% exercise="bpe-decode" kind="wrong" name="the stream forgets what is left at the end" fails="bpe-decode-example" says="one by one"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=False) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="the stream is final at every token" fails="bpe-decode-example" says="one by one"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(tokens[token], final=True) for i, token in enumerate(ids, 1)]


# %% exercise="bpe-decode" kind="wrong" name="the stream waits until everything can be read" fails="bpe-decode-properties" says="shown at once?"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    shown, held = [], b""
    for token in ids:
        held += tokens[token]
        try:
            shown.append(held.decode("utf-8"))
            held = b""
        except UnicodeDecodeError:
            shown.append("")
    if held:
        shown[-1] = held.decode("utf-8", errors="replace")
    return shown


# %% exercise="bpe-decode" kind="wrong" name="after a broken byte the stream shows nothing until the last token" fails="bpe-decode-example" says="held back only as long as needed?"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    shown, held = [], b""
    for token in ids:
        held += tokens[token]
        try:
            text, held = held.decode("utf-8"), b""
        except UnicodeDecodeError as error:
            text, held = held[: error.start].decode("utf-8"), held[error.start :]
        shown.append(text)
    if held:
        shown[-1] += held.decode("utf-8", errors="replace")
    return shown


# %% exercise="bpe-decode" kind="wrong" name="the stream shows all with the last token" fails="bpe-decode-example" says="one by one"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    return [""] * (len(ids) - 1) + [decode(ids, tokens)] if ids else []


# %% exercise="bpe-decode" kind="wrong" name="the stream tells everything so far" fails="bpe-decode-example" says="one by one"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    return [decode(ids[: i + 1], tokens).rstrip("\ufffd") for i in range(len(ids))]


# %% exercise="bpe-decode" kind="wrong" name="an extra string at the end" fails="bpe-decode-example" says="one by one"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


def decode_stream(ids, tokens):
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [*(decoder.decode(tokens[token]) for token in ids), decoder.decode(b"", final=True)]


# %% exercise="bpe-decode" kind="right" name="the stream as differences of prefixes, with a log"
def vocabulary(merges):
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for (left, right), new_id in merges.items():
        tokens[new_id] = tokens[left] + tokens[right]
    return tokens


def decode(ids, tokens):
    if unknown := [token for token in ids if token not in tokens]:
        raise ValueError(f"no such tokens: {unknown}")
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")


import logging


def decode_stream(ids, tokens):
    logging.getLogger("lab").warning("streaming %d tokens", len(ids))
    shown, result, held = "", [], b""
    for i, token in enumerate(ids):
        held += tokens[token]
        complete = len(held)
        for back in range(1, min(3, len(held)) + 1):
            lead = held[-back]
            if lead >= 0xC0:
                needed = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
                if needed > back:
                    complete = len(held) - back
                break
            if lead < 0x80:
                break
        if i == len(ids) - 1:
            complete = len(held)
        text = held[:complete].decode("utf-8", errors="replace")
        result.append(text[len(shown) :])
        shown = text
    return result


# %% exercise="bpe-decode" kind="right" name="recursion for the vocabulary, and StreamReader for the stream"
def vocabulary(merges):
    pairs = {new_id: pair for pair, new_id in merges.items()}

    def content(token):
        return bytes((token,)) if token < 256 else content(pairs[token][0]) + content(pairs[token][1])

    return {token: content(token) for token in [*range(256), *pairs]}


def decode(ids, tokens):
    joined = bytearray()
    for token in ids:
        if token not in tokens:
            raise ValueError(token)
        joined += tokens[token]
    return str(joined, "utf-8", "replace")


def decode_stream(ids, tokens):
    print("one after the other")
    decoder = codecs.lookup("utf-8").incrementaldecoder("replace")
    shown = [decoder.decode(tokens[token]) for token in ids]
    if shown:
        shown[-1] += decoder.decode(b"", True)
    return shown


# %% exercise="bpe-special" kind="wrong" name="special tokens always recognised" fails="bpe-special-example" says="one number if allowed, else plain text"
def encode_special(text, merges, special, allowed=None):
    allowed = set(special)
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="all allowed if nothing is said" fails="bpe-special-example" says="one number if allowed, else plain text"
def encode_special(text, merges, special, allowed=None):
    allowed = set(special) if allowed is None else allowed
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="special tokens never recognised" fails="bpe-special-example" says="one number if allowed, else plain text"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if False else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="not escaped in the pattern" fails="bpe-special-properties" says="escaped in the pattern"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(token for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="the shortest first" fails="bpe-special-properties" says="the longest"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="the special tokens themselves are lost" fails="bpe-special-example" says="one number if allowed"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(longest_first, text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="no error for what is not special" fails="bpe-special-properties" says="should raise ValueError"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    allowed = allowed & special.keys()
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="KeyError only if it occurs" fails="bpe-special-properties" says="should raise ValueError"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="special tokens cut out first and put at the front" fails="bpe-special-example" says="one number if allowed"
def encode_special(text, merges, special, allowed=None):
    ids = []
    for token in sorted(allowed or (), key=len, reverse=True):
        if token not in special:
            raise ValueError(token)
        ids += [special[token]] * text.count(token)
        text = text.replace(token, "")
    return ids + reference.encode(text, merges)


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="the chat rendered to a string and encoded with all special tokens" fails="bpe-special-properties" says="a forged special token?"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)
    return encode_special(text + "<|im_start|>assistant\n", merges, special, set(special))


# %% exercise="bpe-special" kind="wrong" name="roles may be special tokens" fails="bpe-special-properties" says="a forged special token?"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [
            start,
            *encode_special(f"{role}\n", merges, special, set(special)),
            *reference.encode(content, merges),
            end,
            *reference.encode("\n", merges),
        ]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="role and content encoded apart" fails="bpe-special-properties" says="role + line end + content"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [
            start,
            *reference.encode(f"{role}\n", merges),
            *reference.encode(content, merges),
            end,
            *reference.encode("\n", merges),
        ]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="no beginning of the answer" fails="bpe-special-example" says="a chat with one message"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return ids


# %% exercise="bpe-special" kind="wrong" name="no line end after a message" fails="bpe-special-example" says="a chat with one message"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="wrong" name="special tokens in the content are deleted" fails="bpe-special-properties" says="role + line end"
def encode_special(text, merges, special, allowed=None):
    allowed = allowed or set()
    if unknown := allowed - special.keys():
        raise ValueError(f"no such special tokens: {unknown}")
    longest_first = "|".join(regex.escape(token) for token in sorted(allowed, key=len, reverse=True))
    parts = regex.split(f"({longest_first})", text) if allowed else [text]
    encoded = ([special[part]] if part in allowed else reference.encode(part, merges) for part in parts)
    return [token for tokens in encoded for token in tokens]


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        for token in special:
            content = content.replace(token, "")
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-special" kind="right" name="by hand, position by position, printing"
def encode_special(text, merges, special, allowed=None):
    for token in allowed or []:
        if token not in special:
            raise ValueError(f"{token} is not special")
    ids, plain, i = [], "", 0
    while i < len(text):
        here = [token for token in allowed or [] if text.startswith(token, i)]
        if here:
            longest = max(here, key=len)
            ids += [*reference.encode(plain, merges), special[longest]]
            plain, i = "", i + len(longest)
        else:
            plain, i = plain + text[i], i + 1
    print(len(ids), "tokens before the rest")
    return ids + reference.encode(plain, merges)


def encode_chat(messages, merges, special):
    ids = []
    for role, content in messages:
        ids.append(special["<|im_start|>"])
        ids.extend(encode_special(role + "\n" + content, merges, special))
        ids.append(special["<|im_end|>"])
        ids.extend(encode_special("\n", merges, special))
    ids.append(special["<|im_start|>"])
    ids.extend(encode_special("assistant\n", merges, special, set()))
    return ids


# %% exercise="bpe-special" kind="right" name="finditer, with a warning"
import warnings


def encode_special(text, merges, special, allowed=None):
    warnings.warn("special tokens")
    names = sorted(allowed or [], key=lambda token: -len(token))
    if any(name not in special for name in names):
        raise ValueError("not special")
    if not names:
        return reference.encode(text, merges)
    ids, end = [], 0
    for match in regex.finditer("|".join(map(regex.escape, names)), text):
        ids += reference.encode(text[end : match.start()], merges)
        ids.append(special[match.group()])
        end = match.end()
    return ids + reference.encode(text[end:], merges)


def encode_chat(messages, merges, special):
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    ids = []
    for role, content in messages:
        ids += [start, *reference.encode(f"{role}\n{content}", merges), end, *reference.encode("\n", merges)]
    return [*ids, start, *reference.encode("assistant\n", merges)]


# %% exercise="bpe-files" kind="wrong" name="byte b is chr(b)" fails="bpe-files-example" says="the stand-ins of 0, 32, 65, 173, 255"
def byte_alphabet():
    return {byte: chr(byte) for byte in range(256)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="byte b is chr(256 + b), all of them" fails="bpe-files-example" says="the stand-ins of 0, 32, 65, 173, 255"
def byte_alphabet():
    return {byte: chr(256 + byte) for byte in range(256)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="an invisible byte keeps its distance: chr(256 + b)" fails="bpe-files-example" says="the stand-ins of 0, 32, 65, 173, 255"
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + byte) for byte in others}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="the soft hyphen taken for visible" fails="bpe-files-example" says="the stand-ins of 0, 32, 65, 173, 255"
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="no header" fails="bpe-files-example" says="the file of"
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="numbers in the file" fails="bpe-files-example" says="the file of"
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges if written)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="no line end after the last line" fails="bpe-files-example" says="the file of"
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "\n".join(["#version: 0.2", *(f"{written[left]} {written[right]}" for left, right in merges)])


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="every line that begins with # is skipped" fails="bpe-files-example" says="the merges in"
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for new_id, line in enumerate(lines, start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="the header read as a merge" fails="bpe-files-example" says=""
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines(), start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="new tokens from 0 on" fails="bpe-files-example" says="the merges in"
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=0):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="bytes decoded as text before writing" fails="bpe-files-properties" says=""
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    written = {
        token: content.decode("utf-8", errors="replace").replace(" ", "Ġ")
        for token, content in reference.vocabulary(merges).items()
    }
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="wrong" name="merges by heart" fails="bpe-files-example" says="the merges in"
def byte_alphabet():
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    return {(32, 116): 256, (256, 104): 257}


# %% exercise="bpe-files" kind="right" name="GPT-2's own way to make the alphabet, printing"
def byte_alphabet():
    bs = list(range(ord("!"), ord("~") + 1)) + list(range(ord("¡"), ord("¬") + 1)) + list(range(ord("®"), ord("ÿ") + 1))
    cs = bs[:]
    n = 0
    for b in range(2**8):
        if b not in bs:
            bs.append(b)
            cs.append(2**8 + n)
            n += 1
    print(n, "bytes are invisible")
    return dict(zip(bs, [chr(c) for c in cs], strict=True))


def merges_to_text(merges):
    letters = byte_alphabet()
    written = {token: "".join(letters[b] for b in content) for token, content in reference.vocabulary(merges).items()}
    return "#version: 0.2\n" + "".join(f"{written[left]} {written[right]}\n" for left, right in merges)


def merges_from_text(text):
    numbers = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for new_id, line in enumerate(text.splitlines()[1:], start=256):
        left, right = line.split(" ")
        merges[numbers[left], numbers[right]] = numbers[left + right] = new_id
    return merges


# %% exercise="bpe-files" kind="right" name="the vocabulary built line by line both ways"
def byte_alphabet():
    table, n = {}, 256
    for byte in range(256):
        if chr(byte).isprintable() and not chr(byte).isspace():
            table[byte] = chr(byte)
        else:
            table[byte] = chr(n)
            n += 1
    return table


def merges_to_text(merges):
    written, lines = byte_alphabet(), ["#version: 0.2"]
    for (left, right), new_id in merges.items():
        lines.append(written[left] + " " + written[right])
        written[new_id] = written[left] + written[right]
    return "\n".join(lines) + "\n"


def merges_from_text(text):
    lines = text.rstrip("\n").split("\n")
    written = {letter: byte for byte, letter in byte_alphabet().items()}
    merges = {}
    for line in lines[1:]:
        left, _, right = line.partition(" ")
        merges[(written[left], written[right])] = 256 + len(merges)
        written[left + right] = 255 + len(merges)
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="counts again before every merge" fails="bpe-incremental-properties" says="are words without the pair visited"
def train_incremental(pieces, n_merges):
    return reference.train(pieces, n_merges)


# %% exercise="bpe-incremental" kind="wrong" name="rewrites every word at each merge" fails="bpe-incremental-properties" says="are words without the pair visited"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in range(len(words)):
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="looks at all pairs to find the best, in Python" fails="bpe-incremental-properties" says="all pairs to find the best?"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    merges = {}
    while totals and len(merges) < n_merges:
        best = min(totals, key=lambda pair: (-totals[pair], pair))
        merges[best] = 256 + len(merges)
        for i in where.pop(best):
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                where[pair].add(i)
        totals = Counter({pair: total for pair, total in totals.items() if total > 0})
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="stale entries of the heap are used" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if best in merges or not total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="new pairs are not pushed" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="pairs that lost a part are not pushed again" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                if merges[best] in pair:
                    touched.add(pair)
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="totals change by one, not by the occurrences" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= 1
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += 1
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="old pairs are not subtracted" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="new words are not entered in where" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="of equals the largest" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, (-pair[0], -pair[1])) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        best = (-best[0], -best[1])
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], (-pair[0], -pair[1])))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="one merge too many" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) <= n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="stops at pairs that occur once" fails="bpe-incremental-properties" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 1:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="merges pairs that are gone, with total 0" fails="bpe-incremental-example" says="merges of"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] >= 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="wrong" name="empties its argument" fails="bpe-incremental-properties" says="changed its argument"
def train_incremental(pieces, n_merges):
    words, occurrences = [list(piece) for piece in pieces], list(pieces.values())
    totals, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] += occurrences[i]
            where[pair].add(i)
    pieces.clear()
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n_merges:
        total, best = heapq.heappop(heap)
        if totals[best] != -total:
            continue
        merges[best] = 256 + len(merges)
        touched = set()
        for i in where[best]:
            old, words[i] = words[i], reference.merge(words[i], best, merges[best])
            for pair in pairwise(old):
                totals[pair] -= occurrences[i]
                touched.add(pair)
            for pair in pairwise(words[i]):
                totals[pair] += occurrences[i]
                touched.add(pair)
                if merges[best] in pair:
                    where[pair].add(i)
        for pair in touched:
            if totals[pair] > 0:
                heapq.heappush(heap, (-totals[pair], pair))
    return merges


# %% exercise="bpe-incremental" kind="right" name="only the neighbours of a merge are corrected, and it prints"
def train_incremental(pieces, n_merges):
    words = [(list(piece), n) for piece, n in pieces.items()]
    totals, where = {}, {}
    for w, (ids, n) in enumerate(words):
        for pair in pairwise(ids):
            totals[pair] = totals.get(pair, 0) + n
            where.setdefault(pair, set()).add(w)
    heap = sorted((-n, pair) for pair, n in totals.items())
    merges = {}
    while len(merges) < n_merges and heap:
        total, (a, b) = heapq.heappop(heap)
        if totals.get((a, b)) != -total:
            continue
        new = 256 + len(merges)
        merges[a, b] = new
        changed = {}
        for w in where.pop((a, b)):
            ids, n = words[w]
            i = 0
            while i + 1 < len(ids):
                if ids[i] != a or ids[i + 1] != b:
                    i += 1
                    continue
                if i > 0:
                    changed[ids[i - 1], a] = changed.get((ids[i - 1], a), 0) - n
                    changed[ids[i - 1], new] = changed.get((ids[i - 1], new), 0) + n
                    where.setdefault((ids[i - 1], new), set()).add(w)
                if i + 2 < len(ids):
                    changed[b, ids[i + 2]] = changed.get((b, ids[i + 2]), 0) - n
                    changed[new, ids[i + 2]] = changed.get((new, ids[i + 2]), 0) + n
                    where.setdefault((new, ids[i + 2]), set()).add(w)
                ids[i : i + 2] = [new]
                i += 1
        totals.pop((a, b))
        changed.pop((a, b), None)
        for pair, difference in changed.items():
            if difference:
                totals[pair] = totals.get(pair, 0) + difference
            if difference and totals[pair]:
                heapq.heappush(heap, (-totals[pair], pair))
        print("merged", a, b)
    return dict(merges)


# %% exercise="bpe-incremental" kind="right" name="words recounted one by one, where kept exact, a progress bar"
from tqdm import tqdm


def train_incremental(pieces, n_merges):
    words = [[list(piece), n] for piece, n in pieces.items()]
    totals, where = reference.count_pairs([(ids, n) for ids, n in words]), defaultdict(set)
    for w, (ids, _) in enumerate(words):
        for pair in pairwise(ids):
            where[pair].add(w)
    heap, merges = [(-n, pair) for pair, n in totals.items()], {}
    heapq.heapify(heap)
    progress = tqdm(total=n_merges)
    while heap and len(merges) < n_merges:
        n, best = heapq.heappop(heap)
        if totals.get(best, 0) == 0 or -n != totals[best]:
            continue
        merges[best] = new = 256 + len(merges)
        progress.update()
        for w in sorted(where[best]):
            ids, count = words[w]
            words[w][0] = reference.merge(ids, best, new)
            before, after = Counter(pairwise(ids)), Counter(pairwise(words[w][0]))
            for pair in before | after:
                if before[pair] != after[pair]:
                    totals[pair] = totals.get(pair, 0) + count * (after[pair] - before[pair])
                    heapq.heappush(heap, (-totals[pair], pair))
                where[pair].add(w) if after[pair] else where[pair].discard(w)
    progress.close()
    return merges


# %% exercise="bpe-decode" kind="right" name="the stream by hand: a buffer, cut after what is finished, written from the release alone"
def vocabulary(merges):
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return dict(enumerate(tokens))


def decode(ids, tokens):
    content = bytearray()
    for token in ids:
        try:
            content += tokens[token]
        except KeyError:
            raise ValueError(f"token {token} is not in the vocabulary") from None
    return str(content, "utf-8", "replace")


def decode_stream(ids, tokens):
    shown, buffer = [], b""
    for token in ids:
        buffer += tokens[token]
        text = ""
        while buffer:
            try:
                text, buffer = text + buffer.decode("utf-8"), b""
            except UnicodeDecodeError as error:
                text += buffer[: error.start].decode("utf-8")
                if error.reason == "unexpected end of data":
                    buffer = buffer[error.start :]
                    break
                text += "\ufffd"
                buffer = buffer[error.end :]
        shown.append(text)
    if buffer:
        shown[-1] += "\ufffd"
    print(shown)
    return shown
