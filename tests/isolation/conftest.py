"""Two people's labs: `colibri` is hostile, `lince` only wants to work. And a world around the machine, made of network namespaces, so that no packet leaves it."""

import subprocess
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from elabs.cli.visit import Visit
from tests.live import Live


@dataclass
class Person:
    """Somebody with a lab and a Python kernel in it."""

    visit: Visit
    kernel: str

    def run(self, code: str, timeout: float = 120) -> str:
        """What a cell prints; an exception of the cell is returned as its last line."""
        cell = self.visit.run(self.kernel, textwrap.dedent(code), timeout)
        return (cell.text + (f"\nraised {cell.error}" if cell.error else "")).strip()

    def works(self) -> bool:
        """Whether the lab still runs cells."""
        return self.run("print(6 * 7)", 60) == "42"


def person(live: Live, name: str) -> Person:
    visit = live.visit(name)
    visit.start()
    visit.enter()
    return Person(visit, visit.kernel())


@pytest.fixture(scope="session")
def hostile(live: Live) -> Person:
    return person(live, "colibri")


@pytest.fixture(scope="session")
def victim(live: Live) -> Person:
    return person(live, "lince")


@pytest.fixture
def attack(hostile: Person) -> Iterator[Callable[..., str]]:
    """Run code in the hostile lab; whatever it did, the lab has a working kernel afterwards."""
    yield hostile.run
    try:
        alive = hostile.works()
    except Exception:
        alive = False
    if not alive:
        hostile.visit.start()
        hostile.visit.enter()
        hostile.kernel = hostile.visit.kernel()


WORLD = {"private": "10.99.99.1", "allowed": "10.98.98.1", "metadata": "169.254.169.254", "shared": "100.64.7.7", "public": "198.51.100.7"}
"""Addresses that stand, in a namespace of the tests, for what is around a machine. The last is a documentation range, which counts as public."""
_ANSWER = "import socketserver as s; s.ThreadingTCPServer.allow_reuse_address = True; s.ThreadingTCPServer(('', 8000), type('H', (s.BaseRequestHandler,), {'handle': lambda self: self.request.sendall(b'hello')})).serve_forever()"


def sh(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def world() -> Iterator[dict[str, str]]:
    """WORLD, with a server on port 8000 of each address."""
    space, leg = "elabs-test-world", "elw0"
    subprocess.run(["ip", "netns", "delete", space], capture_output=True, check=False)
    sh("ip", "netns", "add", space)
    sh("ip", "link", "add", leg, "type", "veth", "peer", "name", "eth0", "netns", space)
    sh("ip", "address", "add", "192.88.99.1/30", "dev", leg)
    sh("ip", "link", "set", leg, "up")
    inside = ("ip", "netns", "exec", space)
    for command in ("link set lo up", "address add 192.88.99.2/30 dev eth0", "link set eth0 up", "route add default via 192.88.99.1"):
        sh(*inside, "ip", *command.split())
    for address in WORLD.values():
        sh(*inside, "ip", "address", "add", f"{address}/32", "dev", "lo")
        sh("ip", "route", "add", f"{address}/32", "via", "192.88.99.2")
    server = subprocess.Popen([*inside, "/usr/bin/python3", "-c", _ANSWER])
    try:
        yield WORLD
    finally:
        server.terminate()
        server.wait()
        sh("ip", "netns", "delete", space)
        subprocess.run(["ip", "link", "delete", leg], capture_output=True, check=False)


CONNECT = """
import socket
def connect(address, port=8000, seconds=4):
    try:
        with socket.create_connection((address, port), seconds) as line:
            line.settimeout(seconds)
            return "open " + line.recv(100).decode(errors="replace") if port == 8000 else "open"
    except OSError as error:
        return "closed"
"""
