"""A stand-in for the daemon and its labs: it speaks the protocol, and a "lab" is a small tornado server behind JupyterHub's own OAuth, at its own address.

Everything runs in one thread with a loop; tests look at `heard`, and set `refuse` or `hold` to make starts go wrong.
"""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado import web
from tornado.httpserver import HTTPServer

from elabs.runtime.protocol import ENVIRONMENT, LAB_PORT, MAX_LINE, Lab
from elabs.storage.slugs import slug


@dataclass
class Running:
    """One lab."""

    lab: Lab
    server: HTTPServer
    environment: dict[str, str]
    ended: "asyncio.Future[dict[str, Any]]"


@dataclass
class Standin:
    """Listens at `socket`; labs get addresses of `network`, like 127.9.16."""

    socket: Path
    network: str
    hub_api: str
    heard: list[tuple[str, Any]] = field(default_factory=list)
    labs: dict[str, Running] = field(default_factory=dict)
    last_end: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuse: tuple[str, str] | None = None
    """Code and message for the next starts."""
    hold: bool = False
    """Starts stay in their first stage."""
    refuse_after_hold: tuple[str, str] | None = None
    _given: int = 0

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener: asyncio.Server | None = None
        self.up()

    def up(self) -> None:
        """Listen."""
        self.socket.unlink(missing_ok=True)
        self._listener = self._do(asyncio.start_unix_server(self._serve, str(self.socket), limit=MAX_LINE))

    def down(self) -> None:
        """Stop listening and break every connection, as a killed daemon would; labs go on."""

        async def close() -> None:
            assert self._listener
            self._listener.close()
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task() and task.get_name().startswith("request"):
                    task.cancel()

        self._do(close())
        self.socket.unlink(missing_ok=True)

    def close(self) -> None:
        """End everything."""
        self.down()
        for name in list(self.labs):
            self.end(name, "asked")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def end(self, name: str, reason: str, **detail: Any) -> None:
        """A lab ends."""

        async def end() -> None:
            self._end(name, reason, detail)

        self._do(end())

    def environment(self, person: str) -> dict[str, str]:
        """What the hub gave a person's lab."""
        return self.labs[slug(person)].environment

    def add(self, person: str) -> None:
        """A lab that no hub asked for."""
        environment = {"JUPYTERHUB_API_TOKEN": "x" * 32, "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-x", "JUPYTERHUB_SERVICE_PREFIX": "/user/x/"}
        self._do(self._launch(person, "default", environment))

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        task.set_name("request")
        try:
            request = json.loads(await reader.readline())
            self.heard.append((request["verb"], request))
            work = asyncio.ensure_future(getattr(self, f"_{request['verb']}")(request, lambda message: writer.write(json.dumps(message).encode() + b"\n")))
            gone = asyncio.ensure_future(reader.read(1))
            try:
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    self.heard.append(("hung up", request["verb"]))
                    work.cancel()
                answer = {"ok": await work}
            finally:
                work.cancel()
                gone.cancel()
        except _Refused as error:
            answer = {"error": {"code": error.args[0], "message": error.args[1]}}
        except (asyncio.CancelledError, ValueError):
            writer.close()
            return
        writer.write(json.dumps(answer).encode() + b"\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    async def _ping(self, request: dict[str, Any], say: Callable[[Any], None]) -> dict[str, Any]:
        return {"version": "stand-in", "labs": len(self.labs)}

    async def _start(self, request: dict[str, Any], say: Callable[[Any], None]) -> dict[str, Any]:
        for name, value in request["environment"].items():
            if name not in ENVIRONMENT or not ENVIRONMENT[name].fullmatch(value):
                raise _Refused("bad-request", f"environment.{name}")
        say({"progress": {"percent": 5, "stage": "home"}})
        if self.refuse:
            raise _Refused(*self.refuse)
        while self.hold:
            await asyncio.sleep(0.02)
        if self.refuse_after_hold:
            raise _Refused(*self.refuse_after_hold)
        say({"progress": {"percent": 60, "stage": "server"}})
        return await self._launch(request["person"], request["profile"], request["environment"])

    async def _launch(self, person: str, profile: str, environment: dict[str, str]) -> dict[str, Any]:
        name = slug(person)
        if name in self.labs:
            self._end(name, "asked", {})
        self._given += 1
        address = f"{self.network}.{10 + self._given}"
        server = HTTPServer(_application(environment, self.hub_api))
        server.listen(LAB_PORT, address)
        lab = Lab(name, person, profile, "medium", "small", "running", address, time.time(), 10**8, 2**31)
        self.labs[name] = Running(lab, server, environment, asyncio.get_running_loop().create_future())
        return {"lab": name, "address": address, "port": LAB_PORT}

    async def _stop(self, request: dict[str, Any], say: Callable[[Any], None]) -> dict[str, Any]:
        if request["lab"] in self.labs:
            self._end(request["lab"], request.get("reason", "asked"), {})
        return {}

    def _end(self, name: str, reason: str, detail: dict[str, Any]) -> None:
        running = self.labs.pop(name)
        running.server.stop()
        self.last_end[running.lab.person] = {"reason": reason, "detail": {"memory_limit_bytes": 2**31, **detail}, "time": time.time()}
        running.ended.set_result({"reason": reason, "detail": ""})

    async def _wait(self, request: dict[str, Any], say: Callable[[Any], None]) -> dict[str, Any]:
        if request["lab"] not in self.labs:
            raise _Refused("refused", "there is no such lab")
        return await asyncio.shield(self.labs[request["lab"]].ended)

    async def _list(self, request: dict[str, Any], say: Callable[[Any], None]) -> dict[str, Any]:
        return {"labs": [asdict(running.lab) for running in self.labs.values()]}

    async def _ended(self, request: dict[str, Any], say: Callable[[Any], None]) -> dict[str, Any]:
        return self.last_end.get(request["person"], {})


class _Refused(Exception):
    pass


def _application(environment: dict[str, str], hub_api: str) -> web.Application:
    """What a lab serves: who the hub says that the visitor is, to those whom the hub lets in."""
    prefix = environment["JUPYTERHUB_SERVICE_PREFIX"]
    scopes = set(json.loads(environment.get("JUPYTERHUB_OAUTH_ACCESS_SCOPES") or "[]"))
    auth = HubOAuth(
        api_url=hub_api, api_token=environment["JUPYTERHUB_API_TOKEN"], base_url=prefix, hub_prefix="/hub/", hub_host="",
        oauth_client_id=environment["JUPYTERHUB_CLIENT_ID"], oauth_redirect_uri=f"{prefix}oauth_callback", access_scopes=scopes,
    )  # fmt: skip

    class Callback(HubOAuthCallbackHandler):
        hub_auth = auth

    class Page(HubOAuthenticated, web.RequestHandler):
        hub_auth = auth

        @web.authenticated
        async def get(self, path: str) -> None:
            self.write({"visitor": self.current_user["name"], "prefix": prefix, "path": path, "cookies": sorted(self.request.cookies)})

    class Api(web.RequestHandler):
        def get(self) -> None:
            self.set_header("X-JupyterHub-Version", "6.1.1")
            self.write({"version": "stand-in"})

    quoted = re.escape(prefix.rstrip("/"))
    return web.Application([(f"{quoted}/api", Api), (f"{quoted}/oauth_callback", Callback), (f"{quoted}/?(.*)", Page)], cookie_secret="x" * 32)


@contextmanager
def standin(socket: Path, network: str, hub_api: str) -> Iterator[Standin]:
    """A stand-in that ends with the block."""
    found = Standin(socket, network, hub_api)
    try:
        yield found
    finally:
        found.close()
