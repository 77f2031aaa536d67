"""Frames over two pipes: a kind, a length, and either a JSON object or bytes. What is sent waits in a buffer until the sender listens, or flushes."""

import json
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elabs.storage.run import StorageError

_HEAD = struct.Struct(">cI")
_LARGEST = 2**28
"""Bytes of a frame; more is no frame of ours."""
_BUFFER = 2**18


class WireClosed(StorageError):
    """The other end is gone."""


class Wire:
    """One end. `since` is when (monotonic seconds) it began to wait for the other one, for whoever watches it from another thread; None: it does not wait."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._in = os.fdopen(read_fd, "rb", _BUFFER)
        self._out = os.fdopen(write_fd, "wb", _BUFFER)
        self.since: float | None = None

    def send(self, message: dict[str, Any]) -> None:
        """Send an object."""
        self._frame(b"J", json.dumps(message, separators=(",", ":")).encode())

    def data(self, *parts: bytes) -> None:
        """Send bytes, of several parts in one frame."""
        self._frame(b"D", *parts)

    def _frame(self, kind: bytes, *parts: bytes) -> None:
        with self._waiting():
            self._out.write(_HEAD.pack(kind, sum(map(len, parts))))
            for part in parts:
                self._out.write(part)

    def flush(self) -> None:
        """Send what waits."""
        with self._waiting():
            self._out.flush()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self.since = time.monotonic()
        try:
            yield
        except BrokenPipeError:
            raise WireClosed("the connection to the home ended") from None
        finally:
            self.since = None

    def receive(self) -> dict[str, Any] | bytes:
        """The next frame. WireClosed where none comes any more, StorageError where it is none of ours."""
        self.flush()
        with self._waiting():
            return self._next()

    def _next(self) -> dict[str, Any] | bytes:
        kind, length = _HEAD.unpack(self._exactly(_HEAD.size))
        if kind not in (b"J", b"D") or length > _LARGEST:
            raise StorageError("what came over the connection is not from elabs; is the image the right one?")
        body = self._exactly(length)
        if kind == b"D":
            return body
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise StorageError("what came over the connection is not from elabs; is the image the right one?")
        return message

    def _exactly(self, count: int) -> bytes:
        found = self._in.read(count)
        if len(found) < count:
            raise WireClosed("the connection to the home ended")
        return found

    def close(self) -> None:
        """Close both pipes; what waits is not sent any more if nobody takes it."""
        for file in (self._out, self._in):
            try:
                file.close()
            except OSError:
                pass
