"""The request that is being answered, for code that JupyterHub calls without it: templates, authenticators, spawners.

Tornado answers each request in a task of its own, and tasks inherit the context they are made in; so what `Application` notes when a request arrives
is seen by everything that is done for it, and by nothing else.
"""

from collections.abc import Callable
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


def client_address(request: HTTPServerRequest, is_proxy: Callable[[str], bool], before: int = 0) -> str:
    """The address that a person's browser has, as our proxy saw it; with proxies `before` ours, as the first of them did.

    Each proxy appends the address it hears to X-Forwarded-For, so only as many words at its end as there are proxies are theirs; the others, and X-Real-IP,
    are what the browser says of itself. Whoever comes from elsewhere than `is_proxy` knows is a lab, which may write any header.
    """
    context = getattr(request.connection, "context", None)
    address = getattr(context, "address", None)
    peer = str(address[0]) if isinstance(address, tuple) and address else str(request.remote_ip)
    heard = [word.strip() for line in request.headers.get_list("X-Forwarded-For") for word in line.split(",")]
    if is_proxy(peer) and heard:
        return heard[-1 - before] if len(heard) > before else heard[0]
    return peer
