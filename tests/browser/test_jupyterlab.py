"""`make lab` in a real browser: formgrader, Validate, and sources that open as notebooks and save back."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import nbformat
import pytest

from llmlabs.jupyter import lab_command

from .served import BARE_PATH, LAB, PROGRAMS, SECTION, STUDENT, Screenshot, Server

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, FrameLocator, Locator, Page

# a validation runs the whole notebook, on a machine that may be busy
VALIDATE_MS = 240_000


def open_file(page: Page, path: str) -> None:
    """Open a file of the course by double clicks in the file browser; wait until its kernel is idle."""
    page.locator(".jp-BreadCrumbs-home").click()
    for name in path.split("/"):
        item = page.locator(".jp-DirListing-itemText", has_text=re.compile(f"^{re.escape(name)}$"))
        item.dblclick()
    page.locator(".jp-NotebookPanel .jp-Cell h1").wait_for()
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()


def choose(page: Page, menu: str, item: str) -> None:
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(".lm-Menu-item", has_text=re.compile(f"^{re.escape(item)}$")).click()


def validation(page: Page) -> Locator:
    """Press Validate and return the dialog with the results."""
    page.locator(".jp-NotebookPanel-toolbar").get_by_text("Validate", exact=True).click()
    dialog = page.locator(".jp-Dialog")
    dialog.wait_for(timeout=VALIDATE_MS)
    assert "Validation Results" in dialog.inner_text(), f"Validate answers:\n{dialog.inner_text()}"
    return dialog


def dialogs(page: Page) -> list[str]:
    """What JupyterLab says over its page: dialogs, and notifications in the corner."""
    return [*page.locator(".jp-Dialog").all_inner_texts(), *page.locator(".Toastify__toast").all_inner_texts()]


def section_row(formgrader: FrameLocator) -> Locator:
    return formgrader.locator("tr", has=formgrader.get_by_role("link", name=SECTION, exact=True))


def press(formgrader: FrameLocator, button: str, message: str) -> None:
    """Press a button in the section's row, read formgrader's answer and close it."""
    section_row(formgrader).locator(button).click()
    answer = formgrader.locator(".modal-dialog:visible")
    answer.wait_for()
    assert message in answer.inner_text(), f"formgrader says:\n{answer.inner_text()}"
    answer.get_by_role("button", name="Close", exact=True).last.click()
    answer.wait_for(state="hidden")


def test_without_the_token_nobody_gets_in(server: Server, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{server.url}lab")
    page.get_by_text("Token authentication is enabled").wait_for()
    assert page.locator("#jp-main-dock-panel").count() == 0, "JupyterLab opened without its token"
    page.close()


def test_opens_without_dialogs(page: Page) -> None:
    """News, a rebuild, a missing exchange folder: nothing that a learner has to click away."""
    page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Formgrader").first.wait_for()
    items = [item for item in page.locator(".lm-Menu-itemLabel:visible").all_inner_texts() if item]
    assert items == ["Formgrader", "Create assignment"], f"the Nbgrader menu offers {items}"
    # the launcher and the news arrive after the first paint
    page.wait_for_load_state("networkidle")
    assert dialogs(page) == [], "JupyterLab starts with something to click away"


def test_formgrader_shows_the_section(page: Page, server: Server, screenshot: Screenshot) -> None:
    choose(page, "Nbgrader", "Formgrader")
    formgrader = page.frame_locator("iframe")
    row = section_row(formgrader)
    row.wait_for()
    assert formgrader.locator(".alert:visible").all_inner_texts() == [], "formgrader warns of something"
    assert row.locator(".status").inner_text() == "draft"
    assert row.locator(".num-submissions").inner_text() == "1", f"submitted/{STUDENT} is not counted"
    assert row.locator(".preview a").count() == 1, f"formgrader does not see release/{SECTION}"
    # room for all columns
    page.keyboard.press("Control+b")
    screenshot("formgrader")

    # from the notebook beside the source: nbgrader makes the release that is there already
    release = server.course / "release" / SECTION / f"{LAB}.ipynb"
    before = nbformat.read(release, as_version=4)
    press(formgrader, ".assign a", f"Successfully created the student version of '{SECTION}'")
    assert nbformat.read(release, as_version=4) == before, "release/ is not what source/ gives: run llmlabs build"

    press(formgrader, ".release a", f"Successfully released '{SECTION}'")
    row.locator(".status", has_text="released").wait_for()

    row.locator(".num-submissions a").click()
    formgrader.locator("tr", has_text=STUDENT).get_by_text("needs autograding").wait_for()


def test_validate_fails_on_the_blank_release(page: Page, screenshot: Screenshot) -> None:
    open_file(page, f"release/{SECTION}/{LAB}.ipynb")
    screenshot("jupyterlab-release")
    dialog = validation(page)
    found = dialog.inner_text()
    screenshot("validate")
    assert "The following cell failed" in found
    assert "NotImplementedError" in found, f"a blank exercise should fail as not implemented, got:\n{found[:2000]}"
    assert "Timeout" not in found, f"a cell of the blank release ran into nbgrader's time limit:\n{found[:2000]}"
    dialog.get_by_role("button", name="Ok").click()
    assert dialogs(page) == []


def test_validate_passes_when_solved(page: Page) -> None:
    open_file(page, f"submitted/{STUDENT}/{SECTION}/{LAB}.ipynb")
    found = validation(page).inner_text()
    assert "Success! Your notebook passes all the tests." in found, found[:3000]


def test_a_source_opens_as_a_notebook_and_saves_back(page: Page, server: Server, screenshot: Screenshot) -> None:
    """An edited cell is all that changes in the percent file; runs, outputs and folded cells leave no trace."""
    path = server.course / "source" / SECTION / f"{LAB}.py"
    before = path.read_text(encoding="utf-8")
    open_file(page, f"source/{SECTION}/{LAB}.py")
    title = page.locator(".jp-NotebookPanel .jp-Cell", has=page.locator("h1"))
    parameters = page.locator(".jp-NotebookPanel .jp-CodeCell", has_text="SCALE = ").first
    screenshot("source-as-notebook")

    # the text under the title
    title.locator("h1").click()
    page.keyboard.press("Enter")
    page.locator(".jp-NotebookPanel .jp-MarkdownCell .cm-focused").wait_for()
    page.keyboard.press("Control+End")
    page.keyboard.type(" Edited in the browser.")
    page.keyboard.press("Shift+Enter")
    # the parameters cell: run, then folded
    parameters.click()
    page.keyboard.press("Control+Enter")
    parameters.locator(".jp-InputPrompt", has_text="[1]:").wait_for()
    choose(page, "View", "Collapse Selected Code")
    parameters.locator(".jp-InputPlaceholder, .jp-Placeholder").first.wait_for()
    page.keyboard.press("Control+s")
    page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab.lm-mod-current:not(.jp-mod-dirty)").wait_for()
    assert dialogs(page) == []

    expected = edited(before)
    assert path.read_text(encoding="utf-8") == expected, "saving changed more than the edited cell"

    build(server)
    for built in (path.with_suffix(".ipynb"), server.course / "release" / SECTION / f"{LAB}.ipynb"):
        assert "Edited in the browser." in built.read_text(encoding="utf-8"), f"the build lost the edit: {built}"


def edited(source: str) -> str:
    """The source with the test's words at the end of its first cell."""
    end_of_first_cell = re.compile(r"(?<=\n)# %%.*\n(?:(?!# %%).*\n)*?(?=\n*# %%)")
    return end_of_first_cell.sub(lambda cell: f"{cell[0][:-1]} Edited in the browser.\n", source, count=1)


