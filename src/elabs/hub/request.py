"""The request that is being answered, for code that JupyterHub calls without it: templates, authenticators, spawners.

Tornado answers each request in a task of its own, and tasks inherit the context they are made in; so what `Application` notes when a request arrives
is seen by everything that is done for it, and by nothing else.
"""

from contextvars import ContextVar
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application as TornadoApplication

LANGUAGES = ("es", "en")
_current: ContextVar[HTTPServerRequest | None] = ContextVar("elabs_request", default=None)


class Application(TornadoApplication):
    """Tornado's application, noting each request as it arrives."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Tornado's own, after the note."""
        _current.set(request)
        return super().find_handler(request, **kwargs)


def current() -> HTTPServerRequest | None:
    """The request that is being answered, None outside of one."""
    return _current.get()


def browser_language() -> str:
    """The first of our languages that the person's browser asks for; English where there is no browser, or none of ours is wanted."""
    request = _current.get()
    return preferred(request.headers.get("Accept-Language", "")) if request else "en"


def preferred(accepted: str) -> str:
    """`es` or `en`, of an Accept-Language header."""
    wanted: list[tuple[float, str]] = []
    for part in accepted.split(",")[:30]:
        tag, _, weight = part.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        wanted.append((quality, tag.strip().lower().split("-")[0]))
    for quality, language in sorted(wanted, key=lambda one: -one[0]):
        if quality > 0 and language in LANGUAGES:
            return language
    return "en"


def client_address(request: HTTPServerRequest, hub_address: str) -> str:
    """The address that a person's browser has, as our proxy saw it.

    The proxy appends the address it hears to X-Forwarded-For, so only the last one is the proxy's word; the others, and X-Real-IP, are what the browser says of
    itself. The proxy is on this machine, so it comes from the very address that it asks (from 127.0.0.1, if that is a loopback address). Whoever comes from
    elsewhere is a lab, which may write any header.
    """
    context = getattr(request.connection, "context", None)
    address = getattr(context, "address", None)
    peer = str(address[0]) if isinstance(address, tuple) and address else str(request.remote_ip)
    forwarded = request.headers.get_list("X-Forwarded-For")
    if peer in (hub_address, "127.0.0.1") and forwarded:
        return forwarded[-1].split(",")[-1].strip()
    return peer
