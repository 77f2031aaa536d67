"""The other end of the daemon's socket: what the hub says, in asyncio, and one request at a time for commands. See `elabs.runtime.protocol`.

Every request has a connection of its own. Cancelling `start` closes it, which cancels the start in the daemon too; so does the end of this process.
All raise RuntimeRefused where the daemon says no, and OSError where none answers.
"""

import asyncio
import contextlib
import json
import socket as sockets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elabs.runtime.protocol import Lab, RuntimeRefused

_LONGEST_ANSWER = 16 * 2**20
"""Bytes; a list of some ten thousand labs."""
Progress = Callable[[int, str], None]


class RuntimeClient:
    """Asks the daemon at `socket`; keeps no connection and no state."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def start(self, person: str, profile: str, environment: dict[str, str], on_progress: Progress) -> dict[str, Any]:
        """Start a lab and return `{"lab", "address", "port"}` once it listens; `on_progress(percent, stage)` is called meanwhile."""
        return await self._ask({"verb": "start", "person": person, "profile": profile, "environment": environment}, on_progress)

    async def stop(self, lab: str, reason: str = "asked") -> None:
        """End a lab and return once it is gone; one that is not there is no error. `reason` is one of the protocol's REASONS."""
        await self._ask({"verb": "stop", "lab": lab, "reason": reason})

    async def wait(self, lab: str) -> dict[str, Any]:
        """`{"reason", "detail"}` once the lab has ended; RuntimeRefused where it is not there."""
        return await self._ask({"verb": "wait", "lab": lab})

    async def list(self) -> list[Lab]:
        """The labs there are."""
        return [Lab(**lab) for lab in (await self._ask({"verb": "list"}))["labs"]]

    async def stats(self, lab: str) -> dict[str, Any]:
        """`{"memory_bytes", "memory_limit_bytes", "cpu_seconds", "pids"}` of a lab; RuntimeRefused where it is not there."""
        return await self._ask({"verb": "stats", "lab": lab})

    async def ended(self, person: str) -> dict[str, Any]:
        """How the person's last lab ended, `{"reason", "detail", "time"}` (seconds since the epoch), or `{}`."""
        return await self._ask({"verb": "ended", "person": person})

    async def ping(self) -> dict[str, Any]:
        """`{"version", "labs"}`."""
        return await self._ask({"verb": "ping"})

    async def _ask(self, request: dict[str, Any], on_progress: Progress | None = None) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=_LONGEST_ANSWER)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            while line := await reader.readline():
                ok, progress = _understand(line)
                if ok is not None:
                    return ok
                if on_progress and progress:
                    on_progress(progress["percent"], progress["stage"])
            raise ConnectionError("the labs' runtime hung up")
        finally:
            # without waiting for the transport's end, so that a cancelled start is cancelled below at once
            with contextlib.suppress(OSError):
                writer.close()


def ask(socket: Path, request: dict[str, Any], *, seconds: float | None = 10.0) -> dict[str, Any]:
    """The `ok` of one request, for code without a loop; progress is passed over. `seconds` is how long to wait for each line of the answer."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(str(socket))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as lines:
            for line in lines:
                ok, _ = _understand(line)
                if ok is not None:
                    return ok
    raise ConnectionError("the labs' runtime hung up")


def _understand(line: bytes) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """`ok` and `progress` of a line, one of them None; RuntimeRefused for a refusal."""
    try:
        answer = json.loads(line)
    except ValueError:  # a daemon that was killed while it wrote
        raise ConnectionError("the labs' runtime broke off in the middle of an answer") from None
    if "error" in answer:
        raise RuntimeRefused(answer["error"]["code"], answer["error"]["message"])
    return answer.get("ok"), answer.get("progress")
