"""The address people type, and whether a login page answers there."""

import http.client
import ssl

from elabs.config.model import Config
from elabs.config.section import listen_address

_SECONDS = 5.0


def url(config: Config) -> str:
    """`site.url`, or what the proxy listens on; an address that means all of them is shown as this machine's own."""
    if config.site.url:
        return config.site.url.rstrip("/") + "/"
    host, port = listen_address(config.site.listen)
    scheme, usual = ("https", 443) if config.site.tls else ("http", 80)
    shown = _reachable(host)
    if ":" in shown:
        shown = f"[{shown}]"
    return f"{scheme}://{shown}/" if port == usual else f"{scheme}://{shown}:{port}/"


def login_answers(config: Config) -> bool:
    """Whether the login page comes through the proxy, asked for once, on this machine."""
    host, port = listen_address(config.site.listen)
    connection: http.client.HTTPConnection
    if config.site.tls:
        # the certificate names the site, not the address that we use here
        connection = http.client.HTTPSConnection(_reachable(host), port, timeout=_SECONDS, context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection(_reachable(host), port, timeout=_SECONDS)
    try:
        connection.request("GET", "/hub/login")
        answer = connection.getresponse()
        # an institute's single sign-on is a redirection to it
        return answer.status == 200 or (answer.status == 302 and config.login.method == "oauth")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
