"""The command line, user and environment of each program: the same whoever keeps it running. Pure; no secret is in any of them.

Hub and proxy have numeric ids of the instance's own, without an entry in the host's accounts, and no privilege but the proxy's to listen on ports below 1024.
"""

import grp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage.ids import Instance

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SETPRIV = "/usr/bin/setpriv"


@dataclass(frozen=True)
class Program:
    """One program; `command` drops to its user by itself."""

    name: str
    about: str
    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    """Where it starts, and all that it may write to."""
    reads: tuple[Path, ...] = ()
    """Folders of the instance that it must see."""


def programs(state: State, config: Config, instance: Instance, python: Path, code: Path, *, with_parent: bool) -> list[Program]:
    """Runtime, proxy and hub, in the order of their start. `with_parent`: each ends when the process that started it does, so that none is left over."""
    base = {
        "ELABS_STATE": str(state.root),
        "LANG": "C.UTF-8",
        "PATH": PATH,
        "PYTHONPATH": str(code / "src"),
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
    }

    def program(name: str, about: str, module: str, drop: list[str], environment: dict[str, str], folder: Path) -> Program:
        parent = ["--pdeathsig", "TERM"] if with_parent else []
        return Program(name, about, (SETPRIV, *drop, *parent, "--", str(python), "-m", module), base | environment, folder, reads)

    reads = (state.root, *([config.hub.snippets] if config.hub.snippets else []))
    # the machine's own accounts are checked with /etc/shadow, which the group of that name reads
    groups = [_shadow()] if config.login.method == "pam" else []
    root = {"ELABS_EXAMPLES": str(code / "examples"), "HOME": "/root", "USER": "root"}
    return [
        program("runtime", "labs' runtime", "elabs.runtime.local", [], root, Path("/")),
        program(
            "proxy",
            "proxy",
            "elabs.hub.proxy",
            _drop(instance.proxy_uid, [], "net_bind_service"),
            {"HOME": str(state.proxy), "USER": "elabs-proxy"},
            state.proxy,
        ),
        program("hub", "hub", "elabs.hub", _drop(instance.hub_uid, groups, None), {"HOME": str(state.hub), "USER": "elabs-hub"}, state.hub),
    ]


def _drop(uid: int, groups: Sequence[int], capability: str | None) -> list[str]:
    """Options of setpriv: that user, those groups, that capability at most, and no way to more."""
    kept = f"-all,+{capability}" if capability else "-all"
    who = ["--reuid", str(uid), "--regid", str(uid), *(["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"])]
    return [*who, "--no-new-privs", f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}"]


def _shadow() -> int:
    return grp.getgrnam("shadow").gr_gid
