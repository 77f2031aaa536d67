"""The two arms of the spawn benchmark: elabs through its shipped commands, and JupyterHub as `pip install jupyterhub jupyterlab` leaves it."""

import json
import os
import platform
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from elabs.cli.errors import Problem
from elabs.cli.options import ROOT
from elabs.config.state import State

_UP_SECONDS = 120
_LETTING_IN = """c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.Authenticator.manage_groups = c.DummyAuthenticator.manage_groups = False
"""
_SIMPLE = """c.JupyterHub.spawner_class = "simple"
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.Spawner.args = ["--allow-root"]
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
"""


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machine() -> dict[str, object]:
    """What the numbers belong to."""
    memory = next(int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    return {
        "cpus": os.cpu_count(),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _wait(ready: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _UP_SECONDS
    while not ready():
        if time.monotonic() > end:
            raise Problem(f"{what} did not answer within {_UP_SECONDS} s")
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


class Arm:
    """One way to give people labs: a base address and a password that lets anybody in, while the context lasts."""

    base: str
    password: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(16)
        self.base = f"http://127.0.0.1:{free_port()}"
        folder.mkdir(parents=True, exist_ok=True)

    def versions(self) -> dict[str, str]:
        """Versions of what is measured."""
        raise NotImplementedError

    def stop(self) -> None:
        """Take it down."""
        raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class ElabsArm(Arm):
    """An instance of its own, by `elabs up`; it shares the images and the Python environment of another, which need not run."""

    def __init__(self, folder: Path, other: State, image: str) -> None:
        super().__init__(folder)
        self.state = State(folder)
        snippets = folder / "snippets"
        snippets.mkdir(exist_ok=True)
        (snippets / "login.py").write_text(_LETTING_IN.format(password=self.password))
        (snippets / "login.py").chmod(0o644)
        for shared in ("images", "env"):
            (other.root / shared).mkdir(parents=True, exist_ok=True)
            if not (folder / shared).exists():
                (folder / shared).symlink_to(other.root / shared)
        self.config = folder / "bench.yaml"
        self.config.write_text(
            f"site: {{listen: '{self.base.removeprefix('http://')}'}}\nimage: {image}\napps: []\n"
            f"storage: {{pool: 2G, home: {{size: 128M}}}}\nhub: {{snippets: {snippets}}}\n"
        )

    def _elabs(self, *arguments: str) -> None:
        command = [str(ROOT / "elabs"), "--state", str(self.folder), "--config", str(self.config), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise Problem(f"the instance to measure: {(done.stderr or done.stdout).strip().splitlines()[-1]}")

    def __enter__(self) -> "ElabsArm":
        self._elabs("down")
        self._elabs("up", "--yes", "--detach")
        return self

    def stop(self) -> None:
        """End the instance and its labs."""
        self._elabs("down")

    def versions(self) -> dict[str, str]:
        """What its image holds."""
        image = next(self.state.images.glob("*-*/image.json"))
        found: dict[str, str] = json.loads(image.read_text()).get("versions", {})
        return found


class SimpleArm(Arm):
    """`pip install jupyterhub jupyterlab` in an environment of its own, Node on its PATH, SimpleLocalProcessSpawner, nothing else changed."""

    def __init__(self, folder: Path, ours: ElabsArm) -> None:
        super().__init__(folder)
        self._node = ours.state.node / "current"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _bin(self) -> Path:
        return self.folder / "env" / "bin"

    def __enter__(self) -> "SimpleArm":
        marker = self.folder / "complete"
        requirements = ROOT / "requirements" / "simple.txt"
        if not marker.exists() or marker.read_text() != requirements.read_text():
            subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", str(self.folder / "env")], check=True)
            done = subprocess.run([str(self._bin / "pip"), "install", "--quiet", "-r", str(requirements)], capture_output=True, text=True, check=False)
            if done.returncode:
                raise Problem(f"the environment to compare with: {done.stderr.strip().splitlines()[-1]}")
            marker.write_text(requirements.read_text())
        homes = self.folder / "homes"
        homes.mkdir(exist_ok=True)
        node, proxy = self._node / "bin/node", self._node / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
        port = int(self.base.rpartition(":")[2])
        settings = _SIMPLE.format(port=port, hub_port=free_port(), api_port=free_port(), proxy=[str(node), str(proxy)], homes=f"{homes}/{{username}}")
        (self.folder / "jupyterhub_config.py").write_text(settings + _LETTING_IN.format(password=self.password))
        (self.folder / "jupyterhub.sqlite").unlink(missing_ok=True)
        environment = {"PATH": f"{self._bin}:{node.parent}:/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"}
        with (self.folder / "hub.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._bin / "jupyterhub")], cwd=self.folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            _wait(lambda: _answers(f"{self.base}/hub/login"), "JupyterHub to compare with")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End JupyterHub and what it started."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def versions(self) -> dict[str, str]:
        """What its environment holds."""
        code = "import importlib.metadata as m, sys; print(sys.version.split()[0], *(m.version(n) for n in ('jupyterhub', 'jupyterlab', 'jupyter_server')))"
        shown = subprocess.run([str(self._bin / "python"), "-c", code], capture_output=True, text=True, check=True).stdout.split()
        return dict(zip(("python", "jupyterhub", "jupyterlab", "jupyter_server"), shown, strict=True)) | {"elabs_python": sys.version.split()[0]}
