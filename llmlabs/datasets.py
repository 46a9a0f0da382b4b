"""The cards of data/: what each data set is, where it comes from, under which licence, and the hash of every file."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

import yaml
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmlabs.errors import CourseError

CARD = "card.yml"
LICENCES = "LICENSES.md"
# what data/ holds beside the sets
_COMMON = {LICENCES, "README.md", "build.py", ".gitattributes"}
# what programs leave behind; nobody's data
_LEFT_BEHIND = {"__pycache__", ".ipynb_checkpoints", ".DS_Store", "Thumbs.db"}
_RESTORE = "restore it with `git checkout -- {path}`, or rebuild the set with data/build.py"


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or str(PurePosixPath(path)) != path:
        raise ValueError(f"must be a path inside the set's folder with / between its parts, found {path!r}")
    if path == CARD:
        raise ValueError("the card does not list itself")
    return path


def _spdx(expression: str) -> str:
    try:
        known = canonicalize_license_expression(expression)
    except InvalidLicenseExpression as error:
        raise ValueError(
            f"{expression!r} is no SPDX licence expression; where SPDX has no identifier, write LicenseRef-Some-Name"
        ) from error
    if known != expression:
        raise ValueError(f"write {known!r}, as SPDX does, not {expression!r}")
    return expression


Text = Annotated[str, Field(min_length=1)]
Link = Annotated[str, Field(pattern=r"^https://\S+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(gt=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Entry):
    """The package that the set was made from."""

    package: Text
    version: Text
    archive_sha256: Annotated[Sha256, Field(description="of the downloaded package")]
    inside: Annotated[Text, Field(description="the file or folder inside the package")]


class Licence(_Entry):
    """The licence of the data itself, not of the package that carried it."""

    name: Text
    spdx: Annotated[str, AfterValidator(_spdx)]
    why: Annotated[Text, Field(description="who says so, and what it asks of you")]
    source: Annotated[Link, Field(description="where the original can be read")]


class DataFile(_Entry):
    """One file of the set."""

    path: Annotated[str, AfterValidator(_inside)]
    bytes: Count
    sha256: Sha256
    source: Annotated[Link | None, Field(description="the original of this file, where it has one of its own")] = None


class Card(_Entry):
    """What card.yml holds."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", description="also the name of its folder")]
    title: Text
    description: Text
    author: Text
    languages: Annotated[list[Text], Field(min_length=1, description="BCP 47 tags")]
    origin: Origin
    licence: Licence
    rows: Count
    row: Annotated[Text, Field(description="what one row is: a paragraph, a pair of sentences ...")]
    words: Annotated[Count, Field(description="pieces of text between white space")]
    made: Annotated[Text, Field(description="how the files were made from the package, step by step")]
    files: Annotated[list[DataFile], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if twice := [path for path, count in Counter(file.path for file in self.files).items() if count > 1]:
            raise ValueError(f"files listed twice: {', '.join(twice)}")
        return self


def load_cards(root: Path) -> list[Card]:
    """The cards of all sets in `root`/data, by name.

    Raises:
        CourseError: if there is no set, or a card is missing or not valid.
    """
    folders = _folders(root / "data")
    if not folders:
        raise CourseError(f"{root / 'data'} holds no data set.", "Restore it with: git checkout -- data")
    return [_load(folder) for folder in folders]


def verify(root: Path) -> list[str]:
    """Check every file of `root`/data against its card, and the cards against LICENSES.md.

    Returns:
        One line a problem, with what mends it; empty if all is well. A data folder without a set is a problem.
    """
    data = root / "data"
    folders = _folders(data)
    if not folders:
        return ["data/: no data set is there; restore it with `git checkout -- data`"]
    problems = [
        f"data/{path.name}: belongs to no set; move it into a set's folder and list it in its {CARD}, or delete it"
        for path in _children(data)
        if path.is_file() and path.name not in _COMMON
    ]
    cards = []
    for folder in folders:
        try:
            card = _load(folder)
        except CourseError as error:
            problems.append(f"{error.what} {error.mend}")
            continue
        cards.append(card)
        problems += _verify_files(folder, card)
    return problems + _verify_licences(data / LICENCES, cards, complete=len(cards) == len(folders))


def licences_page(cards: list[Card]) -> str:
    """The text of LICENSES.md: one row a set."""
    lines = [
        "# Licences of the data sets",
        "",
        "Made from the cards by `data/build.py`; `make data` checks that the two agree. The licence is that of the",
        "data itself; each card says why it applies and which package carried the data.",
        "",
        "| Folder | Data set | Licence | SPDX | Original |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_licence_row(card) for card in sorted(cards, key=lambda card: card.name)]
    return "\n".join(lines) + "\n"


def _licence_row(card: Card) -> str:
    licence = card.licence
    return (
        f"| [{card.name}/]({card.name}/{CARD}) | {card.title} | {licence.name} | `{licence.spdx}` | {licence.source} |"
    )


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name not in _LEFT_BEHIND)


def _folders(data: Path) -> list[Path]:
    return [path for path in _children(data) if path.is_dir()] if data.is_dir() else []


def _load(folder: Path) -> Card:
    path = folder / CARD
    shown = f"data/{folder.name}/{CARD}"
    if not path.is_file():
        raise CourseError(
            f"data/{folder.name}/: has no {CARD}.", "Write one (data/README.md says how), or delete the folder."
        )
    try:
        card = Card.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CourseError(f"{shown}: is not valid YAML: {error}.", "Mend the line that it names.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = " > ".join(str(part) for part in first["loc"]) or "the whole file"
        message = first["msg"].removeprefix("Value error, ")
        raise CourseError(f"{shown}, {place}: {message}.", "Mend the card.") from error
    if card.name != folder.name:
        raise CourseError(f"{shown}: names the set {card.name!r}.", f"Name it {folder.name!r}, as its folder.")
    return card


def _verify_files(folder: Path, card: Card) -> list[str]:
    problems = []
    for file in card.files:
        shown = f"data/{card.name}/{file.path}"
        path = folder / file.path
        if not path.is_file():
            problems.append(f"{shown}: is missing; {_RESTORE.format(path=shown)}")
            continue
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == file.sha256:
            if len(content) != file.bytes:
                problems.append(f"{shown}: has {len(content):,} bytes, its card says {file.bytes:,}; mend the card")
        elif hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest() == file.sha256:
            problems.append(f"{shown}: its line ends became CRLF; {_RESTORE.format(path=shown)}")
        else:
            problems.append(f"{shown}: is not the file of the card (sha256 differs); {_RESTORE.format(path=shown)}")
    listed = {CARD, *(file.path for file in card.files)}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_dir() or _LEFT_BEHIND.intersection(relative.parts) or relative.as_posix() in listed:
            continue
        problems.append(f"data/{card.name}/{relative.as_posix()}: its {CARD} does not list it; list it or delete it")
    return problems


def _verify_licences(path: Path, cards: list[Card], *, complete: bool) -> list[str]:
    mend = "make the page again with data/build.py"
    if not path.is_file():
        return [f"data/{LICENCES}: is missing; {mend}"]
    page = path.read_text(encoding="utf-8")
    rows = page.splitlines()
    problems = [
        f"data/{LICENCES}: does not list {card.name} with its licence ({card.licence.name}) as its card does; {mend}"
        for card in cards
        if _licence_row(card) not in rows
    ]
    # while a card cannot be read its row cannot be judged
    if complete and not problems and page != licences_page(cards):
        problems.append(f"data/{LICENCES}: holds more or other text than the cards give; {mend}")
    return problems