def build(server: Server) -> None:
    command = [str(PROGRAMS / "llmlabs"), "build", "--no-solutions"]
    done = subprocess.run(command, env=server.environment, cwd=server.course, capture_output=True, text=True)
    assert done.returncode == 0, f"llmlabs build fails on what JupyterLab saved:\n{done.stdout}{done.stderr}"
    assert f"release/{SECTION}/{LAB}.ipynb written" in done.stdout


def test_nbgrader_finds_its_programs(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Formgrader runs alembic to make the gradebook, by name; the user need not have activated the environment."""
    monkeypatch.setenv("PATH", BARE_PATH)
    _, environment = lab_command(course, 8888)
    assert shutil.which("alembic", path=environment["PATH"]) == str(PROGRAMS / "alembic")


def test_a_users_settings_are_left_alone(server: Server) -> None:
    assert not (server.home / ".jupyter").exists(), "~/.jupyter was written to"
    assert not (server.home / ".local" / "share" / "jupyter" / "lab").exists()
    assert (server.course / "build" / "jupyter" / "lab" / "workspaces").is_dir()


def test_the_server_logged_no_errors(server: Server) -> None:
    """Runs last: what formgrader, Validate and jupytext logged while the other tests used them."""
    with urllib.request.urlopen(f"{server.url}api/status?token={server.token}") as answer:
        assert answer.status == 200
    errors = re.findall(r"^\[E .*|^Traceback .*", server.log.read_text(), flags=re.MULTILINE)
    assert errors == []
