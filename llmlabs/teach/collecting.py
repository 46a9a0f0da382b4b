"""Putting what a learning management system hands over into submitted/STUDENT/SECTION, with nothing lost on the way.

Known without being told, from the path of a notebook in the zip file or folder:

- Moodle: `First Last_12345_assignsubmission_file_/lab.ipynb` (student `first_last_12345`),
- Canvas: `lastfirst_12345_67890_lab.ipynb`, with `_LATE_` if it was late (student `lastfirst_12345`),
- a folder per student: `STUDENT/lab.ipynb`, with any folders between.

nbgrader's own `zip_collect` reads other names by a regular expression, but stops for all at the first name twice.
"""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from llmlabs import catalogue
from llmlabs.errors import CourseError
from llmlabs.grade.rebuild import MAX_BYTES

MOST_FILES = 20_000
_MOODLE = re.compile(r"(?P<student>.+_\d+)_assignsubmission_file_?")
_CANVAS = re.compile(r"(?P<student>[^_/]+(?:_(?P<late>LATE))?_\d+)_\d+_(?P<name>.+)")
_COPY = re.compile(r"([ -]\d+| ?\(\d+\))$")  # "lab-1", "lab (1)": what browsers and Canvas make of a second upload


@dataclass(frozen=True)
class Found:
    """A notebook that was handed in: by whom, its name, when it was put into the archive, and its bytes."""

    student: str
    name: str
    time: tuple[int, ...]
    place: str
    raw: bytes


@dataclass
class Collected:
    """What came of it; each file that was there is in one of the lists.

    Attributes:
        written, unchanged: notebooks in submitted/, new and there before.
        replaced, kept: notebooks that were there before and differ: overwritten, or left as they were.
        left_out: (place, why) of every other file.
        late: students whose Canvas file says LATE.
    """

    written: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    replaced: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        notebooks = (self.written, self.unchanged, self.replaced, self.kept)
        return sum(len(paths) for paths in notebooks) + len(self.left_out)

    @property
    def students(self) -> set[str]:
        everything = (*self.written, *self.unchanged, *self.replaced, *self.kept)
        return {path.parents[1].name for path in everything}


def collect_submissions(root: Path, section: str, archive: Path, *, replace: bool = False) -> Collected:
    """Copy the notebooks of a zip file or folder into submitted/STUDENT/SECTION.

    Args:
        root: the course's folder.
        section: the section's name or number.
        archive: a zip file, or a folder.
        replace: overwrite a notebook that was collected before and differs; without it the old one stays.

    Raises:
        CourseError: if the archive cannot be read, or no notebook in it can be told to be a student's.
    """
    chosen = next(iter(catalogue.load(root).labs(section)))[0]
    labs = {lab.name for lab in chosen.labs}
    result = Collected()
    newest: dict[tuple[str, str], Found] = {}
    for place, time, raw in _files(archive):
        found = raw if isinstance(raw, str) else _recognise(place, time, raw, labs, result)
        if isinstance(found, str):
            result.left_out.append((place, found))
            continue
        key = found.student, found.name
        if key in newest:
            older, newer = sorted((newest[key], found), key=lambda one: (one.time, one.place))
            result.left_out.append((older.place, f"{found.student} handed in {newer.place} as well, which is newer"))
            found = newer
        newest[key] = found
    if not newest:
        raise CourseError(
            f"No notebook in {archive} can be told to be a student's.",
            "Name them STUDENT/LAB.ipynb, or use nbgrader zip_collect with a regular expression.",
        )
    for (student, name), found in sorted(newest.items()):
        _write(root / "submitted" / student / chosen.name / name, found.raw, replace=replace, result=result)
    return result


def _files(archive: Path) -> Iterator[tuple[str, tuple[int, ...], bytes | str]]:
    """Each file of a zip file or folder: its place, time, and bytes or why it is not read."""
    if archive.is_dir():
        for path in sorted(archive.rglob("*")):
            status = path.lstat()
            if path.is_dir() and not path.is_symlink():
                continue
            place = path.relative_to(archive).as_posix()
            if not stat.S_ISREG(status.st_mode):
                yield place, (), "it is a link, and no file"
            else:
                too_large = status.st_size > MAX_BYTES
                yield (
                    place,
                    (status.st_mtime_ns,),
                    f"it has over {MAX_BYTES >> 20} MB" if too_large else path.read_bytes(),
                )
        return
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            if len(entries) > MOST_FILES:
                raise CourseError(f"{archive} holds over {MOST_FILES} files.", "Unpack it, and name the folder.")
            for entry in entries:
                if entry.is_dir():
                    continue
                if entry.file_size > MAX_BYTES:
                    yield entry.filename, entry.date_time, f"it has over {MAX_BYTES >> 20} MB"
                else:
                    yield entry.filename, entry.date_time, _read(opened, entry)
    except (OSError, zipfile.BadZipFile) as error:
        raise CourseError(f"{archive} cannot be read as a zip file or folder: {error}", "Download it again.") from error


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | str:
    """A file's bytes, or why they cannot be had: one that is spoiled must not keep the others out."""
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        return f"it cannot be unpacked ({error}); ask for it again"


def _recognise(place: str, time: tuple[int, ...], raw: bytes, labs: Iterable[str], result: Collected) -> Found | str:
    """Whose notebook a file is, or why it is none."""
    path = PurePosixPath(place)
    if path.suffix != ".ipynb" or ".ipynb_checkpoints" in path.parts or "__MACOSX" in path.parts:
        return "it is no notebook"
    name = path.name
    moodle = [match for part in path.parts[:-1] if (match := _MOODLE.fullmatch(part))]
    if moodle:
        student = moodle[0]["student"]
    elif canvas := _CANVAS.fullmatch(name):
        student, name = canvas["student"].replace("_LATE", ""), canvas["name"]
        if canvas["late"]:
            result.late.append(student_id(student))
    elif len(path.parts) > 1:
        # a folder that holds everybody's, if there is one, is not a student
        student = path.parts[0] if len(path.parts) == 2 else path.parts[-2]
        student = path.parts[-3] if re.fullmatch(r"\d\d_\w+", student) and len(path.parts) > 2 else student
    else:
        return "its name does not say whose it is"
    stem = _COPY.sub("", PurePosixPath(name).stem)
    # another name is the grader's business: it knows a lab by its cells
    name = f"{stem}.ipynb" if stem in labs else PurePosixPath(name).name
    return Found(student_id(student), name, time, place, raw)


def student_id(text: str) -> str:
    """A name as nbgrader and the file system can hold it: small letters, digits, `_`, `-` and `.`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_.-]+", "_", plain.lower()).strip("._-") or "unnamed"


def _write(path: Path, raw: bytes, *, replace: bool, result: Collected) -> None:
    if path.is_file():
        if path.read_bytes() == raw:
            result.unchanged.append(path)
            return
        if not replace:
            result.kept.append(path)
            return
    listed = result.replaced if path.is_file() else result.written
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(raw)
    partial.replace(path)
    listed.append(path)
