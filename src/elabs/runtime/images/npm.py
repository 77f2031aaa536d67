"""npm as we run it: exactly what a lock file says, none of the packages' own scripts, and of the host's settings only those that say how packages are reached.

Those are registry, certificates, proxy and the credentials for them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

INSTALL = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
"""npm's arguments, run in a folder with `package.json` and `package-lock.json`."""

_REACH = re.compile(
    r"(registry|cafile|ca(\[\])?|proxy|https-proxy|noproxy|strict-ssl|(@[\w.-]+:registry)|//\S+:(_authToken|_auth|_password|username|cafile|certfile|keyfile))\s*="
)
_NAMES_A_FILE = re.compile(r"(cafile|//\S+:(cafile|certfile|keyfile))\s*=")
_VARIABLE = re.compile(r"(?i)(https?|no|all)_proxy|npm_config_\w+|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR")


def settings(texts: list[str]) -> str:
    """Of several npmrc files, the lines that say how packages are reached."""
    return "".join(f"{line.strip()}\n" for text in texts for line in text.splitlines() if _REACH.match(line.strip()))


def without_files(text: str) -> str:
    """Settings for npm in another root, where the host's files are not: a build lends it the host's authorities otherwise."""
    return "".join(line for line in text.splitlines(keepends=True) if not _NAMES_A_FILE.match(line))


def of_the_host() -> str:
    """`settings` of the machine and of the user who runs this."""
    return settings([path.read_text() for path in (Path("/etc/npmrc"), Path.home() / ".npmrc") if path.is_file()])


def variables(outer: Mapping[str, str]) -> dict[str, str]:
    """Of an environment, what says how packages are reached."""
    return {name: value for name, value in outer.items() if _VARIABLE.fullmatch(name)}
