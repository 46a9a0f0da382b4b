"""The three people whom the course is for, from a clean clone: `python -m benchmarks.journeys` writes docs/journeys.md.

Runs the commands of README.md, docs/learners.md and docs/instructors.md in a fresh clone with an environment of its own
and writes down what each printed and how long it took. A command that fails ends the run. What a person writes into a
notebook comes from answers/.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil

from llmlabs import catalogue
from llmlabs.build.builder import Source, read_sources
from llmlabs.notebook import graded_cells_by_exercise
from llmlabs.verify.answers import Answer, answers_path, read_answers
from llmlabs.verify.submissions import answered, solutions

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "journeys.md"
LEARNED, TAUGHT = "03_tokenization/bpe_from_scratch", "01_neural_networks/network_from_scratch"
SECTION, NOTEBOOK = TAUGHT.split("/")
EXCHANGE = "--Exchange.root=../exchange"
MOST_LINES = 40


@dataclass(frozen=True)
class Command:
    """What a person types.

    Attributes:
        line: for the shell, in the clone or in `folder`.
        folder: another folder to type it in, beside the clone.
        keys: what the person answers to questions.
    """

    line: str
    folder: str = "llm_labs"
    keys: str = ""


@dataclass(frozen=True)
class Deed:
    """What a person does with an editor or a browser: in words, and as code."""

    words: str
    do: Callable[[], None]


class Journeys:
    """The three journeys in one clone."""

    def __init__(self, home: Path) -> None:
        self.home, self.clone = home, home / "llm_labs"
        (home / "exchange").mkdir()
        (home / "exchange").chmod(0o777)  # nbgrader demands that everybody can hand in
        (home / "student").mkdir()
        self.lines: list[str] = []

    def source(self, lab: str) -> tuple[Source, list[Answer]]:
        [source] = read_sources(ROOT, catalogue.load(ROOT), lab)
        return source, read_answers(answers_path(ROOT, source.section, source.lab))

    def write(self, path: Path, lab: str, *, solved: int, mistaken: bool = False) -> None:
        """Write the solutions of the first exercises into a notebook; `mistaken`: a wrong answer in the next one."""
        source, answers = self.source(lab)
        exercises = list(graded_cells_by_exercise(source.notebook))
        texts = solutions(source.notebook, exercises[:solved])
        if mistaken:
            wrong = next(a for a in answers if a.exercise == exercises[solved] and a.kind == "wrong")
            texts[wrong.exercise] = wrong.source
        nbformat.write(answered(nbformat.read(path, as_version=4), texts), path)

    def learner(self) -> Iterator[Command | Deed]:
        path = f"work/{LEARNED}.ipynb"
        yield Command("llmlabs where-to-start", keys="2\n" * 9 + "all\n")
        yield Command("llmlabs start 03")
        words = "She solves the first two exercises in JupyterLab; the third one has a mistake."
        yield Deed(words, lambda: self.write(self.clone / path, LEARNED, solved=2, mistaken=True))
        yield Command(f"llmlabs check {path}")
        words = "She reads what it says about the third, opens the hint, and mends it."
        yield Deed(words, lambda: self.write(self.clone / path, LEARNED, solved=3))
        yield Command(f"llmlabs check {path}")
        yield Command("llmlabs progress")
        yield Command("llmlabs start 03")

    def student(self) -> Iterator[Command | Deed]:
        path = f"{SECTION}/{NOTEBOOK}.ipynb"
        yield Command(f"nbgrader release_assignment {SECTION} {EXCHANGE}")
        at_home = f"--course llm_labs {EXCHANGE}"
        yield Command(f"nbgrader fetch_assignment {SECTION} {at_home}", "student")
        words = "He solves two exercises, and makes a mistake in the third."
        yield Deed(words, lambda: self.write(self.home / "student" / path, TAUGHT, solved=2, mistaken=True))
        yield Command(f"nbgrader validate {path}", "student")
        yield Command(f"nbgrader submit {SECTION} {at_home}", "student")
        yield Command(f"nbgrader collect {SECTION} {EXCHANGE}")
        yield Command("llmlabs grade 01")
        yield Command(f"nbgrader release_feedback {SECTION} {EXCHANGE}")
        yield Command(f"nbgrader fetch_feedback {SECTION} {at_home}", "student")
        yield Command(f"find {SECTION} -name '*.html'", "student")

    def instructor(self) -> Iterator[Command | Deed]:
        yield Command("make demo")
        yield Command("make clean")
        yield Deed("She downloads what seven students handed in, as Canvas packs it.", self.pack)
        yield Command("llmlabs collect 01 ../submissions.zip")
        yield Command(f"make grade SECTION={SECTION}")
        yield Command("llmlabs report 01")
        yield Deed("A student is right: a message was unclear. She mends it in source/.", self.mend)
        yield Command("llmlabs build --no-solutions 01")
        yield Command(f"make grade SECTION={SECTION}")
        yield Command("llmlabs export --format canvas")
        yield Command("head -n 4 canvas_grades.csv")

    def pack(self) -> None:
        """A zip file of seven students: solved in part and wholly, blank, wrong, and one file that is no notebook."""
        source, answers = self.source(TAUGHT)
        exercises = list(graded_cells_by_exercise(source.notebook))
        release = nbformat.read(self.clone / "release" / f"{TAUGHT}.ipynb", as_version=4)
        everything, wrong = solutions(source.notebook), [a for a in answers if a.kind == "wrong"]
        handed = [solutions(source.notebook, exercises[:n]) for n in range(0, len(exercises) + 1, 2)]
        handed += [everything | {a.exercise: a.source} for a in wrong[:: len(wrong) // 2]]
        with zipfile.ZipFile(self.home / "submissions.zip", "w") as archive:
            for number, texts in enumerate(handed[:6]):
                text = nbformat.writes(answered(release, texts))
                archive.writestr(f"student{chr(97 + number)}_{100 + number}_{5000 + number}_{NOTEBOOK}.ipynb", text)
            archive.writestr(f"studentz_199_5199_{NOTEBOOK}.ipynb", "I could not save it")

    def mend(self) -> None:
        path = self.clone / "source" / f"{TAUGHT}.py"
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"(assert .*f\")", r"\1look again: ", text, count=1), encoding="utf-8")

    def walk(self, title: str, told: str, steps: Iterator[Command | Deed]) -> None:
        """Take the steps of one person and write them down."""
        lines, started, number = [], time.monotonic(), 0
        for step in steps:
            number += 1
            if isinstance(step, Deed):
                step.do()
                lines += [f"*{step.words}*", ""]
                continue
            output, seconds = self.run(step)
            print(f"{title}: {step.line}: {seconds:.0f} s", flush=True)
            where = "" if step.folder == "llm_labs" else f"{step.folder}"
            lines += ["```console", f"{where}$ {step.line}", *output, "```", "", f"{seconds:.0f} s", ""]
        minutes = (time.monotonic() - started) / 60
        self.lines += [f"## {title}", "", f"{told} In all {minutes:.1f} minutes of waiting.", "", *lines]

    def run(self, command: Command) -> tuple[list[str], float]:
        """What a command printed, without paths of this machine and no longer than can be read, and its seconds."""
        hidden = ("LLMLABS_", "PYTHONPATH", "VIRTUAL_ENV")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        environment |= {"PATH": f"{self.clone}/.venv/bin:{os.environ['PATH']}", "COLUMNS": "110", "NO_COLOR": "1"}
        # nbgrader keeps what a student handed in under the home folder
        environment |= {
            "HOME": str(self.home),
            "PYTHON": sys.executable,
            "LLMLABS_SEED": "a long text that only she knows",
        }
        started = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", command.line],
            cwd=self.home / command.folder,
            env=environment,
            input=command.keys,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        seconds = time.monotonic() - started
        if done.returncode:
            sys.exit(f"{command.line} failed:\n{done.stdout}")
        text = done.stdout.replace(str(self.home.resolve()), "~").replace(str(self.home), "~")
        lines = [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
        if len(lines) > MOST_LINES:
            left_out = len(lines) - MOST_LINES
            lines = [*lines[: MOST_LINES // 2], f"[... {left_out} lines]", *lines[-MOST_LINES // 2 :]]
        return lines, seconds


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="llmlabs-journeys-") as folder:
        journeys = Journeys(Path(folder))
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(journeys.clone)], check=True)
        _, seconds = journeys.run(Command("make setup"))
        print(f"make setup: {seconds:.0f} s", flush=True)
        journeys.walk("A self-learner", "She knows Python and wants to understand tokenizers.", journeys.learner())
        journeys.walk("A student", "His class uses nbgrader's exchange.", journeys.student())
        shutil.rmtree(journeys.clone / "submitted")
        (journeys.clone / "gradebook.db").unlink()
        journeys.walk("An instructor", "From the clone to a graded class.", journeys.instructor())
    head = [
        "# Three journeys",
        "",
        "Made by `python -m benchmarks.journeys`: each command of the guides, in a clean clone with an environment of",
        f"its own, on {psutil.cpu_count()} cores. `git clone` and `make setup`, once: {seconds:.0f} s.",
        "",
    ]
    PAGE.write_text("\n".join([*head, *journeys.lines]).rstrip() + "\n", encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
