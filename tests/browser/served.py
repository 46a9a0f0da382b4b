"""What the browser tests talk about: the course's copy, the JupyterLab that serves it, pictures of its pages."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
SECTION, LAB = "01_neural_networks", "network_from_scratch"
STUDENT = "ada"
# of a user who has not activated the environment
BARE_PATH = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"])


@dataclass(frozen=True)
class Server:
    """JupyterLab, started by `llmlabs lab` on a copy of the course."""

    url: str
    token: str
    course: Path
    home: Path
    log: Path
    environment: dict[str, str]


@dataclass(frozen=True)
class Screenshot:
    """Takes pictures of a page, if the command line names a folder for them."""

    page: Page
    folder: Path | None

    def __call__(self, name: str) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            picture = Image.open(io.BytesIO(self.page.screenshot(animations="disabled")))
            # 256 colours: a third of the bytes, and no difference to see
            picture.quantize(dither=Image.Dither.NONE).save(self.folder / f"{name}.png", optimize=True)
