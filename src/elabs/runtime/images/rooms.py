"""Commands of a build, each run in a mount and pid namespace of its own, so that a killed build leaves neither mounts nor processes.

The chain that makes it so: the kernel kills `setpriv`'s child when the builder dies (pdeathsig), `unshare` kills its child when it dies itself, that
child is the pid namespace's init and takes everything in it along, and with the last process go the mounts. The build's lock is inherited by
them all: whoever builds next waits until the last of them is gone.
"""

import os
import re
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from elabs.runtime.images.errors import ImageError
from elabs.runtime.images.progress import Report

_NAMESPACES = ["nice", "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]

_ENTER = """
set -e
root=$1 input=$2 cache=$3
shift 3
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mkdir -p "$root/run/elabs/input" "$root/run/elabs/cache" "$cache/tmp"
chmod 1777 "$cache/tmp"
mount --bind -o ro "$input" "$root/run/elabs/input"
mount --bind "$cache" "$root/run/elabs/cache"
mount --bind "$cache/tmp" "$root/tmp"
touch "$root/etc/resolv.conf"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
exec chroot "$root" "$@"
"""

INPUT = "/run/elabs/input"
"""Where commands inside the root find what the host gives them (`Room.input`)."""
CACHE = "/run/elabs/cache"
"""Where they may keep downloads between attempts (`Room.cache`)."""
STATUS = "{status}"
"""In a command: the number of a descriptor for machine-readable progress.

A pipe of its own: apt makes it non-blocking, which others' output would not survive.
"""

_CAUSES = [
    (re.compile(r"No space left on device|Disk quota exceeded|enough free space", re.I), "the disk is full"),
    (
        re.compile(
            r"Temporary failure (in name resolution|resolving)|Could not resolve|Name or service not known|Network is unreachable|No route to host"
            r"|Could not connect|Connection (refused|timed out|failed)|NewConnectionError|NameResolutionError|ConnectTimeout",
            re.I,
        ),
        "no network",
    ),
    (
        re.compile(r"certificate verify failed|CERTIFICATE_VERIFY_FAILED|certificate.{0,40}(not trusted|verification failed)", re.I),
        "a certificate is not trusted",
    ),
    (re.compile(r"Operation not permitted|Permission denied", re.I), "this machine forbids it"),
]


class Reader(Protocol):
    """Turns lines of output into progress; see `progress`."""

    def read(self, line: str) -> tuple[float, str] | None:
        """How far, and at what; None where the line does not tell."""


@dataclass(frozen=True)
class Room:
    """Where the commands of one build work."""

    rootfs: Path
    input: Path
    cache: Path
    log: Path
    lock: int
    """Descriptor of the build's lock, inherited by every command."""
    environment: Mapping[str, str]
    """For commands inside the root; nothing else of the host's environment gets in."""

    def outside(self, command: Sequence[str], what: str, report: Report, reader: Reader) -> None:
        """Run a program of the host. ImageError, with `what` in its line, when it fails."""
        environment = dict(self.environment) | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(self.cache)}
        _run([*_NAMESPACES, *command], environment, self, what, report, reader.read, None)

    def inside(
        self,
        command: Sequence[str],
        what: str,
        report: Report | None = None,
        reader: Reader | None = None,
        poll: Callable[[], tuple[float, str] | None] | None = None,
    ) -> None:
        """Run a program of the image in its root. ImageError, with `what` in its line, when it fails."""
        enter = ["sh", "-c", _ENTER, "sh", str(self.rootfs), str(self.input), str(self.cache)]
        _run([*_NAMESPACES, *enter, *command], self.environment, self, what, report or _unheard, reader.read if reader else None, poll)

    def output(self, command: Sequence[str]) -> str:
        """What a program of the image prints on its standard output, stripped. ImageError when it fails."""
        enter = ["sh", "-c", _ENTER, "sh", str(self.rootfs), str(self.input), str(self.cache)]
        done = subprocess.run(
            [*_NAMESPACES, *enter, *command], env=dict(self.environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, pass_fds=[self.lock]
        )
        if done.returncode:
            raise ImageError(f"image check failed: {' '.join(command)[:80]}: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}")
        return done.stdout.strip()


def _unheard(fraction: float, text: str) -> None:
    """Progress that nobody asked for."""


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    room: Room,
    what: str,
    report: Report,
    read: Callable[[str], tuple[float, str] | None] | None,
    poll: Callable[[], tuple[float, str] | None] | None,
) -> None:
    tail: deque[str] = deque(maxlen=200)
    status_out, status_in = os.pipe()
    command = [word.replace(STATUS, str(status_in)) for word in command]
    with room.log.open("a", buffering=1) as log, open(status_out, "rb") as status:
        log.write(f"\n== {time.strftime('%F %T')} {what}: {' '.join(command)[-1000:]}\n")
        try:
            process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[room.lock, status_in]
            )
        finally:
            os.close(status_in)
        assert process.stdout is not None
        try:
            for stream, line in _lines([process.stdout, status], 1.0):
                if line is None:
                    news = poll() if poll else None
                else:
                    news = read(line) if read else None
                    if stream is process.stdout:
                        tail.append(line)
                        log.write(line + "\n")
                if news:
                    report(*news)
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()
    if process.returncode:
        raise ImageError(f"{what}: {_cause(tail)}; the whole story is in {room.log}")


def _lines(streams: Iterable[IO[bytes]], every: float) -> Iterator[tuple[IO[bytes] | None, str | None]]:
    """Lines of pipes as they come, until all are closed, and (None, None) whenever `every` seconds have passed without one."""
    with selectors.DefaultSelector() as selector:
        rest = {selector.register(stream, selectors.EVENT_READ).fileobj: b"" for stream in streams}
        while selector.get_map():
            ready = selector.select(every)
            if not ready:
                yield None, None
            for key, _ in ready:
                stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
                chunk = os.read(stream.fileno(), 65536)
                if not chunk:
                    selector.unregister(stream)
                    chunk = b"\n" if rest[stream] else b""
                *whole, rest[stream] = (rest[stream] + chunk).split(b"\n")
                for line in whole:
                    yield stream, line.decode(errors="replace").rstrip("\r")


def _cause(tail: Iterable[str]) -> str:
    """Why a command failed, in a few words, from the end of what it printed."""
    lines = [line.strip() for line in tail if line.strip()]
    for pattern, words in _CAUSES:
        if found := next((line for line in reversed(lines) if pattern.search(line)), None):
            return f"{words} ({found[:160]})"
    return lines[-1][:200] if lines else "failed without a word"
