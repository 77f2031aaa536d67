"""A real hub behind the real proxy, as an ordinary program of whoever runs the tests, on loopback addresses of its own; the daemon is a stand-in."""

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import requests

from elabs.cli.visit import Visit
from elabs.config.model import Config
from elabs.config.state import State
from elabs.hub.login.hashes import hash_password
from tests.hub.standin import Standin
from tests.tools import proxy_folder

ROOT = Path(__file__).parents[2]
_START_SECONDS = 120


class World:
    """One instance; a context manager. `settings` are those of elabs.yaml; every account's password is `<name>-secret`."""

    def __init__(self, accounts: Iterable[str] = (), **settings: Any) -> None:
        self.accounts = ["colibri", "lince", "admin", *accounts]
        self.state = State(Path(tempfile.mkdtemp(prefix="elabs-hub-", dir="/var/tmp")))
        # a /20 of loopback, where any account may listen on any address
        self.network = f"127.{random.randrange(16, 250)}.{random.randrange(16) * 16}"
        self.port = _free_port()
        settings["site"] = {"listen": f"127.0.0.1:{self.port}", **settings.get("site", {})}
        self.config = Config.model_validate(settings)
        self.hub_url = f"http://{self.network}.1:8081/hub"
        self.url = f"http://127.0.0.1:{self.port}"
        self.status_token = secrets.token_hex(16)
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self.daemon: Standin

    def __enter__(self) -> "World":
        try:
            self._prepare()
            self.daemon = Standin(self.state.socket, self.network, f"{self.hub_url}/api")
            self.start("proxy")
            self.start("hub")
            self.until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._programs):
            self.kill(name, signal.SIGTERM)
        if hasattr(self, "daemon"):
            self.daemon.close()
        shutil.rmtree(self.state.root, ignore_errors=True)

    def start(self, name: str) -> None:
        """Start `hub` or `proxy`."""
        module = {"hub": "elabs.hub", "proxy": "elabs.hub.proxy"}[name]
        environment = {"ELABS_STATE": str(self.state.root), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT / "src"), "LANG": "C.UTF-8"}
        environment |= {"HOME": str(self.state.hub), "USER": "elabs-hub"}
        with (self.state.root / f"{name}.log").open("ab") as log:
            self._programs[name] = subprocess.Popen(
                [sys.executable, "-m", module], env=environment, cwd=self.state.hub, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End `hub` or `proxy` with a signal and wait for it."""
        process = self._programs.pop(name)
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    def pid(self, name: str) -> int:
        """The process that runs as `hub` or `proxy`."""
        return self._programs[name].pid

    def until_ready(self) -> None:
        """Wait until a login page comes through the proxy."""

        def ready() -> bool:
            for name, process in self._programs.items():
                assert process.poll() is None, f"{name} ended: {self.log(name)[-3000:]}"
            try:
                return requests.get(f"{self.url}/hub/login", timeout=10).status_code == 200
            except requests.RequestException:
                return False

        eventually(ready, "the login page", _START_SECONDS)

    def log(self, name: str) -> str:
        """What `hub` or `proxy` wrote."""
        return (self.state.root / f"{name}.log").read_text()

    def browser(self, name: str, password: str | None = None, language: str = "en") -> Visit:
        """A new browser of that person, not logged in."""
        visit = Visit(self.url, name, f"{name}-secret" if password is None else password)
        visit.session.headers["Accept-Language"] = language
        return visit

    def visit(self, name: str, password: str | None = None, language: str = "en") -> Visit:
        """A new browser of that person, logged in."""
        visit = self.browser(name, password, language)
        visit.login()
        return visit

    def log_in(self, name: str, password: str | None = None, language: str = "en", **headers: str) -> requests.Response:
        """The answer to the login form, in a new browser; redirects are not followed."""
        session = requests.Session()
        session.headers.update({"Accept-Language": language, "Sec-Fetch-Mode": "navigate", **headers})
        session.get(f"{self.url}/hub/login", timeout=30)
        form = {"username": name, "password": f"{name}-secret" if password is None else password, "_xsrf": session.cookies.get("_xsrf")}
        return session.post(f"{self.url}/hub/login", data=form, timeout=60, allow_redirects=False)

    def api(self, method: str, path: str, token: str, **options: Any) -> requests.Response:
        """A request to the hub's API with a token."""
        return requests.request(method, f"{self.hub_url}/api/{path}", headers={"Authorization": f"token {token}"}, timeout=30, **options)

    def _prepare(self) -> None:
        state = self.state
        for folder in (state.run, state.hub / "secrets", state.proxy / "secrets"):
            folder.mkdir(parents=True)
        state.config.write_text(self.config.model_dump_json())
        state.instance.write_text(json.dumps({"number": 0, "state": str(state.root), "block": 1879048192, "subnet": f"{self.network}.0/20"}))
        token = secrets.token_hex(16)
        for path in (state.hub / "secrets/proxy_token", state.proxy / "secrets/proxy_token"):
            path.write_text(token + "\n")
        (state.hub / "secrets/status_token").write_text(self.status_token + "\n")
        (state.hub / "secrets/oauth_secret").write_text("between-us\n")
        if self.config.login.ldap and self.config.login.ldap.ca:
            shutil.copyfile(self.config.login.ldap.ca, state.hub / "secrets/ldap_ca")
        (state.hub / "secrets/ldap_password").write_text("searcher-secret\n")
        accounts = {name: {"hash": hash_password(f"{name}-secret"), "admin": name == "admin"} for name in self.accounts}
        (state.hub / "demo.json").write_text(json.dumps(accounts))
        os.symlink(proxy_folder(), state.node)


def eventually(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait until `true()` is."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
