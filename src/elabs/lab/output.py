"""What a lab prints: to the log that started it, and never in its own way.

The log is a pipe held by another program, which may be slow, stopped or gone. Neither the server nor the kernels and terminals that inherit its output may
block or die of that. So they all write into a pipe of our own, which a thread empties; what the log does not take at once is dropped.
"""

import os
import select
import sys
import threading

_BLOCK = 4096
"""Bytes that a pipe which is ready for writing takes whole, without blocking (PIPE_BUF)."""

_log = 2
_thread: threading.Thread | None = None


def shelter() -> None:
    """Put our pipe in the place of standard output and error, once at the start of the process."""
    global _log, _thread
    _log = os.dup(2)
    reader, writer = os.pipe()
    for descriptor in (1, 2):
        os.dup2(writer, descriptor)
    os.close(writer)
    _thread = threading.Thread(target=_pass_on, args=(reader, _log), name="output", daemon=True)
    _thread.start()
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def expose() -> None:
    """Give standard output and error back their first targets, once all that was printed is there; for a process that begins anew or ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    for descriptor in (1, 2):
        os.dup2(_log, descriptor)
    if _thread:
        _thread.join(1.0)  # it ends with the last writer; a child that still has the pipe may keep it


def say(line: str) -> None:
    """One line to the log."""
    print(f"elabs: {line}", file=sys.stderr)


def _pass_on(reader: int, log: int) -> None:
    while block := os.read(reader, _BLOCK):
        try:
            if select.select([], [log], [], 0)[1]:
                os.write(log, block)
        except OSError:
            continue
