"""The data sets of the labs, each loaded offline from a package or from the course's data/ folder."""

import os
from pathlib import Path
from typing import NamedTuple

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
