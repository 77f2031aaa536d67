"""The command line as a whole: every command is there, mistakes are one line and status 2, and help is quick since nothing is imported for it."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from elabs.cli.errors import Problem
from elabs.cli.main import COMMANDS, elabs, main, one_line, options_first
from elabs.config.load import ConfigError
from elabs.runtime.protocol import RuntimeRefused
from elabs.storage.run import StorageError


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "elabs.cli", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["up", "--state", "/x", "--yes"], ["--state", "/x", "up", "--yes"]),
        (["--config=a", "up", "--state=/x"], ["--config=a", "--state=/x", "up"]),
        (["test", "--", "--state", "x"], ["test", "--", "--state", "x"]),
        (["up", "--state"], ["--state", "up"]),
        ([], []),
    ],
)
def test_options_of_every_command_are_taken_anywhere(given: list[str], read: list[str]) -> None:
    assert options_first(given) == read


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_documented(name: str) -> None:
    command = elabs.get_command(click.Context(elabs), name)
    assert command is not None
    assert command.help
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


def test_help_imports_no_part() -> None:
    script = "import sys; from elabs.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for module in ("pydantic", "rich", "jupyterhub", "ruamel", "elabs.config.model"):
        assert module not in done.stdout.split(), module
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("arguments", [["upp"], ["up", "--quik"], ["down", "extra"], ["--state"]])
def test_what_there_is_not_is_one_line(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("elabs: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user hears about root first")
def test_wrong_settings_are_one_line_and_nothing_is_made(tmp_path: Path) -> None:
    file = tmp_path / "elabs.yaml"
    file.write_text("site:\n  nme: x\nlabs:\n  idle: {after: 1x}\n")
    done = run("up", "--yes", "--config", str(file), "--state", str(tmp_path / "state"))
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "elabs.yaml:2" in line and "1 more" in line
    assert not (tmp_path / "state").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user hears about root first")
def test_commands_where_nothing_runs(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state")]
    down = run("down", *state)
    assert (down.returncode, down.stdout) == (0, "") and "nothing runs" in down.stderr
    assert run("status", *state).returncode == 1
    assert run("status", "--json", *state).stdout == '{"running": false, "labs": []}\n'
    demo = run("demo", *state)
    assert demo.returncode == 2 and len(demo.stderr.splitlines()) == 1
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", [["up"], ["down"], ["status"], ["demo"], ["service", "install"], ["service", "remove"]])
def test_an_ordinary_user_is_told(command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("elabs: ") and "root" in line


def test_lines_of_errors() -> None:
    assert one_line(Problem("a")) == "a"
    assert one_line(StorageError("b")) == "b"
    assert one_line(RuntimeRefused("busy", "c")) == "c"
    assert one_line(ConfigError("d")) == "d"
    assert one_line(ConfigError("d", "e", "f")) == "d (and 2 more: elabs config check)"
    assert one_line(OSError(28, "No space left on device", "/srv/x")) == "/srv/x: No space left on device"
    assert one_line(KeyError("a mistake of ours")) is None
