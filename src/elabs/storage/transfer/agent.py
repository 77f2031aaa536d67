"""The end that has the home: does what the other end asks over the wire, one verb, and ends when that has heard the result, or is gone.

`python3 -m elabs.storage.transfer.agent FOLDER` serves on standard input and output, in a pod; `... agent keep` is what such a pod does else: it waits, and
ends once nobody has moved anything for some minutes, so that a pod whose owner was killed does not hold the volume for ever.

export: hears D frames with the checksums it need not send (32 bytes each), then `{"go"}`; answers `{"total"}`, then each entry as `{"entry"}` behind the D
frames of its pieces, then `{"end"}`.
import: hears `{"entries"}`, answers `{"want"}`, hears their pieces, answers `{"done"}`, and so on until `{"finish"}`, then `{"end"}`.
`{"alive"}` may come at any time; `{"error"}` is the last frame.
"""

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from elabs.storage.run import StorageError
from elabs.storage.transfer.manifest import Order, decode, encode
from elabs.storage.transfer.reading import Reader
from elabs.storage.transfer.wire import Wire, WireClosed
from elabs.storage.transfer.writing import Writer, is_half

_ALIVE_SECONDS = 2.0
_KEEP_SECONDS = 300.0
"""How long a pod stays after the last agent in it ended."""


class _Pulse:
    """Tells the other end now and then that this one works."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._next = wire, time.monotonic() + _ALIVE_SECONDS

    def __call__(self) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _ALIVE_SECONDS
            self._wire.send({"alive": True})
            self._wire.flush()


def serve(wire: Wire, root: int) -> None:
    """Serve one verb for the home open at `root`. What goes wrong is told to the other end."""
    os.umask(0o077)
    try:
        request = _object(wire)
        if request.get("verb") == "export":
            _export(wire, root)
        elif request.get("verb") == "import":
            _import(wire, root, str(request["archive"]), bool(request["merge"]))
        else:
            raise StorageError("the other end asks for what this version of elabs does not know")
        wire.receive()  # that it was heard
    except WireClosed:
        pass
    except OSError as error:
        _tell(wire, f"{error.filename}: {error.strerror}" if isinstance(error.filename, str) else f"the home: {error.strerror or error}")
    except StorageError as error:
        _tell(wire, str(error))


def _tell(wire: Wire, line: str) -> None:
    try:
        wire.send({"error": line})
        wire.flush()
        while True:  # what the other end was sending; it stops when it has read this
            wire.receive()
    except (StorageError, OSError):
        pass


def _object(wire: Wire) -> dict[str, Any]:
    message = wire.receive()
    if isinstance(message, bytes):
        raise StorageError("bytes came where a question had to")
    return message


def _export(wire: Wire, root: int) -> None:
    if is_half(root):
        raise StorageError("this home is the half of an import that was cut off; run that import again first")
    there: set[bytes] = set()
    while isinstance(message := wire.receive(), bytes):
        there.update(message[start : start + 32] for start in range(0, len(message), 32))
    pulse, reader = _Pulse(wire), Reader(root)
    wire.send({"total": asdict(reader.totals(pulse))})

    def send(sha256: bytes, data: bytes) -> None:
        if sha256 not in there:
            there.add(sha256)
            wire.data(sha256, data)
        pulse()

    for entry in reader.entries(send):
        wire.send({"entry": encode(entry).decode()})
    wire.send({"end": asdict(reader.notes)})


def _import(wire: Wire, root: int, archive: str, merge: bool) -> None:
    writer, order = Writer(root, archive, _Pulse(wire)), Order()

    def receive() -> bytes:
        data = wire.receive()
        if not isinstance(data, bytes):
            raise StorageError("a question came where a piece had to")
        return data

    try:
        wire.send({"resumed": writer.begin(merge=merge)})
        while "entries" in (message := _object(wire)):
            batch = [decode(line) for line in message["entries"]]
            for entry in batch:
                order.check(entry)
            wire.send({"want": writer.want(batch)})
            writer.contents(receive)
            wire.send({"done": True})
        writer.finish()
        wire.send({"end": asdict(writer.results)})
    finally:
        writer.close()


def keep(seconds: float = _KEEP_SECONDS, proc: Path = Path("/proc")) -> None:
    """Return once no other process was here for so long; the first process of all, and the one that waits, do not count."""
    alone_since = time.monotonic()
    while time.monotonic() - alone_since < seconds:
        time.sleep(min(1.0, seconds / 4))
        if any(entry.name.isdecimal() and int(entry.name) not in (1, os.getpid()) for entry in proc.iterdir()):
            alone_since = time.monotonic()


def main(arguments: list[str]) -> int:
    """The module as a program."""
    if arguments == ["keep"]:
        keep()
        return 0
    wire = Wire(os.dup(0), os.dup(1))
    os.dup2(2, 1)  # nothing but frames
    serve(wire, os.open(arguments[0], os.O_RDONLY | os.O_DIRECTORY))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
