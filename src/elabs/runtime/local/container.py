"""runc, as the daemon uses it: create, start, kill, delete, and what a container's cgroup says.

Labs survive the daemon, so every fact is read from runc or the kernel. The cgroup driver is systemd's where systemd runs the machine (a slice of our own, so
that the end of a login session ends no lab), else the file system's.
"""

import asyncio
import contextlib
import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEMD = Path("/run/systemd/system").exists()
_CGROUPS = Path("/sys/fs/cgroup")
UNIFIED = (_CGROUPS / "cgroup.controllers").exists()
"""Whether the machine has cgroup v2 alone."""


class ContainerError(Exception):
    """runc said no; `str()` is its last line."""


def cgroup_path(instance_number: int, name: str) -> str:
    """`linux.cgroupsPath` of a container, in the form the machine's driver wants."""
    return f"elabs.slice:elabs{instance_number}:{name}" if SYSTEMD else f"/elabs-{instance_number}/{name}"


def remove_cgroups(instance_number: int) -> None:
    """Remove the folder above an instance's containers once they are gone; systemd looks after its slice itself."""
    for hierarchy in [_CGROUPS] if UNIFIED else list(_CGROUPS.iterdir()):
        with contextlib.suppress(OSError):
            (hierarchy / f"elabs-{instance_number}").rmdir()


@dataclass(frozen=True)
class Runc:
    """runc with its state in `root`."""

    root: Path

    def command(self, *arguments: str) -> list[str]:
        """A runc command line."""
        return ["runc", "--root", str(self.root), "--log-format", "json", *(["--systemd-cgroup"] if SYSTEMD else []), *arguments]

    async def _run(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        if process.returncode not in accept:
            raise ContainerError(f"runc {arguments[0]}: {_last_message(err)}")
        return out.decode()

    async def create(self, name: str, bundle: Path, stdin: int, output: int, ready: int) -> int:
        """Create the container of `bundle`; its process waits for `start`. Returns its pid, as the host sees it.

        `stdin`, `output` (stdout and stderr) and `ready` (its descriptor 3) are descriptors of the caller.
        """
        pid_file, errors = bundle / "pid", bundle / "runc.log"
        errors.unlink(missing_ok=True)
        # runc's child keeps stdout and stderr, so runc's own messages go to a file and nobody waits for the pipe's end
        arguments = self.command("create", "--bundle", str(bundle), "--pid-file", str(pid_file), "--preserve-fds", "1", name)
        arguments[1:1] = ["--log", str(errors)]
        # the ready pipe becomes descriptor 3 and is open under no other number
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", f'exec "$@" 3>&{ready} {ready}>&-', "runc", *arguments, stdin=stdin, stdout=output, stderr=output, pass_fds=(ready,)
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await process.wait()
            raise
        if code:
            raise ContainerError(f"runc create: {_last_message(errors.read_bytes() if errors.exists() else b'')}")
        return int(pid_file.read_text())

    async def start(self, name: str) -> None:
        """Let a created container's process run."""
        await self._run("start", name)

    async def kill(self, name: str, number: signal.Signals) -> None:
        """Signal a container's first process; one that is gone is no error."""
        await self._run("kill", name, str(int(number)), accept=(0, 1))

    async def delete(self, name: str) -> None:
        """Kill what is left of a container and forget it; one that is gone is no error."""
        await self._run("delete", "--force", name, accept=(0, 1))

    async def names(self) -> list[str]:
        """Containers that runc knows."""
        listed = json.loads(await self._run("list", "--format", "json") or "null")
        return [entry["id"] for entry in listed or []]


def _last_message(text: bytes) -> str:
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return "no message"
    with contextlib.suppress(ValueError):
        said = json.loads(lines[-1])
        return str(said.get("msg", said))
    return lines[-1]


@dataclass(frozen=True)
class Process:
    """A process that outlives us, told from a later one of the same pid by its start time."""

    pid: int
    started: int
    """Clock ticks since boot."""

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has `pid` now; ProcessLookupError where there is none."""
        return cls(pid, _start_time(pid))

    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        try:
            return _start_time(self.pid) == self.started
        except ProcessLookupError:
            return False


def _start_time(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        raise ProcessLookupError(pid) from None
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return int(fields[19])


def cgroup_folders(pid: int) -> dict[str, Path]:
    """Folders of a process' cgroup by controller; on cgroup v2 every controller is the one folder under the key ``""``."""
    folders = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folders[""] = _CGROUPS / path.lstrip("/")
        else:
            for controller in controllers.split(","):
                folders[controller] = _CGROUPS / controller.removeprefix("name=") / path.lstrip("/")
    return folders


def usage(folders: dict[str, Path]) -> dict[str, Any]:
    """`memory_bytes` (page cache that can be dropped left out), `cpu_seconds`, `pids` and `oom_kills` of a lab's cgroup; zeros once it is gone."""
    try:
        if UNIFIED:
            folder = folders[""]
            cold = _field(folder / "memory.stat", "inactive_file")
            return {
                "memory_bytes": max(0, int((folder / "memory.current").read_text()) - cold),
                "cpu_seconds": _field(folder / "cpu.stat", "usage_usec") / 1e6,
                "pids": int((folder / "pids.current").read_text()),
                "oom_kills": _field(folder / "memory.events", "oom_kill"),
            }
        memory = folders["memory"]
        return {
            "memory_bytes": max(0, int((memory / "memory.usage_in_bytes").read_text()) - _field(memory / "memory.stat", "total_inactive_file")),
            "cpu_seconds": int((folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9,
            "pids": int((folders["pids"] / "pids.current").read_text()),
            "oom_kills": _field(memory / "memory.oom_control", "oom_kill"),
        }
    except (OSError, KeyError):
        return {"memory_bytes": 0, "cpu_seconds": 0.0, "pids": 0, "oom_kills": 0}


def _field(path: Path, name: str) -> int:
    found = re.search(rf"^{name} (\d+)$", path.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


async def machine_goes_down() -> bool:
    """Whether the machine is being shut down: systemd then ends labs before it ends the daemon. Where it does not run the machine, nobody can say."""
    if not SYSTEMD:
        return False
    asked = await asyncio.create_subprocess_exec("systemctl", "is-system-running", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE)
    said, _ = await asked.communicate()
    return said.strip() == b"stopping"
