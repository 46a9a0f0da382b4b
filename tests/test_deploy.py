"""The files for containers and servers are well formed and name what exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

from traitlets.config.loader import PyFileConfigLoader
from typer.testing import CliRunner

from llmlabs.cli import app

ROOT = Path(__file__).resolve().parents[1]


def test_the_hub_configuration_loads() -> None:
    config = PyFileConfigLoader("jupyterhub_config.py", path=str(ROOT / "deploy")).load_config()
    [service] = config.JupyterHub.services
    assert service["name"] == "ngshare"
    # its mode without authentication
    assert "--vngshare" not in service["command"]
    assert any("ngshare" in scope for role in config.JupyterHub.load_roles for scope in role["scopes"])


def test_the_container_copies_and_calls_what_exists() -> None:
    lines = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1] if "--" not in name]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    [command] = [json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
    done = CliRunner().invoke(app, [*command[1:], "--help"])
    assert done.exit_code == 0, done.output


def test_the_devcontainer_is_json_and_sets_up() -> None:
    found = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert found["postCreateCommand"] == "make setup"
    assert "3.11" in found["image"]
