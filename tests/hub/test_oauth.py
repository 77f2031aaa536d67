"""Login at another site by JupyterHub's own authenticator, against a small provider of OpenID Connect that says who logs in."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from elabs.cli.errors import Problem
from elabs.hub.text import texts
from tests.hub.test_pages import words
from tests.hub.world import World


class Provider(ThreadingHTTPServer):
    """Everybody who comes is `person`."""

    person = "lince"
    secrets: list[str]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.secrets = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/authorize":
            self.send_response(302)
            self.send_header("Location", f"{query['redirect_uri'][0]}?{urlencode({'code': 'c0de', 'state': query['state'][0]})}")
            self.end_headers()
        else:
            assert self.headers["Authorization"] == "Bearer t0ken"
            self._say({"preferred_username": self.server.person, "groups": ["ecology"]})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        basic = base64.b64decode(self.headers.get("Authorization", "Basic Og==").split()[1]).decode()
        self.server.secrets.append(form.get("client_secret", [basic.partition(":")[2]])[0])
        self._say({"access_token": "t0ken", "token_type": "Bearer"})

    def _say(self, what: dict[str, Any]) -> None:
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def elsewhere(provider: Provider) -> Iterator[World]:
    oauth = {
        "class": "generic-oauth", "login_service": "Instituto", "client_id": "elabs", "client_secret_file": "/nowhere/secret", "username_claim": "preferred_username",
        "authorize_url": f"{provider.url}/authorize", "token_url": f"{provider.url}/token", "userdata_url": f"{provider.url}/userinfo", "allowed_users": ["lince", "fin"],
    }  # fmt: skip
    try:
        made = World(login={"oauth": oauth})
    except Problem as error:
        pytest.skip(str(error))
    with made:
        yield made


def come(world: World, provider: Provider, person: str) -> requests.Session:
    provider.person = person
    session = requests.Session()
    session.headers.update({"Sec-Fetch-Mode": "navigate", "Accept-Language": "es"})
    session.get(f"{world.url}/hub/oauth_login", timeout=30)
    return session


def test_the_page_offers_the_other_site(elsewhere: World) -> None:
    page = requests.get(f"{elsewhere.url}/hub/login", headers={"Accept-Language": "es"}, timeout=30)
    assert texts("es")["login.with"].format(service="Instituto") in words(page)
    assert "password" not in page.text


def test_who_is_allowed_enters_and_the_secret_is_the_files(elsewhere: World, provider: Provider) -> None:
    session = come(elsewhere, provider, "lince")
    assert "lince" in words(session.get(f"{elsewhere.url}/hub/home", timeout=30))
    assert set(provider.secrets) == {"between-us"}


@pytest.mark.parametrize("person", ["stranger", "\ufb01n", "../lince", ""])
def test_who_is_not_does_not(elsewhere: World, provider: Provider, person: str) -> None:
    session = come(elsewhere, provider, person)
    assert session.get(f"{elsewhere.url}/hub/home", timeout=30, allow_redirects=False).status_code == 302
