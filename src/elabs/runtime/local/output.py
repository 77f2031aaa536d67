"""What labs print: read from a pipe each, written to a bounded file each. A lab can neither fill the host's disk nor keep the daemon busy, nor wait for either.

The pipe is a named one, and the lab holds it open for reading too: it never breaks, and a daemon that comes back goes on reading where it was. It does not
block: what nobody reads in time is lost.
"""

import asyncio
import contextlib
import os
from pathlib import Path

LARGEST = 2 * 2**20
"""Bytes of a lab's log before it is turned over; one older file is kept."""
_CHUNK = 65536
_PAUSE = 0.1
"""Seconds between two reads of the same lab."""


def open_pipe(fifo: Path) -> int:
    """Make the pipe of a lab and open the lab's end."""
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo, 0o600)
    return os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


class Output:
    """Copies one lab's pipe to its log, from `open` to `close`."""

    def __init__(self, fifo: Path, log: Path) -> None:
        self._fifo, self._log = fifo, log
        self._fd = -1
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin, or go on after a restart."""
        self._fd = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._listen()

    def close(self) -> None:
        """Write what is left in the pipe and stop."""
        if self._fd < 0:
            return
        if self._timer:
            self._timer.cancel()
        asyncio.get_running_loop().remove_reader(self._fd)
        with contextlib.suppress(OSError):
            self._write(os.read(self._fd, _CHUNK))
        os.close(self._fd)
        self._fd = -1

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        with contextlib.suppress(BlockingIOError):
            if chunk := os.read(self._fd, _CHUNK):
                self._write(chunk)
            else:  # every writer is gone: the pidfd says so too, and nothing more comes
                return
        self._timer = loop.call_later(_PAUSE, self._listen)

    def _write(self, chunk: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk of the host loses log lines, not labs
            with open(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as log:
                log.write(chunk)
                size = log.tell()
            if size > LARGEST:
                os.replace(self._log, self._log.with_suffix(".log.1"))


def tail(log: Path, lines: int = 5) -> list[str]:
    """The last lines of a lab's log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
