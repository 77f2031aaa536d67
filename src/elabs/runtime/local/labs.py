"""The labs of this machine: started, stopped, watched, found again after a restart.

One asyncio loop runs all of it; the slow programs below (btrfs, ip, nft) run in threads. A lock for each lab orders what is done to it. What must outlive the
daemon stands in `<state>/run/labs/<lab>/lab.json`, written before the lab's process may run; a folder without a complete one is a start that failed, and is
cleared away.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from elabs.config.model import Config
from elabs.config.state import State
from elabs.journal.events import Journal
from elabs.runtime import images
from elabs.runtime.environment import LAB_COMMAND
from elabs.runtime.local import bundle, container, network
from elabs.runtime.local.bundle import LabSpec
from elabs.runtime.local.container import ContainerError, Process, Runc
from elabs.runtime.local.output import Output, open_pipe, tail
from elabs.runtime.protocol import LAB_PORT, Lab, RuntimeRefused
from elabs.storage import homes, ids
from elabs.storage.ids import Instance
from elabs.storage.run import StorageError
from elabs.storage.slugs import slug

COMMAND = ["/usr/bin/tini", "-g", "--", *LAB_COMMAND]
_STOP_SECONDS = 5.0
"""How long a lab has to end by itself after SIGTERM."""
_LEAST_MEMORY = 256 * 2**20
"""Bytes of memory that must be free on the machine for one more lab."""
Progress = Callable[[int, str], None]


@dataclass
class Running:
    """A lab that has a container; `record` is what lab.json holds."""

    record: dict[str, Any]
    process: Process
    folders: dict[str, Path]
    output: Output
    state: str = "starting"
    asked: str | None = None
    """The reason, once somebody asked it to end."""
    ended: asyncio.Future[tuple[str, str]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Reason and detail."""
    pidfd: int = -1


