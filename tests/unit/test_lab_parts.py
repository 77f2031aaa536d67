"""The small parts of a lab's start: secrets, the home, examples, output, language."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from elabs.lab import environment, language, welcome

SRC = Path(__file__).resolve().parents[2] / "src"


def given(line: bytes) -> int:
    reader, writer = os.pipe()
    os.write(writer, line)
    os.close(writer)
    return reader


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.os, "environ", dict(os.environ))


@pytest.mark.usefixtures("clean")
def test_secrets_come_as_one_line_and_then_the_descriptor_reads_nothing():
    descriptor = given(json.dumps({"JUPYTERHUB_API_TOKEN": "ñ" * 20}).encode() + b"\nnot read\n")
    environment.receive(descriptor)
    assert environment.os.environ["JUPYTERHUB_API_TOKEN"] == "ñ" * 20
    assert os.read(descriptor, 10) == b""
    assert os.readlink(f"/proc/self/fd/{descriptor}") == os.devnull
    os.close(descriptor)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("line", [b"", b"\n", b"[]\n", b'{"A": 1}\n', b"{nope\n"])
def test_anything_else_is_refused(line: bytes):
    descriptor = given(line)
    with pytest.raises(ValueError):
        environment.receive(descriptor)
    os.close(descriptor)


@pytest.mark.usefixtures("clean")
def test_the_second_attempt_has_its_secrets_already():
    environment.os.environ["ELABS_WITHOUT_PERSONAL_CONFIGURATION"] = "1"
    descriptor = given(b"")
    environment.receive(descriptor)
    os.close(descriptor)


@pytest.mark.usefixtures("clean")
def test_a_home_that_takes_files_keeps_everything_and_one_that_does_not_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    environment.os.environ["HOME"] = str(tmp_path)
    environment.settle()
    assert environment.spare() is None
    assert "IPYTHONDIR" not in environment.os.environ
    environment.os.environ["HOME"] = str(tmp_path / "gone")
    environment.settle()
    spare = environment.spare()
    assert spare is not None
    assert Path(environment.os.environ["IPYTHONDIR"]).parent == spare
    assert "ENOENT" in capsys.readouterr().err


def examples(folder: Path) -> Path:
    (folder / "examples/taxonomy").mkdir(parents=True)
    (folder / "examples/taxonomy/nodes.dmp").write_text("1")
    (folder / "home").mkdir()
    return folder / "examples"


def test_examples_are_copied_once(tmp_path: Path):
    source, home = examples(tmp_path), tmp_path / "home"
    welcome.copy(home, source)
    assert (home / "taxonomy/nodes.dmp").read_text() == "1"
    (home / "taxonomy/nodes.dmp").unlink()
    (home / "taxonomy").rmdir()
    welcome.copy(home, source)
    assert not (home / "taxonomy").exists()


def test_what_a_person_has_under_that_name_is_left_alone(tmp_path: Path):
    source, home = examples(tmp_path), tmp_path / "home"
    (home / "taxonomy").write_text("mine")
    welcome.copy(home, source)
    assert (home / "taxonomy").read_text() == "mine"


def test_a_copy_that_fails_leaves_nothing_half_done_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    source, home = examples(tmp_path), tmp_path / "home"

    def full(*args: object, **more: object) -> None:
        (home / ".taxonomy.partial").mkdir()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(welcome.shutil, "copytree", full)
        welcome.copy(home, source)
    assert sorted(path.name for path in home.iterdir()) == [".config"]
    assert "No space left" in capsys.readouterr().err
    welcome.copy(home, source)
    assert (home / "taxonomy/nodes.dmp").exists()


def test_a_home_that_cannot_hold_the_mark_is_no_reason_to_fail(tmp_path: Path):
    source, home = examples(tmp_path), tmp_path / "home"
    (home / ".config").write_text("a file where a folder should be")
    welcome.copy(home, source)


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("es-MX,es;q=0.9,en;q=0.8", "es_ES"),
        ("en;q=0.5, es", "es_ES"),
        ("en-US,en;q=0.9,es;q=0.8", None),
        ("", None),
        ("*", None),
        (";q=,;;q=x,es;q=y", None),
    ],
)
def test_the_browsers_first_language_counts(header: str, locale: str | None):
    assert language.preferred(header) == locale


def printing(code: str, **streams: int) -> subprocess.Popen[bytes]:
    script = f"import os, sys, time\nfrom elabs.lab import output\noutput.shelter()\n{code}\noutput.expose()\nprint('end', flush=True)\n"
    return subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(SRC)}, **streams)


def test_what_is_printed_arrives_whole():
    process = printing("for i in range(3000): print('line', i)\nos.write(2, b'raw\\n')", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = process.communicate()[0].decode().splitlines()
    assert [line for line in lines if line.startswith("line")] == [f"line {i}" for i in range(3000)]
    assert lines[-2:] == ["raw", "end"]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_log_that_nobody_reads_blocks_nothing(blocking: bool):
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    child = "import subprocess; subprocess.run([sys.executable, '-c', 'import os\\nfor _ in range(50): os.write(1, bytes(65536))'], check=True)"
    process = printing(f"for i in range(50): sys.stderr.write('x' * 65536)\n{child}\nos._exit(7)", stdout=writer, stderr=writer)
    assert process.wait(60) == 7
    os.close(writer)
    os.close(reader)


def test_a_log_that_is_gone_kills_nobody():
    reader, writer = os.pipe()
    process = printing(
        "os.read(0, 1)\nfor i in range(50): print('x' * 65536)\nimport subprocess\nsubprocess.run(['echo', 'x'], check=True)\nos._exit(7)",
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    os.close(reader)
    process.communicate(b"go")
    assert process.returncode == 7
