# /// script
# requires-python = ">=3.11"
# dependencies = ["rdata==1.1.0", "numpy==2.4.6", "pydantic==2.14.3", "PyYAML==6.0.3", "packaging==26.3"]
# ///
"""Rebuild the data sets from the packages that they come from, and compare with what is committed, or replace it.

    .venv/bin/uv run --script data/build.py --check            # do the packages still give the same bytes?
    .venv/bin/uv run --script data/build.py --write austen     # replace data/austen/ and data/LICENSES.md

Only who changes a data set needs this: the sets themselves are committed. It needs a Debian or Ubuntu with
`apt-get download` and `dpkg-deb` (no root), and the network. uv reads the header above and runs the script in a
throw-away environment with `rdata`, which reads R's data format without R. `--packages FOLDER` takes packages
downloaded before, for a day when the mirror has moved on (snapshot.debian.org keeps all of Debian's).

One function a set makes all its files and the facts of its card from the package, the same bytes every time: text is
UTF-8 in NFC with "\\n" line ends.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import zlib
from collections.abc import Callable
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
    actual = hashlib.sha256(archive.read_bytes()).hexdigest()
    if actual != sha256:
        raise CourseError(
            f"{archive.name} has sha256 {actual}, expected {sha256}.",
            "Download the package again; if Debian has changed it, look at what changed before you change the hash.",
        )
    folder = packages / archive.stem
    run(["dpkg-deb", "-x", str(archive), str(folder)], packages)
    return folder


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


SETS: dict[str, Callable[[Path], Built]] = {"austen": austen}


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
