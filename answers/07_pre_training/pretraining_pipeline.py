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
# Known answers to the exercises of `pretraining_pipeline`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import copy
import math
import random

import numpy as np
import torch
from scipy import optimize, stats
from torch import nn
from torch.nn import functional


# %% exercise="pretrain-packing" kind="wrong" name="no target in the next block" fails="pretrain-packing-example" says="also in the next block?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    targets[:, -1] = -100
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="no start after the last document" fails="pretrain-packing-example" says="a start at the end?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], -100]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="a start belongs to the document before it" fails="pretrain-packing-example" says="a start belongs to the document that it begins"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [max(0, number - 1)] + [number] * len(document)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="places left over are to be predicted" fails="pretrain-packing-example" says="-100 in places left over?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [start] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="the last, part-filled block is dropped" fails="pretrain-packing-example" says="places left over at the end only"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = 0
    whole = len(stream) // length * length
    stream, targets, numbers = stream[:whole], targets[:whole], numbers[:whole]
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="a whole empty block after full ones" fails="pretrain-packing-properties" says="as few as possible?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = length - len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="every document in blocks of its own" fails="pretrain-packing-example" says="places left over at the end only"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
        gap = -len(stream) % length
        stream, numbers = stream + [start] * gap, numbers + [-1] * gap
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="the start is always 0" fails="pretrain-packing-properties" says="inputs: a start before each document?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [0, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="empty documents are left out" fails="pretrain-packing-properties" says="inputs: a start before each document?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        if not document:
            continue
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="writes the start into the documents" fails="pretrain-packing-properties" says="pack changed its documents: make new lists"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        document.insert(0, start)
        stream += document
        numbers += [number] * len(document)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="causal, but no boundary" fails="pretrain-packing-example" says="one document?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return allowed


# %% exercise="pretrain-packing" kind="wrong" name="a position does not see itself" fails="pretrain-packing-example" says="itself and before?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril(-1)
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="sees the future, not the past" fails="pretrain-packing-example" says="itself and before?"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).triu()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="the prefix along the axis that looks" fails="pretrain-packing-properties" says="in j's prefix"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, :, None]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="the prefix seen from other documents too" fails="pretrain-packing-properties" says="the same document, and ("
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        return (same & allowed) | prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="nothing but the prefix is seen" fails="pretrain-packing-properties" says="(not later, or in j's prefix)"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    if prefix is not None:
        allowed = allowed & prefix[:, None, :]
    return same & allowed


# %% exercise="pretrain-packing" kind="wrong" name="the prefix ignored" fails="pretrain-packing-properties" says="in j's prefix"
def pack(documents, length, start=0):
    stream, numbers = [], []
    for number, document in enumerate(documents):
        stream += [start, *document]
        numbers += [number] * (len(document) + 1)
    targets = [*stream[1:], start]
    gap = -len(stream) % length
    inputs = torch.tensor(stream + [start] * gap).reshape(-1, length)
    targets = torch.tensor(targets + [-100] * gap).reshape(-1, length)
    return inputs, targets, torch.tensor(numbers + [-1] * gap).reshape(-1, length)


def visibility(numbers, prefix=None):
    same = numbers[:, :, None] == numbers[:, None, :]
    allowed = torch.ones_like(same).tril()
    return same & allowed


# %% exercise="pretrain-packing" kind="right" name="loops over tokens and positions that print"
def pack(documents, length, start=0):
    stream = []
    for number, document in enumerate(documents):
        print(f"document {number}: {len(document)} tokens")
        stream.append((start, number))
        for token in document:
            stream.append((token, number))
    rows = []
    for begin in range(0, len(stream), length):
        row = []
        for place in range(begin, begin + length):
            if place >= len(stream):
                row.append((start, -100, -1))
            else:
                following = stream[place + 1][0] if place + 1 < len(stream) else start
                row.append((stream[place][0], following, stream[place][1]))
        rows.append(row)
    inputs, targets, numbers = torch.tensor(rows).unbind(-1)
    return inputs, targets, numbers


def visibility(numbers, prefix=None):
    out = torch.zeros(*numbers.shape, numbers.shape[1], dtype=torch.bool)
    for b, row in enumerate(numbers.tolist()):
        for i in range(len(row)):
            for j in range(len(row)):
                out[b, i, j] = row[i] == row[j] and (j <= i or (prefix is not None and bool(prefix[b, j])))
    return out.to(numbers.device)


# %% exercise="pretrain-packing" kind="right" name="tensors padded, unfolded and numbered by repetition"
def pack(documents, length, start=0):
    sizes = torch.tensor([len(document) + 1 for document in documents])
    stream = torch.cat([torch.tensor([start, *document]) for document in documents] + [torch.tensor([start])])
    numbers = torch.arange(len(documents)).repeat_interleave(sizes)
    blocks = math.ceil((len(stream) - 1) / length)
    gap = (0, blocks * length - len(stream) + 1)
    parts = [functional.pad(stream[:-1], gap, value=start), functional.pad(stream[1:], gap, value=-100)]
    return tuple(part.view(blocks, length) for part in (*parts, functional.pad(numbers, gap, value=-1)))


def visibility(numbers, prefix=None):
    where = torch.arange(numbers.shape[1], device=numbers.device)
    seen = where <= where[:, None]
    if prefix is not None:
        seen = torch.logical_or(seen, prefix.unsqueeze(1))
    return numbers.unsqueeze(1).eq(numbers.unsqueeze(2)).logical_and(seen)


