"""data/ is what its cards say, and a planted defect of each kind is found."""

from __future__ import annotations

import importlib.util
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from llmlabs import datasets
from llmlabs.errors import CourseError

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = {
    "sense_and_sensibility": 50,
    "pride_and_prejudice": 61,
    "mansfield_park": 48,
    "emma": 55,
    "northanger_abbey": 31,
    "persuasion": 24,
}


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A copy of the course's data that a test may spoil."""
    shutil.copytree(ROOT / "data", tmp_path / "data")
    return tmp_path


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """data/build.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("data_build", ROOT / "data" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edit_card(course: Path, **changes: object) -> None:
    path = course / "data" / "austen" / "card.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_the_data_is_what_its_cards_say() -> None:
    assert datasets.verify(ROOT) == []


def test_every_set_can_be_rebuilt(build: ModuleType) -> None:
    assert sorted(build.SETS) == [card.name for card in datasets.load_cards(ROOT)]


# ---- planted defects -------------------------------------------------------------------------------------------------


def changed_byte(data: Path) -> None:
    path = data / "austen" / "emma.txt"
    path.write_bytes(path.read_bytes().replace(b"Emma Woodhouse", b"Emma Woodhousf", 1))


def crlf(data: Path) -> None:
    path = data / "austen" / "emma.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def missing_file(data: Path) -> None:
    (data / "austen" / "emma.txt").unlink()


def unlisted_file(data: Path) -> None:
    (data / "austen" / "sanditon.txt").write_text("A gentleman and a lady\n", encoding="utf-8")


def unlisted_file_deep_down(data: Path) -> None:
    (data / "austen" / "drafts").mkdir()
    (data / "austen" / "drafts" / "sanditon.txt").write_text("A gentleman and a lady\n", encoding="utf-8")


def stray_file(data: Path) -> None:
    (data / "words.csv").write_text("word\n", encoding="utf-8")


def folder_without_card(data: Path) -> None:
    (data / "burney").mkdir()
    (data / "burney" / "evelina.txt").write_text("Can any thing\n", encoding="utf-8")


def empty_folder(data: Path) -> None:
    (data / "burney").mkdir()


def wrong_size(data: Path) -> None:
    card = yaml.safe_load((data / "austen" / "card.yml").read_text(encoding="utf-8"))
    card["files"][0]["bytes"] += 1
    edit_card(data.parent, files=card["files"])


def card_without_files(data: Path) -> None:
    edit_card(data.parent, files=[])


def unknown_field(data: Path) -> None:
    edit_card(data.parent, colour="blue")


def other_name(data: Path) -> None:
    edit_card(data.parent, name="burney")


def broken_yaml(data: Path) -> None:
    (data / "austen" / "card.yml").write_text("name: [austen\n", encoding="utf-8")


def licence_not_listed(data: Path) -> None:
    page = (data / "LICENSES.md").read_text(encoding="utf-8")
    (data / "LICENSES.md").write_text(re.sub(r"^\| \[austen/\].*\n", "", page, flags=re.MULTILINE), encoding="utf-8")


def licence_changed(data: Path) -> None:
    card = yaml.safe_load((data / "austen" / "card.yml").read_text(encoding="utf-8"))
    edit_card(data.parent, licence=card["licence"] | {"name": "CC BY 4.0", "spdx": "CC-BY-4.0"})


def licence_without_a_set(data: Path) -> None:
    with (data / "LICENSES.md").open("a", encoding="utf-8") as page:
        page.write("| [burney/](burney/card.yml) | Evelina | Public domain | `LicenseRef-Public-Domain` | - |\n")


def no_licences_page(data: Path) -> None:
    (data / "LICENSES.md").unlink()


@pytest.mark.parametrize(
    ("defect", "place", "message"),
    [
        (changed_byte, "data/austen/emma.txt", "sha256 differs"),
        (crlf, "data/austen/emma.txt", "line ends became CRLF"),
        (missing_file, "data/austen/emma.txt", "is missing"),
        (unlisted_file, "data/austen/sanditon.txt", "card.yml does not list it"),
        (unlisted_file_deep_down, "data/austen/drafts/sanditon.txt", "card.yml does not list it"),
        (stray_file, "data/words.csv", "belongs to no set"),
        (folder_without_card, "data/burney/", "has no card.yml"),
        (empty_folder, "data/burney/", "has no card.yml"),
        (wrong_size, "data/austen/sense_and_sensibility.txt", "mend the card"),
        (card_without_files, "data/austen/card.yml", "files: List should have at least 1 item"),
        (unknown_field, "data/austen/card.yml", "colour: Extra inputs are not permitted"),
        (other_name, "data/austen/card.yml", "names the set 'burney'"),
        (broken_yaml, "data/austen/card.yml", "is not valid YAML"),
        (licence_not_listed, "data/LICENSES.md", "does not list austen"),
        (licence_changed, "data/LICENSES.md", "does not list austen with its licence (CC BY 4.0)"),
        (licence_without_a_set, "data/LICENSES.md", "more or other text"),
        (no_licences_page, "data/LICENSES.md", "is missing"),
    ],
)
def test_a_defect_is_found_and_named_once(
    course: Path, defect: Callable[[Path], None], place: str, message: str
) -> None:
    defect(course / "data")
    problems = datasets.verify(course)
    assert len(problems) == 1, problems
    assert problems[0].startswith(place)
    assert message in problems[0]


@pytest.mark.parametrize("keep_the_folder", [True, False])
def test_no_data_at_all_is_a_problem(tmp_path: Path, keep_the_folder: bool) -> None:
    if keep_the_folder:
        (tmp_path / "data").mkdir()
    assert [problem.split(";")[0] for problem in datasets.verify(tmp_path)] == ["data/: no data set is there"]
    with pytest.raises(CourseError, match="holds no data set"):
        datasets.load_cards(tmp_path)


def test_what_programs_leave_behind_is_no_defect(course: Path) -> None:
    for folder in (course / "data", course / "data" / "austen"):
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints" / "emma-checkpoint.txt").write_text("Emma\n", encoding="utf-8")
    assert datasets.verify(course) == []


# ---- cards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["../emma.txt", "/etc/hosts", "a//b.txt", "a\\b.txt", "", ".", "card.yml"])
def test_a_card_lists_only_files_inside_its_folder(path: str) -> None:
    with pytest.raises(ValueError, match=r"inside the set's folder|does not list itself"):
        datasets.DataFile(path=path, bytes=1, sha256="0" * 64)


@pytest.mark.parametrize(("spdx", "message"), [("PD", "no SPDX licence expression"), ("mit", "write 'MIT'")])
def test_a_licence_has_an_spdx_expression(spdx: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datasets.Licence(name="-", spdx=spdx, why="-", source="https://example.org")


def test_load_cards_names_the_card_that_is_not_valid(course: Path) -> None:
    edit_card(course, rows=0)
    with pytest.raises(CourseError, match=re.escape("data/austen/card.yml, rows: Input should be greater than 0")):
        datasets.load_cards(course)


# ---- build.py --------------------------------------------------------------------------------------------------------


def test_a_novel_is_cleaned_of_what_is_not_its_authors(build: ModuleType) -> None:
    text = (
        "EMMA\n\n\n\n\n\nI _do\nso_ wish  \nit\n\n(End of volume one.)\n\n\n\nChapter 2\n\nA NOTE ON THE TEXT\n\nOurs."
    )
    assert build.clean_novel(text) == "EMMA\n\n\nI do\nso wish\nit\n\n\nChapter 2\n"


def test_text_is_normalized(build: ModuleType) -> None:
    assert build.normalized("cafe\u0301 \r\n\tb\t\n") == "caf\u00e9\n\tb\n"


def test_a_set_is_written_as_its_card_says_and_the_same_again(build: ModuleType, tmp_path: Path) -> None:
    card = datasets.load_cards(ROOT)[0].model_dump(exclude={"files"})
    built = build.Built(card | {"name": "tiny"}, {"a.txt": b"one\n", "deep/b.txt": b"two\n"}, {})
    for copy in ("first", "second"):
        build.write(built, tmp_path / copy / "data" / "tiny")
    first = tmp_path / "first"
    (first / "data" / "LICENSES.md").write_text(datasets.licences_page(datasets.load_cards(first)), encoding="utf-8")
    assert datasets.verify(first) == []
    again = tmp_path / "second" / "data" / "tiny"
    assert build.differences(again, first / "data" / "tiny") == []

    (again / "a.txt").write_bytes(b"One\n")
    (again / "deep" / "b.txt").unlink()
    (again / "c.txt").write_bytes(b"three\n")
    assert build.differences(again, first / "data" / "tiny") == [
        "tiny/a.txt: the rebuilt file differs",
        "tiny/c.txt: rebuilt, but not committed",
        "tiny/deep/b.txt: committed, but not rebuilt",
    ]


# ---- austen ----------------------------------------------------------------------------------------------------------


def novel(title: str) -> str:
    return (ROOT / "data" / "austen" / f"{title}.txt").read_bytes().decode("utf-8")


def test_austen_has_the_rows_and_words_of_its_card() -> None:
    card = next(card for card in datasets.load_cards(ROOT) if card.name == "austen")
    assert {file.path for file in card.files} == {f"{title}.txt" for title in CHAPTERS}
    texts = [novel(title) for title in CHAPTERS]
    assert sum(len(text.split()) for text in texts) == card.words
    assert sum(len(re.split(r"\n\n+", text.strip())) for text in texts) == card.rows


@pytest.mark.parametrize("title", CHAPTERS)
def test_a_novel_is_whole_and_plain(title: str) -> None:
    text = novel(title)
    assert text.split("\n")[0].casefold() == title.replace("_", " ")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\n\n\n\n" not in text
    # the card promises two empty lines before each chapter, so that a lab can split there
    chapters = re.findall(r"(?<=\n\n\n)chapter (?:[ivxl]+|\d+)\n\n", text, re.IGNORECASE)
    assert len(chapters) == CHAPTERS[title]
    assert unicodedata.normalize("NFC", text) == text
    assert {char for char in text if not (char.isascii() and char.isprintable())} <= {"\n", "£"}
    assert not re.search(
        r"gutenberg|\be-?book|copyright|constable|signet|volume (one|1|ii) end|[_<>{}\\^~]", text, re.I
    )
