"""The site's proxy asks the proxy of another cluster for TLS by that one's name, and hands on the Host header that the visitor sent."""

import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import tools
from tests.kubernetes import authority
from tests.live import ROOT

LOADED = ROOT / "src/elabs/hub/cluster/target_name.cjs"


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    """The port of a server that has a certificate for `localhost` alone, of an authority in `ca.pem`."""
    authority.make(tmp_path)
    certificate, key = authority.sign(tmp_path, "target", "DNS:localhost")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def said(folder: Path, port: int, options: str) -> tuple[int, str]:
    """What a proxy whose route leads there answers a visitor of `labs.example.org`."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        page, api = one.getsockname()[1], two.getsockname()[1]
    node = tools.proxy_folder() / "current"
    program = node / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    command = [str(node / "bin/node"), str(program), "--ip=127.0.0.1", f"--port={page}", "--api-ip=127.0.0.1", f"--api-port={api}"]
    environment = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": "t", "NODE_EXTRA_CA_CERTS": str(folder / "ca.pem"), "NODE_OPTIONS": options}
    proxy = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        route = json.dumps({"target": f"https://localhost:{port}"}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{api}/api/routes/user/x", route, {"Authorization": "token t"}, method="POST")
        end = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(asked, timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < end, "the proxy does not start"
                time.sleep(0.1)
        visit = urllib.request.Request(f"http://127.0.0.1:{page}/user/x/api", headers={"Host": "labs.example.org"})
        try:
            with urllib.request.urlopen(visit, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
    finally:
        proxy.kill()
        proxy.wait()


def test_the_certificate_is_that_of_the_target_and_the_host_that_of_the_visitor(tmp_path: Path, target: int) -> None:
    assert said(tmp_path, target, f"--require={LOADED}") == (200, "labs.example.org")


def test_without_it_the_proxy_would_not_believe_the_certificate(tmp_path: Path, target: int) -> None:
    assert said(tmp_path, target, "")[0] == 503
