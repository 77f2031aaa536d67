"""Languages of browsers, and where a request really comes from."""

from types import SimpleNamespace

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from elabs.hub.request import client_address, preferred

PROXY = "198.18.0.1"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("es", "es"),
        ("es-ES,es;q=0.9,en;q=0.8", "es"),
        ("en-GB,es;q=0.9", "en"),
        ("fr-FR,es;q=0.5,en;q=0.4", "es"),
        ("de,fr", "en"),
        ("es;q=0,en", "en"),
        ("es;q=zzz,en;q=0.1", "en"),
        ("*", "en"),
        ("," * 5000, "en"),
    ],
)
def test_the_browsers_language(header: str, language: str) -> None:
    assert preferred(header) == language


def request(peer: str, *forwarded: str, **others: str) -> HTTPServerRequest:
    headers = HTTPHeaders({"Host": "lab.example.org"} | {name.replace("_", "-"): value for name, value in others.items()})
    for value in forwarded:
        headers.add("X-Forwarded-For", value)
    connection = SimpleNamespace(context=SimpleNamespace(address=(peer, 40000), remote_ip=peer, protocol="http"))
    return HTTPServerRequest(start_line=RequestStartLine("POST", "/hub/login", "HTTP/1.1"), headers=headers, connection=connection)


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        (request(PROXY, "203.0.113.7"), "203.0.113.7"),
        # what the browser wrote itself stands before what the proxy appended
        (request(PROXY, "10.0.0.1, 10.0.0.2, 203.0.113.7"), "203.0.113.7"),
        (request(PROXY, "10.0.0.1", "203.0.113.7"), "203.0.113.7"),
        (request(PROXY, "203.0.113.7", X_Real_Ip="10.0.0.1"), "203.0.113.7"),
        (request(PROXY), PROXY),
        (request("127.0.0.1", "203.0.113.7"), "203.0.113.7"),
        # a lab asks the hub directly and may write any header
        (request("198.18.0.16", "203.0.113.7"), "198.18.0.16"),
    ],
)
def test_the_address_that_the_proxy_saw(asked: HTTPServerRequest, address: str) -> None:
    assert client_address(asked, {PROXY, "127.0.0.1"}.__contains__) == address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [("203.0.113.7, 10.244.0.9", "203.0.113.7"), ("10.0.0.1, 203.0.113.7, 10.244.0.9", "203.0.113.7"), ("10.244.0.9", "10.244.0.9")],
)
def test_a_proxy_in_front_of_ours_is_not_the_person(forwarded: str, address: str) -> None:
    assert client_address(request(PROXY, forwarded), {PROXY}.__contains__, before=1) == address
    assert client_address(request("10.244.0.30", forwarded), {PROXY}.__contains__, before=1) == "10.244.0.30"
