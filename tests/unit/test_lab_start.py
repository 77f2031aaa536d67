"""A lab really starts: the single-user server as labs run it, here on the host's Python, in homes that would keep Jupyter from starting. No hub is needed for that."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import free_port

SRC = Path(__file__).resolve().parents[2] / "src/elabs"
NOBODY = 65534
AS_ROOT = os.geteuid() == 0
DROP = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if AS_ROOT else ()
SECRETS = {
    "JUPYTERHUB_API_TOKEN": "0123456789abcdef",
    "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-lince",
    "JUPYTERHUB_USER": "lince",
    "JUPYTERHUB_BASE_URL": "/",
    "JUPYTERHUB_SERVICE_PREFIX": "/user/lince/",
    "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/lince/oauth_callback",
    "JUPYTERHUB_OAUTH_SCOPES": '["access:servers"]',
    "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers"]',
    "JUPYTERHUB_HOST": "",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an account without privilege may use, with our code as labs have it, and a home."""
    with tempfile.TemporaryDirectory(prefix="elabs-test-") as name:
        made = Path(name)
        made.chmod(0o755)
        shutil.copytree(SRC / "lab", made / "code/elabs/lab")
        # the image goes without it (see requirements/lab-small.txt), and so does this: it costs seconds at every start
        write(made / "code/rfc3987_syntax.py", "raise ImportError")
        (made / "home").mkdir()
        if AS_ROOT:
            os.chown(made / "home", NOBODY, NOBODY)
        yield made


@dataclass
class Started:
    process: subprocess.Popen[bytes]
    said: bytes
    port: int
    log: Path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@contextmanager
def lab(folder: Path, prefix: tuple[str, ...] = ()) -> Iterator[Started]:
    """A lab in `folder/home`, ready or failed, stopped afterwards."""
    port, log = free_port(), folder / "log"
    (folder / "runtime").mkdir(mode=0o777)
    (folder / "runtime").chmod(0o777)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    reader, writer = os.pipe()
    environment = {
        "HOME": str(folder / "home"),
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(folder / "code"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}/user/lince/",
        "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api",
        "ELABS_READY_FD": str(writer),
    }
    with log.open("wb") as output:
        command = [*prefix, *DROP, sys.executable, "-s", "-P", "-m", "elabs.lab"]
        process = subprocess.Popen(command, env=environment, cwd=folder / "home", stdin=subprocess.PIPE, stdout=output, stderr=output, pass_fds=[writer])
    os.close(writer)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(SECRETS).encode() + b"\n")
        process.stdin.flush()
        said = os.read(reader, 100) if select.select([reader], [], [], 120)[0] else b""
        yield Started(process, said, port, log)
    finally:
        os.close(reader)
        process.terminate()
        process.wait(30)


def status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/user/lince/{path}", timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def shadowing(home: Path) -> None:
    for name in ("random", "json", "tornado", "elabs/__init__"):
        write(home / f"{name}.py", "raise SystemExit('a file of the home was imported')")


def leaving(home: Path) -> None:
    write(home / ".jupyter/jupyter_server_config.py", "raise SystemExit(3)")


@pytest.mark.parametrize("spoil", [shadowing, leaving])
def test_a_lab_starts_answers_and_stops_whatever_lies_in_the_home(folder: Path, spoil: Callable[[Path], None]):
    spoil(folder / "home")
    with lab(folder) as started:
        assert started.said == b"ready\n", started.log.read_text()
        assert status(started.port, "api") == 200
        assert status(started.port, "api/contents") == 403, "a stranger gets in"
        told = "without it" in started.log.read_text()
        assert told == (spoil is not shadowing)
        assert SECRETS["JUPYTERHUB_API_TOKEN"] not in started.log.read_text()
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(30) == 0


FULL = """
mount -t tmpfs -o size=64k,mode=777 tmpfs "$HOME" || exit 75
cat /dev/zero > "$HOME/fill" 2>/dev/null
cd "$HOME" && exec "$@"
"""


def test_a_lab_starts_in_a_home_that_is_full(folder: Path):
    prefix = ("unshare", *(() if AS_ROOT else ("--user", "--map-current-user", "--keep-caps")), "--mount")
    if subprocess.run([*prefix, "sh", "-c", FULL, "sh", "true"], env=os.environ | {"HOME": str(folder / "home")}, capture_output=True).returncode:
        pytest.skip("this machine makes no mount namespaces for us")
    with lab(folder, (*prefix, "sh", "-c", FULL, "sh")) as started:
        assert started.said == b"ready\n", started.log.read_text()
        assert status(started.port, "api") == 200
        assert "ENOSPC" in started.log.read_text()
