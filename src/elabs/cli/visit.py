"""A person's visit, as a browser makes it: log in on the page, start the lab, run cells, use files and apps, log out. What `try` and `bench` go through.

Cookies, redirects, OAuth and XSRF tokens are those of a browser; no token of the hub's is used, so that what a visit can do is what its person can.
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import requests
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

_PAGE_SECONDS = 30


class VisitError(Exception):
    """A step of a visit did not go as it should; `str()` is one line."""


@dataclass
class Cell:
    """What running a cell gave."""

    text: str = ""
    """What it printed and its result."""
    error: str | None = None
    """The exception, one line, where it raised."""
    data: list[dict[str, Any]] = field(default_factory=list)
    """MIME bundles that it showed."""


class Visit:
    """One person at one browser. `base` is the address of the hub's front door, `http://127.0.0.1:8000`."""

    def __init__(self, base: str, name: str, password: str, ca: str | None = None) -> None:
        self.base, self.name, self._password, self._ca = base.rstrip("/"), name, password, ca
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = ca if ca else True
        self.lab_url = f"{self.base}/user/{quote(name, safe='@~')}"

    def login(self) -> None:
        """Log in on the login page; VisitError where the page says no."""
        page = self._get(f"{self.base}/hub/login")
        form = {"username": self.name, "password": self._password, "_xsrf": self._xsrf("/hub/")}
        answer = self.session.post(f"{self.base}/hub/login", data=form, timeout=_PAGE_SECONDS, headers={"Referer": page.url}, allow_redirects=False)
        if answer.status_code != 302:
            raise VisitError(f"login of {self.name}: {answer.status_code}: {_said(answer.text)}")

    def start(self, options: dict[str, Any] | None = None, timeout: float = 120) -> float:
        """Start the lab and wait until the hub calls it ready; seconds that took. VisitError with the hub's own reason where it fails."""
        begin = time.perf_counter()
        answer = self.hub("POST", f"users/{quote(self.name)}/server", json=options or {})
        if answer.status_code not in (201, 202) and not (answer.status_code == 400 and "already running" in answer.text):
            raise VisitError(f"start of {self.name}'s lab: {answer.status_code}: {_said(answer.text)}")
        if answer.status_code == 202:
            for event in self.progress(timeout):
                if event.get("failed"):
                    raise VisitError(f"start of {self.name}'s lab: {event.get('message')}")
                if event.get("ready"):
                    break
            else:
                raise VisitError(f"start of {self.name}'s lab: not ready after {timeout:.0f} s")
        return time.perf_counter() - begin

    def progress(self, timeout: float) -> Iterator[dict[str, Any]]:
        """The hub's own messages on a start that is under way."""
        with self.hub("GET", f"users/{quote(self.name)}/server/progress", stream=True, timeout=timeout) as answer:
            for line in answer.iter_lines():
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    def stop(self, timeout: float = 60) -> None:
        """Stop the lab and wait until it is gone."""
        answer = self.hub("DELETE", f"users/{quote(self.name)}/server")
        end = time.monotonic() + timeout
        while answer.status_code == 202 or self.server() is not None:
            if time.monotonic() > end:
                raise VisitError(f"stop of {self.name}'s lab: still there after {timeout:.0f} s")
            time.sleep(0.2)
            answer = self.hub("GET", f"users/{quote(self.name)}")
        if answer.status_code not in (200, 204):
            raise VisitError(f"stop of {self.name}'s lab: {answer.status_code}: {_said(answer.text)}")

    def server(self) -> dict[str, Any] | None:
        """What the hub says of the person's lab, None where none runs or starts."""
        answer = self.hub("GET", f"users/{quote(self.name)}")
        if answer.status_code != 200:
            raise VisitError(f"the hub does not tell {self.name}'s lab: {answer.status_code}")
        servers: dict[str, dict[str, Any]] = answer.json().get("servers") or {}
        return servers.get("")

    def enter(self) -> None:
        """Open the lab's page, with the redirects that give the browser its cookie there."""
        answer = self._get(f"{self.lab_url}/lab")
        if answer.status_code != 200 or "jupyter-config-data" not in answer.text:
            raise VisitError(f"the lab's page of {self.name}: {answer.status_code}: {_said(answer.text)}")

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request to the lab's own API, `path` below /api/."""
        headers = {"X-XSRFToken": self._xsrf(urlsplit(self.lab_url).path + "/"), "Referer": self.lab_url}
        return self.session.request(method, f"{self.lab_url}/api/{path}", headers=headers, timeout=options.pop("timeout", _PAGE_SECONDS), **options)

    def kernel(self, name: str = "python3") -> str:
        """Start a kernel and give its id."""
        answer = self.api("POST", "kernels", json={"name": name})
        if answer.status_code != 201:
            raise VisitError(f"kernel {name}: {answer.status_code}: {_said(answer.text)}")
        return str(answer.json()["id"])

    def run(self, kernel: str, code: str, timeout: float = 120) -> Cell:
        """Run one cell and wait for its end; VisitError where the kernel does not answer in time."""
        try:
            return asyncio.run(asyncio.wait_for(self._run(kernel, code), timeout))
        except TimeoutError:
            raise VisitError(f"a cell did not end within {timeout:.0f} s: {code.strip().splitlines()[0][:60]}") from None

    async def _run(self, kernel: str, code: str) -> Cell:
        url = f"{self.lab_url}/api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}"
        cookies = requests.cookies.get_cookie_header(self.session.cookies, requests.Request("GET", url).prepare())
        request = HTTPRequest("ws" + url[4:], headers={"Cookie": cookies or "", "Origin": self.base}, ca_certs=self._ca)
        socket = await websocket_connect(request, max_message_size=2**27)
        try:
            asked = uuid.uuid4().hex
            header = {"msg_id": asked, "username": self.name, "session": asked, "msg_type": "execute_request", "version": "5.3"}
            content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
            await socket.write_message(json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}))
            return await _collect(socket, asked)
        finally:
            socket.close()

    def run_notebook(self, path: str, kernel_name: str, say: Callable[[str], None] = lambda text: None) -> int:
        """Run every code cell of a notebook of the home, in order, in a kernel of its own in the notebook's folder; the number of cells.

        VisitError where one raises.
        """
        answer = self.api("GET", f"contents/{quote(path)}")
        if answer.status_code != 200:
            raise VisitError(f"{path}: {answer.status_code}")
        session = self.api("POST", "sessions", json={"path": path, "type": "notebook", "name": path, "kernel": {"name": kernel_name}}).json()
        cells = [cell for cell in answer.json()["content"]["cells"] if cell["cell_type"] == "code"]
        try:
            for number, cell in enumerate(cells, 1):
                say(f"{path}: {number}/{len(cells)}")
                if error := self.run(session["kernel"]["id"], "".join(cell["source"])).error:
                    raise VisitError(f"{path}, cell {number}: {error}")
        finally:
            self.api("DELETE", f"sessions/{session['id']}")
        return len(cells)

    def file(self, path: str) -> bytes:
        """A file of the home, through the lab; VisitError where it is not there."""
        answer = self._get(f"{self.lab_url}/files/{quote(path)}")
        if answer.status_code != 200:
            raise VisitError(f"{path}: {answer.status_code}")
        return answer.content

    def get(self, path: str, **options: Any) -> requests.Response:
        """Any page below the front door, with this browser's cookies."""
        return self._get(urljoin(f"{self.base}/", path.lstrip("/")), **options)

    def _get(self, url: str, **options: Any) -> requests.Response:
        return self.session.get(url, timeout=options.pop("timeout", _PAGE_SECONDS), **options)

    def hub(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request to the hub's API, with what the person may do there; `path` below /hub/api/."""
        headers = {"X-XSRFToken": self._xsrf("/hub/"), "Referer": f"{self.base}/hub/home"}
        return self.session.request(method, f"{self.base}/hub/api/{path}", headers=headers, timeout=options.pop("timeout", _PAGE_SECONDS), **options)

    def _xsrf(self, path: str) -> str:
        return next((cookie.value or "" for cookie in self.session.cookies if cookie.name == "_xsrf" and cookie.path == path), "")


async def _collect(socket: Any, asked: str) -> Cell:
    cell, replied, idle = Cell(), False, False
    while not (replied and idle):
        raw = await socket.read_message()
        if raw is None:
            raise VisitError("the lab closed the connection to the kernel")
        message = json.loads(raw)
        if message["content"].get("execution_state") in ("restarting", "autorestarting", "dead"):
            raise VisitError("the kernel died")
        if message.get("parent_header", {}).get("msg_id") != asked:
            continue
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "stream":
            cell.text += content["text"]
        elif kind in ("execute_result", "display_data"):
            cell.data.append(content["data"])
            cell.text += content["data"].get("text/plain", "")
        elif kind == "error":
            cell.error = f"{content['ename']}: {content['evalue']}"
        elif kind == "execute_reply":
            replied = True
            if content["status"] == "aborted":
                cell.error = cell.error or "aborted"
        elif kind == "status":
            idle = content["execution_state"] == "idle" or idle
    return cell


def _said(page: str) -> str:
    """The words of a page or of an API's refusal, short, for one line."""
    try:
        return str(json.loads(page)["message"])
    except (ValueError, KeyError, TypeError):
        body = re.sub(r"(?s)<(script|style|head).*?</\1>", " ", page)
        return " ".join(re.sub(r"<[^>]*>", " ", body).split())[:200]
