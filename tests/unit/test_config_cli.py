"""`elabs config` as a person runs it: through the command line, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from elabs.config.load import load

SOURCE = Path(__file__).parents[2] / "src"


def elabs(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "elabs.cli", *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "elabs.yaml").write_text("site:\n  name: Estación\nlabs:\n  idle:\n    after: 90m\n")
    (tmp_path / "wrong.yaml").write_text("sit:\n  name: x\nlabs:\n  idle:\n    after: 90\n")
    return tmp_path


def test_check(folder: Path) -> None:
    good = elabs(folder, "config", "check", "elabs.yaml")
    assert (good.returncode, good.stdout, good.stderr) == (0, "elabs.yaml: fine\n", "")
    bad = elabs(folder, "config", "check", "wrong.yaml")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.splitlines() == [
        "wrong.yaml:1: sit: unknown key; did you mean site?",
        "wrong.yaml:5: labs.idle.after: 90 is not a duration; write a number and a unit: 90s, 10m, 1h, 7d",
    ]
    for arguments in (
        ("--config", "wrong.yaml", "config", "check"),
        ("config", "check", "--config=wrong.yaml"),
        ("config", "show", "wrong.yaml"),
        ("config", "check", "nowhere.yaml"),
    ):
        asked = elabs(folder, *arguments)
        assert (asked.returncode, asked.stdout) == (2, "")
        assert "Traceback" not in asked.stderr


def test_show(folder: Path) -> None:
    shown = elabs(folder, "config", "show", "elabs.yaml")
    assert shown.returncode == 0
    assert "  name: Estación" in shown.stdout
    assert any(line.split() == ["after:", "1h", "30m", "#", "elabs.yaml:5"] for line in shown.stdout.splitlines())
    (folder / "saved.yaml").write_text(shown.stdout)
    assert load(folder / "saved.yaml") == load(folder / "elabs.yaml")
    as_json = json.loads(elabs(folder, "config", "show", "--json", "elabs.yaml").stdout)
    assert as_json["labs.idle.after"] == {"value": "1h 30m", "source": "elabs.yaml:5"}
    assert as_json["image"] == {"value": "full", "source": "default"}


def test_schema(folder: Path) -> None:
    printed = elabs(folder, "config", "schema")
    assert printed.returncode == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(printed.stdout))
