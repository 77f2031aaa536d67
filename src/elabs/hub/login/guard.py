"""What stands before every authenticator: names that cannot be used, too many attempts, directories that do not answer, each told to the person in one line.

A name is brought to its one spelling before any directory is asked, so that a hub's user is exactly who the directory knows under that name, and one person has
one lab however they write it. Where another site checks the password (OAuth) names cannot be changed any more, and those with other spellings are refused.
"""

import logging
import math
from collections.abc import Callable
from typing import Any

from jupyterhub.auth import Authenticator
from tornado.web import HTTPError, RequestHandler

from elabs.hub.login.attempts import Attempts
from elabs.hub.login.names import normal, wrong
from elabs.hub.roles import CULLER
from elabs.hub.text import text

log = logging.getLogger("elabs.hub.login")
_LONGEST_PASSWORD = 4096


class DirectoryDown(Exception):
    """Nobody can say whether a password is right; `str()` says why, in one line for the log."""


class NotAllowed(Exception):
    """The password is right, and the account may not enter."""


class Refusal(HTTPError):
    """An HTTP error with words for the person and headers, both under the names that JupyterHub's error pages look for."""

    def __init__(self, status: int, line: str, message: str, headers: dict[str, str]) -> None:
        super().__init__(status, log_message=line)
        self.jupyterhub_message, self.headers = message, headers


def refusal(status: int, key: str, headers: dict[str, str] | None = None, **values: object) -> Refusal:
    """An error whose page shows that text."""
    return Refusal(status, key, text(key, **values), headers or {})


def guarded(base: type[Authenticator], attempts: Attempts, address_of: Callable[[RequestHandler], str], *, form: bool) -> type[Authenticator]:
    """The authenticator behind the guard. `form`: people write name and password into our own page."""

    class Guarded(base):  # type: ignore[misc]
        async def authenticate(self, handler: RequestHandler, data: Any = None, **kwargs: Any) -> Any:
            if not form:
                return await super().authenticate(handler, data, **kwargs)
            name, password = normal((data or {}).get("username", "")), (data or {}).get("password", "")
            if problem := wrong(name):
                raise refusal(400, problem)
            attempt = attempts.begin(name, address_of(handler))
            if isinstance(attempt, float):
                wait = math.ceil(attempt)
                raise refusal(429, "attempts.wait", {"Retry-After": str(wait)}, seconds=wait)
            if len(password) > _LONGEST_PASSWORD:
                return None
            try:
                found = await super().authenticate(handler, {"username": name, "password": password})
            except DirectoryDown as error:
                attempts.unanswered(attempt)
                log.error("login of %r: %s", name, error)
                raise refusal(503, "directory.down") from error
            except NotAllowed as error:
                attempts.succeeded(attempt)
                log.warning("login of %r: %s", name, error)
                raise refusal(403, "login.not_allowed") from error
            if found:
                attempts.succeeded(attempt)
            return found

        def validate_username(self, username: str) -> bool:
            return super().validate_username(username) and wrong(username) is None and normal(username) == username

        async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> Any:
            """Besides refreshing, note who asks for a stop (`refresh_pre_stop`), which JupyterHub tells no spawner."""
            asker = getattr(handler, "current_user", None)
            if asker is not None and asker.name != user.name:
                user.spawner.stop_reason = "idle" if asker.kind == "service" and asker.name == CULLER else "administrator"
            return await super().refresh_user(user, handler, **kwargs)

    Guarded.__name__ = Guarded.__qualname__ = base.__name__
    return Guarded