class Labs:
    """All labs of one instance."""

    def __init__(self, state: State, config: Config, instance: Instance, journal: Journal, code: Path, seccomp: dict[str, Any]) -> None:
        self._state, self._config, self._instance, self._journal = state, config, instance, journal
        self._code, self._seccomp = code, seccomp
        self._runc = Runc(state.run / "runc")
        self._labs: dict[str, Running] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._indexes: dict[str, int] = {}
        self._turn = random.randrange(network.capacity(instance))
        self._starts = asyncio.Semaphore(2 * (os.cpu_count() or 1))
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def folder(self) -> Path:
        """Where each lab's files are."""
        return self._state.run / "labs"

    async def recover(self) -> None:
        """Find the labs that were running before the daemon; clear away what is left of those that ended meanwhile. Call once, first."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = set(await self._runc.names())
        for folder in self.folder.iterdir():
            try:
                record = json.loads((folder / "lab.json").read_text())
                process = Process(record["pid"], record["started_ticks"])
                record["boot"], record["ready"], record["person"]
            except (OSError, ValueError, KeyError):
                record = None
            if record and record["boot"] == _boot_id() and record["ready"] and process.alive() and folder.name in known:
                self._adopt(record, process).state = "running"
                continue
            await self._clear(folder.name)
            if record:
                self._journal.append("ended", record["person"], folder.name, "machine" if record["boot"] != _boot_id() else "crashed", while_away=True)
        for name in known - self._labs.keys():
            await self._clear(name)

    async def start(self, person: str, profile: str, environment: dict[str, str], progress: Progress) -> dict[str, Any]:
        """Start the person's lab and return once it listens; a lab of theirs that runs already is ended first, since its token is of the past.

        RuntimeRefused in one line, with nothing left behind, where it cannot be.
        """
        if profile not in self._config.profiles:
            raise RuntimeRefused("no-profile", f"there is no profile {profile!r} in the settings")
        name = slug(person)
        async with self._lock(name), self._starts:
            if name in self._labs:
                await self._stop(name, "asked")
            try:
                return await asyncio.wait_for(self._start(name, person, profile, environment, progress), self._config.labs.start_timeout)
            except TimeoutError:
                refused = RuntimeRefused("timeout", f"the lab did not listen within {self._config.labs.start_timeout} s")
            except (StorageError, ids.IdsError) as error:
                refused = RuntimeRefused("no-home", str(error))
            except (ContainerError, OSError) as error:
                refused = RuntimeRefused("failed", str(error))
            except RuntimeRefused as error:
                refused = error
            self._journal.append("failed", person, name, refused.code, message=str(refused))
            raise refused

    async def _start(self, name: str, person: str, profile: str, environment: dict[str, str], progress: Progress) -> dict[str, Any]:
        progress(5, "home")
        spec = await asyncio.to_thread(self._specify, name, person, profile, environment)
        index = self._index(name)
        folder = self.folder / name
        env_read, env_write = os.pipe()
        ready_read, ready_write = os.pipe()
        output = -1
        try:
            progress(20, "container")
            self._write_bundle(folder, spec)
            output = open_pipe(folder / "output")
            pid = await self._runc.create(name, folder, env_read, output, ready_write)
            os.close(ready_write)
            ready_write = -1
            progress(40, "network")
            await asyncio.to_thread(network.connect, self._instance, index, pid)
            process = Process.of(pid)
            record: dict[str, Any] = {
                "lab": name, "person": person, "profile": profile, "size": self._config.profiles[profile].size, "image": spec.rootfs.parent.name,
                "index": index, "address": network.lab_address(self._instance, index), "since": time.time(), "memory_limit_bytes": spec.memory, "pid": pid,
                "started_ticks": process.started, "boot": _boot_id(), "ready": False,
            }  # fmt: skip
            self._record(record)
            running = self._adopt(record, process)
            os.write(env_write, json.dumps(environment).encode() + b"\n")
            progress(60, "server")
            await self._runc.start(name)
            await self._ready(running, ready_read)
            record["ready"] = True
            self._record(record)
            running.state = "running"
            self._journal.append("started", person, name, profile=profile, seconds=round(time.time() - record["since"], 3))
            return {"lab": name, "address": record["address"], "port": LAB_PORT}
        except BaseException:
            # also a hub that went away: nobody would ever know of this lab
            if gone := self._labs.pop(name, None):
                self._forget(gone)
            await asyncio.shield(self._clear(name))
            raise
        finally:
            for fd in (env_read, env_write, ready_read, ready_write, output):
                if fd >= 0:
                    os.close(fd)

    def _specify(self, name: str, person: str, profile: str, environment: dict[str, str]) -> LabSpec:
        """Everything about a lab, from root's settings alone; `environment` gives no more than the paths of its URL."""
        wanted = self._config.image_of(profile)
        image = images.find(self._state, wanted)
        if image is None:
            raise RuntimeRefused("no-image", f"the image {wanted!r} is not built; run: elabs image build {wanted}")
        if _memory_available() < _LEAST_MEMORY:
            raise RuntimeRefused("no-room", "the machine has no memory left for one more lab")
        block = ids.claim_person(self._instance, person)
        size = self._config.size_of(profile)
        return LabSpec(
            lab=name, person=person, block=block, rootfs=image.rootfs, home=homes.ensure(self._state, name, block, self._config.storage.home.size),
            code=self._code, etc=self.folder / name / "etc", cgroup=container.cgroup_path(self._instance.number, name),
            memory=size.memory, cpu=size.cpu, pids=size.pids, tmp=size.tmp,
            gateway=self._instance.gateway, prefix=environment["JUPYTERHUB_SERVICE_PREFIX"], base_url=environment.get("JUPYTERHUB_BASE_URL", "/"),
            apps=tuple(self._config.apps), language=self._config.site.language, seccomp=self._seccomp,
        )  # fmt: skip

    def _write_bundle(self, folder: Path, spec: LabSpec) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        spec.etc.mkdir(parents=True, mode=0o755)
        folder.chmod(0o711)
        passwd, group = ((spec.rootfs / "etc" / file).read_text() for file in ("passwd", "group"))
        for file, text in bundle.etc_files(spec, passwd, group).items():
            (spec.etc / file).write_text(text)
            (spec.etc / file).chmod(0o644)
        (folder / "config.json").write_text(json.dumps(bundle.oci_config(spec, COMMAND)))

    async def _ready(self, running: Running, fd: int) -> None:
        """Wait until the lab says that it listens; RuntimeRefused with its last words where it ends before."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(fd), "rb"))
        try:
            while line := await reader.readline():
                if line.strip() == b"ready":
                    return
        finally:
            transport.close()
        running.output.close()
        last = " | ".join(tail(self._log(running.record["lab"]))) or "it said nothing"
        raise RuntimeRefused("failed", f"the lab's server ended before it listened: {last[-600:]}")

    async def stop(self, name: str, reason: str) -> None:
        """End a lab and return once nothing is left of it; a lab that is not there is no error."""
        async with self._lock(name):
            if name in self._labs:
                await self._stop(name, reason)

    async def _stop(self, name: str, reason: str) -> None:
        running = self._labs[name]
        running.asked = reason
        await self._runc.kill(name, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(running.ended), _STOP_SECONDS)
        if name in self._labs:
            await self._end(running)

    async def stop_all(self, reason: str) -> None:
        """End every lab."""
        await asyncio.gather(*(self.stop(name, reason) for name in list(self._labs)))

    async def wait(self, name: str) -> tuple[str, str]:
        """Reason and detail of a lab's end, once it has ended; RuntimeRefused where it is not there."""
        if name not in self._labs:
            raise RuntimeRefused("refused", f"there is no lab {name!r}")
        return await asyncio.shield(self._labs[name].ended)

    def all(self) -> list[Lab]:
        """The labs there are."""
        keys = Lab.__dataclass_fields__
        return [
            Lab(
                **{key: value for key, value in running.record.items() if key in keys},
                state=running.state,
                memory_bytes=container.usage(running.folders)["memory_bytes"],
            )
            for running in self._labs.values()
        ]

    def stats(self, name: str) -> dict[str, Any]:
        """What a lab uses; RuntimeRefused where it is not there."""
        if name not in self._labs:
            raise RuntimeRefused("refused", f"there is no lab {name!r}")
        running = self._labs[name]
        return {**container.usage(running.folders), "memory_limit_bytes": running.record["memory_limit_bytes"]}

    def last_end(self, person: str) -> dict[str, Any]:
        """How the person's last lab ended, `{}` where none did."""
        event = self._journal.last_end(person)
        return {"reason": event.reason, "detail": event.detail, "time": event.time} if event else {}

    def _adopt(self, record: dict[str, Any], process: Process) -> Running:
        """Watch a lab: its output and its end."""
        name = record["lab"]
        running = Running(record, process, container.cgroup_folders(process.pid), Output(self.folder / name / "output", self._log(name)))
        running.pidfd = os.pidfd_open(process.pid)
        running.output.open()
        self._labs[name] = running
        self._indexes[name] = record["index"]
        asyncio.get_running_loop().add_reader(running.pidfd, self._process_ended, running)
        return running

    def _process_ended(self, running: Running) -> None:
        asyncio.get_running_loop().remove_reader(running.pidfd)
        if running.state == "running":  # else the start itself is there to see it
            task = asyncio.create_task(self._end(running))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, running: Running) -> None:
        """Clear a lab away and tell why it ended, once."""
        name, record = running.record["lab"], running.record
        if self._labs.get(name) is not running:
            return
        del self._labs[name]
        kills = container.usage(running.folders)["oom_kills"]
        self._forget(running)
        reason = running.asked or ("memory" if kills else "machine" if await container.machine_goes_down() else "crashed")
        await self._clear(name)
        self._journal.append("ended", record["person"], name, reason, oom_kills=kills, memory_limit_bytes=record["memory_limit_bytes"])
        if not running.ended.done():
            running.ended.set_result((reason, f"{kills} processes killed for memory" if kills else ""))

    def _forget(self, running: Running) -> None:
        asyncio.get_running_loop().remove_reader(running.pidfd)
        os.close(running.pidfd)
        running.output.close()

    async def _clear(self, name: str) -> None:
        """Remove whatever there is of a lab on the machine, and nothing of the person's."""
        await self._runc.delete(name)
        if (index := self._indexes.pop(name, None)) is not None:
            await asyncio.to_thread(network.disconnect, self._instance, index)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def _record(self, record: dict[str, Any]) -> None:
        path = self.folder / record["lab"] / "lab.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(record))
        os.replace(partial, path)

    def _index(self, name: str) -> int:
        """The next free address in turn, not the lowest: the proxy still holds connections to the lab that had it last, and a request on one would fail."""
        taken, capacity = set(self._indexes.values()), network.capacity(self._instance)
        for _ in range(capacity):
            self._turn = (self._turn + 1) % capacity
            if (index := network.FIRST_LAB + self._turn) not in taken:
                self._indexes[name] = index
                return index
        raise RuntimeRefused("no-room", "there are no addresses left for one more lab; see labs.network.range")

    def _log(self, name: str) -> Path:
        return self._state.logs / "labs" / f"{name}.log"

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def as_dict(lab: Lab) -> dict[str, Any]:
    """A lab as `list` tells it."""
    return asdict(lab)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 2**63
