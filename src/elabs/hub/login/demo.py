"""The demo directory, so that `up` without any setting has people who can log in: accounts with hashed passwords in a file, `{NAME: {"hash", "admin"}}`."""

import json
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from traitlets import Unicode

from elabs.hub.login.guard import DirectoryDown
from elabs.hub.login.hashes import hash_password, verify_password
from elabs.hub.login.off_loop import OffLoop
from elabs.hub.roles import ADMINISTRATORS

__all__ = ["DemoAuthenticator", "hash_password"]
_SECONDS = 30.0
"""How long a login may wait for its turn; one check takes some 50 ms."""


class DemoAuthenticator(Authenticator):  # type: ignore[misc]
    """Knows the accounts of a file, read anew at each login."""

    accounts = Unicode(help="Path of the file.").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._off_loop = OffLoop("login-demo")
        self._nobody = hash_password("")

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """The account of that name and password, None where there is no such; DirectoryDown where the file cannot be read."""
        try:
            return await self._off_loop.run(lambda: self._check(data["username"], data["password"]), _SECONDS)
        except TimeoutError:
            raise DirectoryDown(f"no password could be checked within {_SECONDS:.0f} s") from None

    def _check(self, name: str, password: str) -> dict[str, Any] | None:
        try:
            account = json.loads(Path(self.accounts).read_text(encoding="utf-8")).get(name)
        except (OSError, ValueError) as error:
            raise DirectoryDown(f"the demo accounts in {self.accounts} cannot be read: {error}") from error
        # an unknown name costs as much as a known one, so that the time tells nothing
        right = verify_password(password, account["hash"] if account else self._nobody)
        if not account or not right:
            return None
        return {"name": name, "groups": [ADMINISTRATORS] if account.get("admin") else []}
