"""The daemon's socket: one request a connection, from root or the hub's uid alone, whatever the socket's mode says. See `elabs.runtime.protocol`.

Nothing that a caller sends reaches a path, a command or a file before it has its whole expected form. A caller that hangs up cancels its start.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import elabs
from elabs.runtime.local.labs import Labs, as_dict
from elabs.runtime.protocol import ENVIRONMENT, MAX_LINE, REASONS, RuntimeRefused
from elabs.storage.slugs import is_slug

log = logging.getLogger("elabs.runtime")
_LONGEST_PERSON = 255
_REQUEST_SECONDS = 10.0
"""How long a caller may take to send its request."""
Say = Callable[[dict[str, Any]], None]


class Server:
    """Answers on a unix socket for the labs it is given."""

    def __init__(self, labs: Labs, hub_uid: int) -> None:
        self._labs, self._hub_uid = labs, hub_uid
        self._verbs: dict[str, Callable[[dict[str, Any], Say], Awaitable[dict[str, Any]]]] = {
            "ping": self._ping,
            "start": self._start,
            "stop": self._stop,
            "wait": self._wait,
            "list": self._list,
            "stats": self._stats,
            "ended": self._ended,
        }

    async def listen(self, path: Path) -> asyncio.Server:
        """Listen at `path`, replacing a socket that a former daemon left."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        os.chown(path, 0, self._hub_uid)
        os.chmod(path, 0o660)
        return await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(message: dict[str, Any]) -> None:
            with contextlib.suppress(OSError):
                writer.write(json.dumps(message).encode() + b"\n")

        try:
            peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            _, uid, _ = struct.unpack("3i", peer)
            if uid not in (0, self._hub_uid):
                log.warning("refused uid %s", uid)
                say({"error": {"code": "refused", "message": "only the hub and root may ask"}})
                return
            await self._answer(reader, say)
        finally:
            with contextlib.suppress(OSError, ConnectionError):
                await writer.drain()
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, say: Say) -> None:
        try:
            request = _parse(await asyncio.wait_for(reader.readline(), _REQUEST_SECONDS))
            work = asyncio.ensure_future(self._verbs[request["verb"]](request, say))
            gone = asyncio.ensure_future(reader.read(1))
            try:
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done() and request["verb"] in ("start", "wait"):
                    work.cancel()
                say({"ok": await work})
            finally:
                gone.cancel()
        except RuntimeRefused as error:
            say({"error": {"code": error.code, "message": str(error)}})
        except (asyncio.CancelledError, ConnectionError):
            log.info("a caller went away")
        except (TimeoutError, ValueError, asyncio.LimitOverrunError):
            say({"error": {"code": "bad-request", "message": "the request is not one line of JSON"}})
        except Exception:
            log.exception("a request failed")
            say({"error": {"code": "failed", "message": "the daemon failed; its log says more"}})

    async def _ping(self, _request: dict[str, Any], _say: Say) -> dict[str, Any]:
        return {"version": elabs.__version__, "labs": len(self._labs.all())}

    async def _start(self, request: dict[str, Any], say: Say) -> dict[str, Any]:
        person, profile, environment = _person(request), request.get("profile"), _environment(request.get("environment"))
        if not isinstance(profile, str):
            raise RuntimeRefused("bad-request", "profile is not a name")
        return await self._labs.start(person, profile, environment, lambda percent, stage: say({"progress": {"percent": percent, "stage": stage}}))

    async def _stop(self, request: dict[str, Any], _say: Say) -> dict[str, Any]:
        reason = request.get("reason", "asked")
        if reason not in REASONS:
            raise RuntimeRefused("bad-request", f"reason is not one of {', '.join(REASONS)}")
        await self._labs.stop(_lab(request), reason)
        return {}

    async def _wait(self, request: dict[str, Any], _say: Say) -> dict[str, Any]:
        reason, detail = await self._labs.wait(_lab(request))
        return {"reason": reason, "detail": detail}

    async def _list(self, _request: dict[str, Any], _say: Say) -> dict[str, Any]:
        return {"labs": [as_dict(lab) for lab in self._labs.all()]}

    async def _stats(self, request: dict[str, Any], _say: Say) -> dict[str, Any]:
        return self._labs.stats(_lab(request))

    async def _ended(self, request: dict[str, Any], _say: Say) -> dict[str, Any]:
        return self._labs.last_end(_person(request))


def _parse(line: bytes) -> dict[str, Any]:
    request = json.loads(line)
    if not isinstance(request, dict) or request.get("verb") not in ("ping", "start", "stop", "wait", "list", "stats", "ended"):
        raise RuntimeRefused("bad-request", "the request has no verb that there is")
    return request


def _person(request: dict[str, Any]) -> str:
    person = request.get("person")
    if not isinstance(person, str) or not 1 <= len(person) <= _LONGEST_PERSON or not person.isprintable() or "/" in person:
        raise RuntimeRefused("bad-person", "person is not a name of 1 to 255 printable characters without /")
    return person


def _lab(request: dict[str, Any]) -> str:
    lab = request.get("lab")
    if not isinstance(lab, str) or not is_slug(lab):
        raise RuntimeRefused("bad-request", "lab is not the name of a lab")
    return lab


def _environment(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise RuntimeRefused("bad-request", "environment is not an object")
    for name, value in given.items():
        if name not in ENVIRONMENT:
            raise RuntimeRefused("bad-request", f"environment may not hold {name!r}")
        if not isinstance(value, str) or not ENVIRONMENT[name].fullmatch(value):
            raise RuntimeRefused("bad-request", f"environment.{name} has not the form it must have")
    if "JUPYTERHUB_SERVICE_PREFIX" not in given:
        raise RuntimeRefused("bad-request", "environment lacks JUPYTERHUB_SERVICE_PREFIX")
    return given