# %% exercise="pretrain-objectives" kind="wrong" name="every chosen token becomes the mask" fails="pretrain-objectives-example" says="15 % are targets, and 80 % of those became the mask"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    torch.rand(ids.shape, generator=generator)
    torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen, mask_id, ids)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="one random number decides both" fails="pretrain-objectives-example" says="15 % are targets, and 80 % of those became the mask"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    fate = torch.rand(ids.shape, generator=generator)
    chosen = (fate < 0.15) & maskable
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="15 percent of the masked, not of the chosen" fails="pretrain-objectives-example" says="15 % are targets, and 80 % of those became the mask"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15 / 0.8) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="none of the chosen stays as it is" fails="pretrain-objectives-properties" says="share of the chosen that stayed"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="chosen tokens that stay are no targets" fails="pretrain-objectives-properties" says="share of the maskable tokens that are chosen"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen & (fate < 0.9), ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="only the masked are targets" fails="pretrain-objectives-example" says="15 % are targets, and 80 % of those became the mask"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen & (fate < 0.8), ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="random tokens also where nothing is chosen" fails="pretrain-objectives-properties" says="inputs that changed though they were not chosen"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where((fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="the same columns in every row" fails="pretrain-objectives-properties" says="how many of a row are chosen, each on its own"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape[1], generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="exactly 15 percent of each row" fails="pretrain-objectives-properties" says="how many of a row are chosen, each on its own"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (
        torch.rand(ids.shape, generator=generator).argsort(-1).argsort(-1) < round(0.15 * ids.shape[1])
    ) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="what may not be chosen is chosen" fails="pretrain-objectives-properties" says="chosen tokens that may not be"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = torch.rand(ids.shape, generator=generator) < 0.15
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="random numbers from the global generator" fails="pretrain-objectives-properties" says="differences between two calls with the same generator"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="noise from the global generator" fails="pretrain-objectives-properties" says="differences between two calls with the same generator"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="one random token for all" fails="pretrain-objectives-properties" says="how often the random token was number 0"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, (1,), generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="never the last token of the vocabulary" fails="pretrain-objectives-properties" says="how often the rarest of the other random tokens came"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary - 1, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="never token 0 as noise" fails="pretrain-objectives-properties" says="how often the random token was number 0"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(1, vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="the target is what the input became" fails="pretrain-objectives-properties" says="targets that are not the token itself"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, inputs, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="all tokens are targets" fails="pretrain-objectives-example" says="15 % are targets, and 80 % of those became the mask"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, ids.clone()


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="the ids masked in place" fails="pretrain-objectives-properties" says="entries of ids and maskable that mask_tokens changed"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    targets = torch.where(chosen, ids, -100)
    inputs = ids
    inputs[chosen & (fate < 0.8)] = mask_id
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, targets


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="hides where position i sees i - 1" fails="pretrain-objectives-example" says="0 and 1 see their targets: hide both"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(-1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="hides the target of the one that is seen" fails="pretrain-objectives-example" says="0 and 1 see their targets: hide both"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, 1:][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="hides the whole prefix" fails="pretrain-objectives-example" says="0 and 1 see their targets: hide both"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[visible.all(1)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="the last target hidden as well" fails="pretrain-objectives-properties" says="last targets of blocks that did not stay"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    hidden[:, -1] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="targets hidden in place" fails="pretrain-objectives-properties" says="entries of targets and visible that hide_seen changed"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="the mask of the first row for all" fails="pretrain-objectives-properties" says="targets that are not -100 just where i may see i + 1"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible[:1].diagonal(1, 1, 2).expand(len(targets), -1)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="wrong sentences from any document" fails="pretrain-objectives-example" says="a False one ends in x"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for _number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice(list(range(len(documents))))
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="wrong sentences evenly over sentences, not documents" fails="pretrain-objectives-properties" says="share of wrong sentences from documents of 1"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) for _ in documents[k] if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="always the first sentence of the other document" fails="pretrain-objectives-properties" says="share of sentence 0 among wrong ones"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, documents[other][0], False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="the other document is always the next one" fails="pretrain-objectives-properties" says="how often a wrong sentence was from the first document"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = (number + 1) % len(documents)
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="labels the wrong way round" fails="pretrain-objectives-example" says="a True pair is a, b or b, c"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, False))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), True))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="true and false in turns" fails="pretrain-objectives-properties" says="share of pairs with the answer of the pair before"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if len(pairs) % 2 == 0:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="the global random module" fails="pretrain-objectives-properties" says="differences between two calls with the same rng"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document[:-1]):
            following = document[place + 1]
            if random.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="follows on across documents" fails="pretrain-objectives-properties" says="calls without one pair for each sentence that has a next one"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for place, sentence in enumerate(document):
            following = [*document, documents[(number + 1) % len(documents)][0]][place + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([k for k in range(len(documents)) if k != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="wrong" name="the next sentence looked up by its text" fails="pretrain-objectives-properties" says="each by its place"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    noise = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), noise, inputs)
    return inputs, torch.where(chosen, ids, -100)


def hide_seen(targets, visible):
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for sentence in document[:-1]:
            following = document[document.index(sentence) + 1]
            if rng.random() < 0.5:
                pairs.append((sentence, following, True))
            else:
                other = rng.choice([n for n in range(len(documents)) if n != number])
                pairs.append((sentence, rng.choice(documents[other]), False))
    return pairs


# %% exercise="pretrain-objectives" kind="right" name="token by token, a progress line for each row"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    inputs, targets = ids.clone().tolist(), torch.full_like(ids, -100).tolist()
    for b in range(ids.shape[0]):
        draws = torch.rand(ids.shape[1], 2, generator=generator).tolist()
        for t in range(ids.shape[1]):
            if not maskable[b, t] or draws[t][0] >= 0.15:
                continue
            targets[b][t] = inputs[b][t]
            if draws[t][1] < 0.8:
                inputs[b][t] = mask_id
            elif draws[t][1] < 0.9:
                inputs[b][t] = int(torch.randint(0, vocabulary, (1,), generator=generator))
        if b % 100 == 0:
            print(f"row {b} of {ids.shape[0]}", flush=True)
    return torch.tensor(inputs), torch.tensor(targets)


def hide_seen(targets, visible):
    hidden = targets.clone()
    for b in range(targets.shape[0]):
        for i in range(targets.shape[1] - 1):
            if visible[b, i, i + 1]:
                hidden[b, i] = -100
    return hidden


def sentence_pairs(documents, rng):
    pairs = []
    for number in range(len(documents)):
        for place in range(len(documents[number]) - 1):
            sentence = documents[number][place]
            if rng.randrange(2):
                pairs.append((sentence, documents[number][place + 1], True))
                continue
            other = rng.randrange(len(documents) - 1)
            if other >= number:
                other += 1
            pairs.append((sentence, documents[other][rng.randrange(len(documents[other]))], False))
    return pairs


# %% exercise="pretrain-objectives" kind="right" name="Bernoulli draws, as in Hugging Face's collator, and rejection of the own document"
def mask_tokens(ids, maskable, mask_id, vocabulary, generator):
    chances = torch.full(ids.shape, 0.15).masked_fill(~maskable, 0.0)
    chosen = torch.bernoulli(chances, generator=generator).bool()
    masked = torch.bernoulli(torch.full(ids.shape, 0.8), generator=generator).bool() & chosen
    noisy = torch.bernoulli(torch.full(ids.shape, 0.5), generator=generator).bool() & chosen & ~masked
    inputs, targets = ids.clone(), ids.clone()
    targets[~chosen] = -100
    inputs[masked] = mask_id
    inputs[noisy] = torch.randint(vocabulary, (int(noisy.sum()),), generator=generator)
    return inputs, targets


def hide_seen(targets, visible):
    seen = functional.pad(visible[:, :-1, 1:].diagonal(0, 1, 2), (0, 1), value=False)
    return targets.masked_fill(seen, -100)


def sentence_pairs(documents, rng):
    def pair(number, place):
        if rng.getrandbits(1):
            return documents[number][place], documents[number][place + 1], True
        other = number
        while other == number:
            other = rng.randrange(len(documents))
        return documents[number][place], rng.sample(documents[other], 1)[0], False

    return [pair(n, k) for n, document in enumerate(documents) for k in range(len(document) - 1)]


# %% exercise="pretrain-optimizer" kind="wrong" name="everything decays" fails="pretrain-optimizer-example" says="of a linear layer only the weight decays"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": list(trained), "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 0], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="both groups decay" fails="pretrain-optimizer-example" says="of a linear layer only the weight decays"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": weight_decay},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="the groups the wrong way round" fails="pretrain-optimizer-example" says="of a linear layer only the weight decays"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="only biases are spared, by name" fails="pretrain-optimizer-properties" says="two or more dimensions decay"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    biases = {id(p) for name, p in model.named_parameters() if name.endswith("bias")}
    return [
        {"params": [p for p in trained if id(p) not in biases], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in biases], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="biases and norms are spared, by name" fails="pretrain-optimizer-properties" says="LayerNorm, frozen []"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    biases = {id(p) for name, p in model.named_parameters() if "bias" in name or "norm" in name}
    return [
        {"params": [p for p in trained if id(p) not in biases], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in biases], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="two dimensions decay, three do not" fails="pretrain-optimizer-properties" says="Conv1d, frozen []"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() == 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() != 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="only the weights of linear layers decay" fails="pretrain-optimizer-properties" says="two or more dimensions decay"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    return [
        {"params": [p for p in trained if id(p) in linear], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) not in linear], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="frozen parameters too" fails="pretrain-optimizer-properties" says="frozen ['linear1.weight', 'norm2.bias']"
def parameter_groups(model, weight_decay):
    trained = list(model.parameters())
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="a shared parameter twice" fails="pretrain-optimizer-properties" says="each once, no copies"
def parameter_groups(model, weight_decay):
    trained = [p for _, p in model.named_parameters(remove_duplicate=False) if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="copies of the parameters" fails="pretrain-optimizer-properties" says="each once, no copies"
def parameter_groups(model, weight_decay):
    trained = [p.detach().clone() for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="the decay is always 0.01" fails="pretrain-optimizer-example" says="of a linear layer only the weight decays, got [(0.01"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": 0.01},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="warm-up from 0" fails="pretrain-optimizer-example" says="(t + 1) / W of the peak up to t = W - 1"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * step / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="warm-up one step too long" fails="pretrain-optimizer-example" says="(t + 1) / W of the peak up to t = W - 1"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step <= warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="the cosine begins at step 0" fails="pretrain-optimizer-example" says="half a cosine over S - W steps from the peak to the floor"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, step / steps)
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="the floor forgotten" fails="pretrain-optimizer-example" says="half a cosine over S - W steps from the peak to the floor"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return peak * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="the floor on top of the peak" fails="pretrain-optimizer-example" says="half a cosine over S - W steps from the peak to the floor"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + peak * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="the floor as a limit" fails="pretrain-optimizer-example" says="half a cosine over S - W steps from the peak to the floor"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return max(floor, peak * (1 + math.cos(math.pi * progress)) / 2)


# %% exercise="pretrain-optimizer" kind="wrong" name="warm-up begins at the floor" fails="pretrain-optimizer-example" says="(t + 1) / W of the peak up to t = W - 1"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return floor + (peak - floor) * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="rises again after the last step" fails="pretrain-optimizer-properties" says="then the floor"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (steps - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="a line down, no cosine" fails="pretrain-optimizer-properties" says="torch's cosine over S - W steps"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 - progress)


# %% exercise="pretrain-optimizer" kind="wrong" name="the floor one step early" fails="pretrain-optimizer-example" says="half a cosine over S - W steps from the peak to the floor"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - 1 - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="cosine without pi" fails="pretrain-optimizer-example" says="half a cosine over S - W steps from the peak to the floor"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(progress)) / 2


# %% exercise="pretrain-optimizer" kind="wrong" name="divides by a warm-up of 0" fails="pretrain-optimizer-properties" says="ZeroDivisionError"
def parameter_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    rise = peak * (step + 1) / warmup
    if step < warmup:
        return rise
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


# %% exercise="pretrain-optimizer" kind="right" name="loops over modules that print, the half-angle formula"
def parameter_groups(model, weight_decay):
    seen = set()
    groups = [{"params": [], "weight_decay": weight_decay}, {"params": [], "weight_decay": 0.0}]
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.requires_grad and id(parameter) not in seen:
            seen.add(id(parameter))
            groups[0 if parameter.ndim > 1 else 1]["params"].append(parameter)
            print(name, tuple(parameter.shape), "decays" if parameter.ndim > 1 else "does not decay")
    return groups


def learning_rate(step, steps, warmup, peak, floor=0.0):
    if warmup > 0 and step + 1 <= warmup:
        return (step + 1) / warmup * peak
    if step >= steps:
        return floor
    c = math.cos(math.pi / 2 * (step - warmup) / (steps - warmup)) ** 2
    return peak * c + floor * (1 - c)


# %% exercise="pretrain-optimizer" kind="right" name="partition with filter, NumPy, and a warning about a long warm-up"
def parameter_groups(model, weight_decay):
    trained = list(filter(lambda p: p.requires_grad, model.parameters()))
    matrices = list(filter(lambda p: len(p.shape) > 1, trained))
    ids = set(map(id, matrices))
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) not in ids], "weight_decay": 0.0},
    ]


def learning_rate(step, steps, warmup, peak, floor=0.0):
    import warnings

    if warmup > steps / 2:
        warnings.warn("more than half of the steps are warm-up")
    if step < warmup:
        return peak - peak * (warmup - step - 1) / warmup
    angle = np.clip((step - warmup) / (steps - warmup), 0, 1) * np.pi
    return float((peak + floor) / 2 + (peak - floor) / 2 * np.cos(angle))


# %% exercise="pretrain-step" kind="wrong" name="mean of the micro-batches' means" fails="pretrain-step-example" says="0.837 is the mean of means"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten()) / len(micro_batches)
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="means weighted by targets, but only in what is reported" fails="pretrain-step-example" says="0.837 is the mean of means"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten()) / len(micro_batches)
        loss.backward()
        total += loss.item() * len(micro_batches) * int((targets != -100).sum()) / count
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="the right gradient, but the mean of means reported" fails="pretrain-step-example" says="0.837 is the mean of means"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item() * count / int((targets != -100).sum()) / len(micro_batches)
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="the gradient of the sum" fails="pretrain-step-properties" says="norm before clipping"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum")
        loss.backward()
        total += loss.item() / count
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="divided by all places, also those without a target" fails="pretrain-step-properties" says="divided by all targets? mask handed on?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(targets.numel() for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="old gradients are added" fails="pretrain-step-properties" says="old gradients forgotten?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="gradients zeroed after the step, not before it" fails="pretrain-step-properties" says="old gradients forgotten?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    optimizer.zero_grad()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="gradients forgotten after each micro-batch" fails="pretrain-step-example" says="0.837 is the mean of means"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        optimizer.zero_grad()
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="a step for each micro-batch" fails="pretrain-step-properties" says="divided by all targets? mask handed on?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        optimizer.zero_grad()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="clipped after each micro-batch" fails="pretrain-step-properties" says="clipped once?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="clipped after the step" fails="pretrain-step-properties" says="clipped before the step, all gradients together?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    optimizer.step()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="no clipping" fails="pretrain-step-properties" says="clipped before the step, all gradients together?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="always scaled to max_norm, small gradients too" fails="pretrain-step-properties" says="clipped before the step, all gradients together?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    for p in model.parameters():
        if p.grad is not None:
            p.grad *= max_norm / min(norm, max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="each parameter clipped on its own" fails="pretrain-step-properties" says="clipped before the step, all gradients together?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf)
    for p in model.parameters():
        nn.utils.clip_grad_norm_([p], max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="entries clipped, not the norm" fails="pretrain-step-properties" says="clipped before the step, all gradients together?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf)
    nn.utils.clip_grad_value_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="the norm after clipping" fails="pretrain-step-properties" says="norm before clipping"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, min(norm.item(), max_norm)


# %% exercise="pretrain-step" kind="wrong" name="bf16 ignored" fails="pretrain-step-properties" says="bf16 just if asked, loss in float32?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=False):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="always in bf16" fails="pretrain-step-properties" says="bf16 just if asked, loss in float32?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=True):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="the loss in bfloat16" fails="pretrain-step-properties" says="bf16 just if asked, loss in float32?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="the model itself made bfloat16" fails="pretrain-step-properties" says="bf16 just if asked, loss in float32?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        if bf16:
            model.bfloat16()
        logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="the mask not handed on" fails="pretrain-step-properties" says="mask handed on?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, _visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, None)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="no error when nothing counts" fails="pretrain-step-properties" says="micro-batches without a single target should raise ValueError"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    count = max(count, 1)
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="the error comes after the step" fails="pretrain-step-properties" says="without a target nothing should change"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / max(
            count, 1
        )
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    if count == 0:
        raise ValueError("no micro-batch has a target")
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="an error if any micro-batch has no target" fails="pretrain-step-properties" says="ValueError"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if any(int((targets != -100).sum()) == 0 for _, targets, _ in micro_batches):
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="only the first micro-batch" fails="pretrain-step-example" says="0.562 and norm 0 expected"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    micro_batches = micro_batches[:1]
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="wrong" name="-100 replaced by 0 in the caller's targets" fails="pretrain-step-properties" says="are the micro-batches unchanged?"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("no micro-batch has a target")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
        targets[targets == -100] = 0
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% exercise="pretrain-step" kind="right" name="all forward passes first, one backward pass, own clipping, and it prints"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    import contextlib

    losses, count = [], 0
    for number, (inputs, targets, visible) in enumerate(micro_batches):
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16) if bf16 else contextlib.nullcontext():
            logits = model(inputs, visible)
        wanted = targets >= 0
        log_p = logits.to(torch.float32).log_softmax(-1)[wanted]
        losses.append(-log_p.gather(-1, targets[wanted][:, None]).sum())
        count += int(wanted.sum())
        print(f"micro-batch {number}: {count} targets so far")
    if not count:
        raise ValueError("nothing to learn: every target is -100")
    for parameter in model.parameters():
        parameter.grad = None
    loss = torch.stack(losses).sum() / count
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    if norm > max_norm:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    optimizer.step()
    return loss.item(), norm


# %% exercise="pretrain-step" kind="right" name="sums added up, gradients divided at the end, with a log line"
def train_step(model, optimizer, micro_batches, max_norm, bf16=False):
    import logging

    count = int(torch.cat([(targets != -100).flatten() for _, targets, _ in micro_batches]).sum())
    if count < 1:
        raise ValueError("no targets")
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for inputs, targets, visible in micro_batches:
        if bf16:
            with torch.autocast(next(model.parameters()).device.type, dtype=torch.bfloat16):
                logits = model(inputs, visible)
        else:
            logits = model(inputs, visible)
        each = nn.CrossEntropyLoss(reduction="none")(logits.float().transpose(1, 2), targets)
        each.sum().backward()
        total += each.detach().sum().item()
        logging.warning("loss so far %.3f", total / count)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= count
    norm = nn.utils.clip_grad_norm_(list(model.parameters()), max_norm)
    optimizer.step()
    return total / count, float(norm)


# %% exercise="pretrain-checkpoint" kind="wrong" name="the checkpoint not copied" fails="pretrain-checkpoint-example" says="'the averages of the optimizer'] differ; loaded? copied?"
def checkpoint(run):
    return {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="a shallow copy" fails="pretrain-checkpoint-example" says="'the averages of the optimizer'] differ; loaded? copied?"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return {name: copy.copy(part) for name, part in state.items()}


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the weights copied, the optimizer not" fails="pretrain-checkpoint-example" says="['the averages of the optimizer'] differ; loaded? copied?"
def checkpoint(run):
    return {
        "model": copy.deepcopy(run.model.state_dict()),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the optimizer copied, the weights not" fails="pretrain-checkpoint-example" says="['the weights of the model'] differ; loaded? copied?"
def checkpoint(run):
    return {
        "model": run.model.state_dict(),
        "optimizer": copy.deepcopy(run.optimizer.state_dict()),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="not copied on the way back" fails="pretrain-checkpoint-properties" says="changed by what was resumed from it first?"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the weights not loaded" fails="pretrain-checkpoint-example" says="['the weights of the model'] differ"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the optimizer not loaded" fails="pretrain-checkpoint-example" says="['the averages of the optimizer'] differ"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the scheduler not loaded" fails="pretrain-checkpoint-example" says="['the place of the scheduler'] differ"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the generator of the data not loaded" fails="pretrain-checkpoint-example" says="['the generator of the data'] differ"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the order not loaded" fails="pretrain-checkpoint-example" says="['the order of the data'] differ"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.taken = state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the number of batches not loaded" fails="pretrain-checkpoint-example" says="['the number of batches taken'] differ"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order = state["data"]["order"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="a new order is drawn" fails="pretrain-checkpoint-example" says="['the generator of the data', 'the order of the data'] differ"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.taken = state["data"]["taken"]
    run.order = torch.randperm(run.rows, generator=run.generator)
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="dropout's random numbers not loaded" fails="pretrain-checkpoint-example" says="torch's random numbers"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="seeds again on the way back" fails="pretrain-checkpoint-example" says="torch's random numbers"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.manual_seed(0)
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the random state read when restoring" fails="pretrain-checkpoint-example" says="torch's random numbers"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(torch.get_rng_state())
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="seeds when saving, which disturbs the run" fails="pretrain-checkpoint-example" says="saving disturbed the run itself"
def checkpoint(run):
    torch.manual_seed(0)
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="draws a batch when saving" fails="pretrain-checkpoint-example" says="saving disturbed the run itself"
def checkpoint(run):
    run.next_rows()
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="puts the model into evaluation mode" fails="pretrain-checkpoint-example" says="saving disturbed the run itself"
def checkpoint(run):
    run.model.eval()
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="keeps the whole model, not its state" fails="pretrain-checkpoint-properties" says="only plain data"
def checkpoint(run):
    state = {
        "model": run.model,
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"].state_dict())
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the order as a NumPy array" fails="pretrain-checkpoint-properties" says="only plain data"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order.numpy(), "taken": run.taken},
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = torch.from_numpy(state["data"]["order"]), state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="another name for a part" fails="pretrain-checkpoint-properties" says="five parts are named"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "data": {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken},
        "rng": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["rng"]["cpu"])
    torch.cuda.set_rng_state_all(state["rng"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="wrong" name="the data's parts at the top" fails="pretrain-checkpoint-properties" says="five parts are named"
def checkpoint(run):
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "generator": run.generator.get_state(),
        "order": run.order,
        "taken": run.taken,
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }
    return copy.deepcopy(state)


def restore(run, state):
    state = copy.deepcopy(state)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.generator.set_state(state["generator"])
    run.order, run.taken = state["order"], state["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])


# %% exercise="pretrain-checkpoint" kind="right" name="through torch's file format in memory, and it prints"
def checkpoint(run):
    import io

    state = {
        "scheduler": run.scheduler.state_dict(),
        "model": run.model.state_dict(),
        "data": (run.generator.get_state(), run.order, run.taken),
        "random": [torch.random.get_rng_state(), *torch.cuda.get_rng_state_all()],
        "optimizer": run.optimizer.state_dict(),
    }
    file = io.BytesIO()
    torch.save(state, file)
    print(f"checkpoint of {file.tell()} bytes after {run.taken} batches")
    file.seek(0)
    return torch.load(file, weights_only=True)


def restore(run, state):
    state = copy.deepcopy(state)
    print("restoring", *state)
    generator, run.order, run.taken = state["data"]
    run.generator.set_state(generator)
    for part in (run.model, run.optimizer, run.scheduler):
        name = "model" if part is run.model else "optimizer" if part is run.optimizer else "scheduler"
        part.load_state_dict(state[name])
    cpu, *gpus = state["random"]
    torch.random.set_rng_state(cpu)
    torch.cuda.set_rng_state_all(gpus)


# %% exercise="pretrain-checkpoint" kind="right" name="tensors cloned one by one"
def clone(part):
    if torch.is_tensor(part):
        return part.detach().clone()
    if isinstance(part, dict):
        return {key: clone(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(clone(value) for value in part)
    return part


def checkpoint(run):
    return {
        "model": clone(dict(run.model.state_dict())),
        "optimizer": clone(run.optimizer.state_dict()),
        "scheduler": clone(run.scheduler.state_dict()),
        "data": {"state": run.generator.get_state().clone(), "order": run.order.tolist(), "taken": int(run.taken)},
        "random": {"cpu": torch.get_rng_state(), "gpu": torch.cuda.get_rng_state_all()},
    }


def restore(run, state):
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["gpu"])
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(clone(state["optimizer"]))
    run.scheduler.load_state_dict(clone(state["scheduler"]))
    run.generator.set_state(state["data"]["state"])
    run.order = torch.tensor(state["data"]["order"], dtype=torch.int64)
    run.taken = state["data"]["taken"]


# %% exercise="pretrain-recovery" kind="wrong" name="mean and standard deviation" fails="pretrain-recovery-example" says="more than the median + 6 times 1.4826 times the median deviation"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.mean(recent)
    spread = max(np.std(recent), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="NaN compared" fails="pretrain-recovery-example" says="or 0.01? NaN?"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="NaN found, infinity not" fails="pretrain-recovery-properties" says="-inf]"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if math.isnan(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="NaN in a short history passes" fails="pretrain-recovery-example" says="losses [nan]"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if len(losses) <= window:
        return False
    if not math.isfinite(newest):
        return True
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the newest loss in its own window" fails="pretrain-recovery-properties" says="the last is not in its own window"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-window:])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the deviation without 1.4826" fails="pretrain-recovery-example" says="times 1.4826 times"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="no least deviation of 0.01" fails="pretrain-recovery-example" says="or 0.01?"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = 1.4826 * np.median(np.abs(recent - middle))
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="a sudden fall is an alarm too" fails="pretrain-recovery-example" says="False expected; more than the median"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(abs(newest - middle) > factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="all losses, not a window" fails="pretrain-recovery-properties" says="window and factor (5, 3.0): False expected"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[:-1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the first losses, not the last" fails="pretrain-recovery-properties" says="window and factor (5, 3.0): False expected"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[:window])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="a short history compared with what there is" fails="pretrain-recovery-properties" says="too few to judge?"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) == 1:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="one loss too many asked for" fails="pretrain-recovery-example" says="window 5, factor 6: True expected"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) - 1 <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the window always 20" fails="pretrain-recovery-example" says="window 5, factor 6: True expected"
def is_spike(losses, window=20, factor=6.0):
    newest, window = losses[-1], 20
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the factor always 6" fails="pretrain-recovery-properties" says="window and factor (5, 3.0): True expected, got False"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + 6.0 * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the limit around 0, not around the median" fails="pretrain-recovery-example" says="more than the median + 6 times 1.4826 times the median deviation"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="takes the newest off the list" fails="pretrain-recovery-properties" says="the list is now"
def is_spike(losses, window=20, factor=6.0):
    newest = losses.pop()
    if not math.isfinite(newest):
        return True
    if len(losses) < window:
        return False
    recent = np.array(losses[-window:])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="tries the bad batch again" fails="pretrain-recovery-example" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
            batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="goes back to the batches after the checkpoint" fails="pretrain-recovery-example" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            batch = kept[-1][0] + 1 if kept else 0
            if batch in alarms:
                batch += 1
            continue
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        kept.append((batch, loss))
        if len(kept) % every == 0:
            state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="undone steps stay in the record" fails="pretrain-recovery-example" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, _saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, _saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="one step too few is undone" fails="pretrain-recovery-example" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved + 1 :]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="does not save at the beginning" fails="pretrain-recovery-example" says="the numbers of kept steps at each save"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], None, 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="saves by the number of the batch" fails="pretrain-recovery-properties" says="the numbers of kept steps at each save"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if (batch + 1) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="saves one step late" fails="pretrain-recovery-properties" says="the numbers of kept steps at each save"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 1:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="does not save at the end" fails="pretrain-recovery-properties" says="the numbers of kept steps at each save"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0 and len(kept) < steps:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="saves again after going back" fails="pretrain-recovery-example" says="the numbers of kept steps at each save"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            state = save()
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="counts the alarms of the whole run" fails="pretrain-recovery-properties" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved = save(), len(kept)
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="counts the alarms since the last kept step" fails="pretrain-recovery-properties" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            failed = 0
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="one alarm more than the limit" fails="pretrain-recovery-properties" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed > limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="raises without going back" fails="pretrain-recovery-properties" says="the batches that the final model was trained on"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
            load(state)
            del kept[saved:]
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="never gives up" fails="pretrain-recovery-properties" says="the error: 'RuntimeError' expected, got ''"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                break
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="another kind of error" fails="pretrain-recovery-properties" says="the error: 'RuntimeError' expected, got 'ValueError'"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise ValueError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="limit always 3" fails="pretrain-recovery-properties" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == 3:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the alarm sees old losses only" fails="pretrain-recovery-example" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([old for _, old in kept]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the alarm sees the newest loss only" fails="pretrain-recovery-properties" says="the losses that the alarm was asked about"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while len(kept) < steps:
        loss = step(batch)
        if spiked([loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="the alarm sees the undone losses too" fails="pretrain-recovery-example" says="the losses that the alarm was asked about"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    history = []
    while len(kept) < steps:
        loss = step(batch)
        history = [*history, loss]
        if spiked(history):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="wrong" name="counts trained steps, not kept ones" fails="pretrain-recovery-example" says="the batches that were tried"
def is_spike(losses, window=20, factor=6.0):
    newest = losses[-1]
    if not math.isfinite(newest):
        return True
    if len(losses) <= window:
        return False
    recent = np.array(losses[-1 - window : -1])
    middle = np.median(recent)
    spread = max(1.4826 * np.median(np.abs(recent - middle)), 0.01)
    return bool(newest > middle + factor * spread)


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    kept, alarms, state, saved, failed, batch = [], [], save(), 0, 0, 0
    while batch < steps:
        loss = step(batch)
        if spiked([old for _, old in kept] + [loss]):
            alarms.append(batch)
            load(state)
            del kept[saved:]
            failed += 1
            if failed == limit:
                raise RuntimeError(f"{limit} alarms since the last checkpoint")
        else:
            kept.append((batch, loss))
            if len(kept) % every == 0:
                state, saved, failed = save(), len(kept), 0
        batch += 1
    return kept, alarms


# %% exercise="pretrain-recovery" kind="right" name="statistics module and slices of one history, and it prints"
def is_spike(losses, window=20, factor=6.0):
    import statistics

    *before, newest = losses
    if math.isnan(newest) or math.isinf(newest):
        print("not a number, or infinite")
        return True
    if len(before) < window:
        return False
    before = before[len(before) - window :]
    m = statistics.median(before)
    s = max(1.4826 * statistics.median(abs(x - m) for x in before), 0.01)
    print(f"{newest:.3f} against {m:.3f} + {factor} * {s:.3f}")
    return newest > m + factor * s


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    batches, losses, alarms = [], [], []
    last, number = (save(), 0), 0
    since = 0
    while len(batches) != steps:
        loss = step(number)
        print(f"batch {number}: loss {loss}")
        batches.append(number)
        losses.append(loss)
        if spiked(list(losses)):
            alarms.append(number)
            since += 1
            load(last[0])
            batches, losses = batches[: last[1]], losses[: last[1]]
            if since >= limit:
                raise RuntimeError("too many alarms")
        elif len(batches) % every == 0:
            last, since = (save(), len(batches)), 0
        number += 1
    return list(zip(batches, losses, strict=False)), alarms


# %% exercise="pretrain-recovery" kind="right" name="sorted lists, a counter from itertools, and a warning at each alarm"
def middle_of(values):
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def is_spike(losses, window=20, factor=6.0):
    newest = float(losses[-1])
    if newest != newest or newest in (math.inf, -math.inf):
        return True
    if len(losses) < window + 1:
        return False
    recent = losses[len(losses) - 1 - window : len(losses) - 1]
    m = middle_of(recent)
    return newest > m + factor * max(0.01, 1.4826 * middle_of([abs(x - m) for x in recent]))


def train_with_recovery(step, save, load, spiked, steps, every, limit=3):
    import itertools
    import warnings

    safe, open_steps, alarms, strikes = [], [], [], 0
    state = save()
    numbers = itertools.count()
    while len(safe) + len(open_steps) < steps:
        batch = next(numbers)
        loss = step(batch)
        if spiked([x for _, x in safe + open_steps] + [loss]):
            warnings.warn(f"alarm at batch {batch}")
            load(state)
            open_steps = []
            alarms.append(batch)
            strikes += 1
            if strikes == limit:
                raise RuntimeError(f"{strikes} alarms in a row")
            continue
        open_steps.append((batch, loss))
        if len(open_steps) == every:
            state, safe, open_steps, strikes = save(), safe + open_steps, [], 0
    return safe + open_steps, alarms


# %% exercise="pretrain-throughput" kind="wrong" name="biases and norms counted as well" fails="pretrain-throughput-example" says="F = 6 N + 12 L T d without the bias"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters())
    flops = 6 * matrices + 12 * layers * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="only the forward pass" fails="pretrain-throughput-example" says="F = 6 N + 12 L T d"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 2 * matrices + 4 * layers * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="two operations forward, two backward" fails="pretrain-throughput-example" says="F = 6 N + 12 L T d"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 4 * matrices + 8 * layers * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="attention forgotten" fails="pretrain-throughput-example" says="F = 6 N + 12 L T d"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="attention of the forward pass only" fails="pretrain-throughput-example" says="F = 6 N + 12 L T d"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 4 * layers * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="attention of one layer" fails="pretrain-throughput-example" says="F = 6 N + 12 L T d"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 12 * (layers > 0) * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="attention over the square of the context" fails="pretrain-throughput-example" says="F = 6 N + 12 L T d"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context**2 * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="attention forgot the width" fails="pretrain-throughput-example" says="F = 6 N + 12 L T d"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="the utilisation in per cent" fails="pretrain-throughput-example" says="MFU = F * speed / peak"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, 100 * flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="the utilisation upside down" fails="pretrain-throughput-example" says="MFU = F * speed / peak"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, peak / (flops * speed)


# %% exercise="pretrain-throughput" kind="wrong" name="tokens per second ignored" fails="pretrain-throughput-example" says="MFU = F * speed / peak"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, flops / peak


# %% exercise="pretrain-throughput" kind="wrong" name="the shared table of embeddings counted twice" fails="pretrain-throughput-properties" says="a matrix with two names is one"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.state_dict().values() if p.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="only linear layers" fails="pretrain-throughput-properties" says="F as PyTorch counts it"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    flops = 6 * matrices + 12 * layers * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="matrices of two dimensions only" fails="pretrain-throughput-properties" says="three dimensions are two or more"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="biases and norms left out by name" fails="pretrain-throughput-properties" says="no matrix, whatever its name"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for n, p in model.named_parameters() if "bias" not in n and "norm" not in n)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, flops * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="utilisation of the matrices only" fails="pretrain-throughput-example" says="MFU = F * speed / peak"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, 6 * matrices * speed / peak


# %% exercise="pretrain-throughput" kind="wrong" name="the machine's peak taken for that of an H100" fails="pretrain-throughput-example" says="MFU = F * speed / peak"
def utilisation(model, layers, width, context, speed, peak):
    matrices = sum(p.numel() for p in model.parameters() if p.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, flops * speed / 989e12


# %% exercise="pretrain-throughput" kind="right" name="a loop that prints, product of shapes"
def utilisation(model, layers, width, context, speed, peak):
    matrices = 0
    for name, parameter in model.named_parameters():
        if len(parameter.shape) > 1:
            matrices += math.prod(parameter.shape)
            print(f"{name}: {math.prod(parameter.shape)}")
    forward = 2.0 * matrices + layers * (2 * context * width + 2 * context * width)
    backward = 2 * forward
    return forward + backward, (forward + backward) / (peak / speed)


# %% exercise="pretrain-throughput" kind="right" name="a vector of sizes in NumPy"
def utilisation(model, layers, width, context, speed, peak):
    sizes = np.array([[p.numel(), p.ndim] for p in model.parameters()], dtype=np.float64)
    flops = float(6 * sizes[sizes[:, 1] > 1, 0].sum() + 12 * width * context * layers)
    return flops, speed * flops / peak


# %% exercise="pretrain-scaling" kind="wrong" name="the normal distribution, not Student's" fails="pretrain-scaling-properties" says="t of Student with n - 5 degrees of freedom at 97.5 %"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.norm.ppf(0.975) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="degrees of freedom without the five numbers" fails="pretrain-scaling-properties" says="t of Student with n - 5 degrees of freedom at 97.5 %"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses)) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="an interval of 90 percent" fails="pretrain-scaling-properties" says="t of Student with n - 5 degrees of freedom at 97.5 %"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.95, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="one standard error" fails="pretrain-scaling-properties" says="t of Student with n - 5 degrees of freedom at 97.5 %"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="variances taken for standard errors" fails="pretrain-scaling-properties" says="exp(log +- t sigma)"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.diag(covariance)
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="divided by the root of n again" fails="pretrain-scaling-properties" says="exp(log +- t sigma)"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance) / len(losses))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="an interval that is symmetric around the number" fails="pretrain-scaling-properties" says="exp(log +- t sigma)"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.array([np.exp(best) * (1 - half), np.exp(best) * (1 + half)])


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="the interval left in logarithms" fails="pretrain-scaling-properties" says="exp(log +- t sigma)"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.array([best - half, best + half])


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="upper ends first" fails="pretrain-scaling-properties" says="lower ends first"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best + half, best - half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="the interval with its axes swapped" fails="pretrain-scaling-properties" says="(shapes (5, 2), (2, 5) mismatch)"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half])).T


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="covariance taken as absolute" fails="pretrain-scaling-properties" says="exp(log +- t sigma)"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000, absolute_sigma=True)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="least squares in the logarithms of the losses" fails="pretrain-scaling-properties" says="not the least squares of the losses?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.log(np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta))

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), np.log(losses), p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="the five numbers themselves varied" fails="pretrain-scaling-properties" says="exp(log +- t sigma)"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return e + a / n**alpha + b / d**beta

    start = np.array([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000, bounds=(0, np.inf))
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return best, np.array([best - half, best + half])


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="the logarithms returned" fails="pretrain-scaling-example" says="losses without noise from a known law: E, A, alpha, B, beta"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return best, np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="E, A, B, alpha, beta" fails="pretrain-scaling-example" says="losses without noise from a known law: E, A, alpha, B, beta"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, b, alpha, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 10, 0.4, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="sizes and tokens exchanged" fails="pretrain-scaling-example" says="losses without noise from a known law: E, A, alpha, B, beta"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        d, n = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="no loss that nobody can beat" fails="pretrain-scaling-example" says="losses without noise from a known law: E, A, alpha, B, beta"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return 0 * e + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="one exponent for both" fails="pretrain-scaling-example" says="losses without noise from a known law: E, A, alpha, B, beta"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(alpha)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="the start returned" fails="pretrain-scaling-example" says="losses without noise from a known law: E, A, alpha, B, beta"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    best = start
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="the losses rescaled in place" fails="pretrain-scaling-properties" says="fit_scaling_law changed its arguments"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    losses /= (scale := losses.max())
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    best = best + np.log(scale) * np.array([1, 1, 0, 1, 0])
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="budget not divided by six" fails="pretrain-scaling-example" says="C / 6? which exponent where?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * flops ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="tokens not divided by six" fails="pretrain-scaling-example" says="C / 6? which exponent where?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / n


# %% exercise="pretrain-scaling" kind="wrong" name="the exponent of the size, not of the text" fails="pretrain-scaling-example" says="C / 6? which exponent where?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (alpha / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="A over B without the exponents" fails="pretrain-scaling-example" says="C / 6? which exponent where?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (a / b) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="the first factor upside down" fails="pretrain-scaling-example" says="C / 6? which exponent where?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (beta * b / (alpha * a)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="the first factor forgotten" fails="pretrain-scaling-example" says="C / 6? which exponent where?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, _a, alpha, _b, beta = law
    n = (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="wrong" name="tokens first" fails="pretrain-scaling-example" says="C / 6? which exponent where?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return flops / (6 * n), n


# %% exercise="pretrain-scaling" kind="wrong" name="twenty tokens for each parameter" fails="pretrain-scaling-example" says="C / 6? which exponent where?"
def fit_scaling_law(sizes, tokens, losses):
    def formula(data, e, a, alpha, b, beta):
        n, d = data
        return np.exp(e) + np.exp(a) / n ** np.exp(alpha) + np.exp(b) / d ** np.exp(beta)

    start = np.log([0.7 * losses.min(), 10, 0.4, 10, 0.4])
    best, covariance = optimize.curve_fit(formula, (sizes, tokens), losses, p0=start, maxfev=20000)
    half = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp(np.array([best - half, best + half]))


def compute_optimal(law, flops):
    _, _a, _alpha, _b, _beta = law
    n = (flops / 120) ** 0.5
    return n, flops / (6 * n)


# %% exercise="pretrain-scaling" kind="right" name="least_squares with its Jacobian, and a root of the derivative; it prints"
def fit_scaling_law(sizes, tokens, losses):
    log_n, log_d = np.log(sizes), np.log(tokens)

    def parts(p):
        small = np.exp(p[1] - np.exp(p[2]) * log_n)
        little = np.exp(p[3] - np.exp(p[4]) * log_d)
        return np.full_like(losses, np.exp(p[0])), small, little

    def jacobian(p):
        e, small, little = parts(p)
        columns = [e, small, -small * log_n * np.exp(p[2]), little, -little * log_d * np.exp(p[4])]
        return np.stack(columns, axis=1)

    start = np.log([0.7 * np.min(losses), 10, 0.4, 10, 0.4])
    fit = optimize.least_squares(
        lambda p: sum(parts(p)) - losses, start, jacobian, method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14
    )
    print("evaluations:", fit.nfev)
    variance = 2 * fit.cost / (len(losses) - 5)
    errors = np.sqrt(variance * np.diag(np.linalg.inv(fit.jac.T @ fit.jac)))
    low, high = stats.t.interval(0.95, len(losses) - 5, fit.x, errors)
    return np.exp(fit.x), np.exp([low, high])


def compute_optimal(law, flops):
    _, a, alpha, b, beta = (float(number) for number in law)

    # the derivative in log N vanishes where the two terms, times their exponents, balance
    def balance(log_n):
        return math.log(alpha * a) - alpha * log_n - math.log(beta * b) + beta * (math.log(flops / 6) - log_n)

    n = math.exp(optimize.brentq(balance, -200, 200, xtol=1e-13))
    print(f"best size {n:.4g}")
    return n, flops / 6 / n


# %% exercise="pretrain-scaling" kind="right" name="curve_fit with the trust-region method, tokens from the formula's mirror image"
def fit_scaling_law(sizes, tokens, losses):
    def law(data, *logs):
        e, a, alpha, b, beta = np.exp(np.array(logs))
        return e + a * data[0] ** -alpha + b * data[1] ** -beta

    start = [np.log(0.7 * losses.min()), np.log(10), np.log(0.4), np.log(10), np.log(0.4)]
    options = {"method": "trf", "xtol": 1e-13, "ftol": 1e-13, "gtol": 1e-13, "max_nfev": 20_000}
    best, covariance = optimize.curve_fit(law, np.stack([sizes, tokens]), losses, p0=start, **options)
    reach = stats.t(len(losses) - 5).ppf(0.975) * covariance.diagonal() ** 0.5
    return np.exp(best), np.stack([np.exp(best) / np.exp(reach), np.exp(best) * np.exp(reach)])


def compute_optimal(law, flops):
    _, a, alpha, b, beta = law
    d = (beta * b / (alpha * a)) ** (1 / (alpha + beta)) * (flops / 6) ** (alpha / (alpha + beta))
    return float(flops / 6 / d), float(d)
