"""A real elabs, brought up by the shipped command in a state folder of the tests' own, and the accounts of its demo directory."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elabs.cli.try_ import base_url
from elabs.cli.visit import Visit
from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage.ids import Instance

ROOT = Path(__file__).parents[1]
COMMAND = ROOT / "elabs"


def state_folder() -> Path:
    """The tests' own state folder; `elabs test` names it."""
    return Path(os.environ.get("ELABS_TEST_STATE", "/var/lib/elabs-test"))


def share(folder: Path) -> Path:
    """A state folder that uses the Python environment, proxy, tools and images of the tests' own instead of installing them again; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("env", "node", "tools", "images"):
        common = state_folder() / name
        common.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            (folder / name).symlink_to(common)
    return folder


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(what: str, check: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true; AssertionError with `what` where it does not."""
    end, last = time.monotonic() + seconds, "no"
    while True:
        try:
            if check():
                return
        except Exception as error:
            last = repr(error)
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what} ({last})"
        time.sleep(0.25)


@dataclass
class Live:
    """One instance: `up`, `down`, and what is asked of it between."""

    state: State
    config: Path
    visits: dict[str, Visit] = field(default_factory=dict)

    @property
    def instance(self) -> Instance:
        return Instance.load(self.state)

    @property
    def base(self) -> str:
        return base_url(Config.model_validate_json(self.state.config.read_text()))

    def run(self, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """One elabs command on this instance."""
        command = [str(COMMAND), "--state", str(self.state.root), "--config", str(self.config), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False)

    def up(self) -> None:
        done = self.run("up", "--yes", "--detach", timeout=3000)
        assert done.returncode == 0, f"up: {done.stdout[-2000:]}{done.stderr[-2000:]}"

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0, f"down: {done.stderr}"

    def passwords(self) -> dict[str, str]:
        """Names and passwords of the demo directory, from the file that only root reads."""
        return dict(
            re.findall(
                r"^(\w+)\s+(\S+)", "\n".join(line for line in self.state.demo_accounts.read_text().splitlines() if not line.startswith("#")), re.MULTILINE
            )
        )

    def visit(self, name: str, ca: Path | None = None) -> Visit:
        """A new browser of one of the demo people, logged in; `ca` is whom it trusts, where that is not the machine's own list."""
        visit = Visit(self.base, name, self.passwords()[name], ca=str(ca) if ca else None)
        visit.login()
        return visit

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask the daemon, as root."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(60)
            line.connect(str(self.state.socket))
            line.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while chunk := line.recv(65536):
                answer += chunk
        last: dict[str, Any] = json.loads(answer.splitlines()[-1])
        return last

    def labs(self) -> dict[str, dict[str, Any]]:
        """The daemon's labs by name."""
        return {lab["lab"]: lab for lab in self.ask(verb="list")["ok"]["labs"]}

    def pid(self, program: str) -> int:
        """Process id of `runtime`, `hub` or `proxy`, as its supervisor knows it."""
        supervisor = next((self.state.env / "current" / "bin").glob("supervisorctl"))
        done = subprocess.run([supervisor, "-c", str(self.state.run / "supervisor.conf"), "pid", program], capture_output=True, text=True, check=True)
        return int(done.stdout.strip())

    def kill(self, program: str) -> int:
        """End a program as a fault does; the pid it had."""
        pid = self.pid(program)
        os.kill(pid, signal.SIGKILL)
        return pid
