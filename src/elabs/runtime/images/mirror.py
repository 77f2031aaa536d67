"""Which Debian mirror to build from: the one that the host itself uses, read from its apt sources, for the image's release.

The host may be any Debian release and its sources in either format (one line each, or deb822 stanzas). Only sources that carry the host's own
release count, so that third-party ones are never mistaken for Debian.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from elabs.runtime.images.errors import ImageError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")
_ALIASES = {"stable", "oldstable", "testing"}


@dataclass(frozen=True)
class Source:
    """One archive and one suite of it."""

    uri: str
    suite: str


def sources(suite: str, apt: Path = Path("/etc/apt"), os_release: Path = Path("/etc/os-release")) -> list[str]:
    """One-line apt sources of the release `suite`, with its updates and, where the host has them, its security updates. ImageError without a mirror."""
    found = _read(apt)
    releases = _ALIASES | {_codename(os_release)}
    main = next((source.uri for source in found if source.suite in releases), None)
    security = next((source.uri for source in found if source.suite.removesuffix("-security") in releases and source.suite.endswith("-security")), None)
    if main is None:
        raise ImageError(f"no Debian mirror in {apt}/sources.list or sources.list.d: add the line of your release, then try again")
    lines = [f"deb {main} {suite} main", f"deb {main} {suite}-updates main"]
    return lines + ([f"deb {security} {suite}-security main"] if security else [])


def host_of(line: str) -> str:
    """The machine that a one-line source names, for messages."""
    return urlsplit(line.split()[1]).hostname or line.split()[1]


def _codename(os_release: Path) -> str:
    found = re.search(r"^VERSION_CODENAME=\"?(\w+)", os_release.read_text(), re.MULTILINE)
    return found[1] if found else "stable"


def _read(apt: Path) -> list[Source]:
    parts = apt / "sources.list.d"
    found = [source for path in [apt / "sources.list", *sorted(parts.glob("*.list"))] if path.is_file() for source in _one_line(path.read_text())]
    found += [source for path in sorted(parts.glob("*.sources")) for source in _deb822(path.read_text())]
    resolved = (Source(_resolved(source.uri), source.suite) for source in found)
    return [source for source in resolved if source.uri.startswith(("http://", "https://"))]


def _one_line(text: str) -> list[Source]:
    lines = (_ONE_LINE.match(line.split("#")[0].strip()) for line in text.splitlines())
    return [Source(line["uri"], line["suite"]) for line in lines if line and "main" in line["components"].split()]


def _deb822(text: str) -> list[Source]:
    found = []
    for stanza in re.split(r"\n\s*\n", "\n".join(line for line in text.splitlines() if not line.startswith("#"))):
        unfolded = re.sub(r"\n[ \t]+", " ", stanza)
        fields = {key.lower(): value.split() for key, _, value in (line.partition(":") for line in unfolded.splitlines())}
        if "deb" in fields.get("types", []) and "main" in fields.get("components", []) and fields.get("enabled", ["yes"]) != ["no"]:
            found += [Source(uri, suite) for uri in fields.get("uris", []) for suite in fields.get("suites", [])]
    return found


def _resolved(uri: str) -> str:
    """A `mirror+file:` source (as Debian's cloud images have) names a list of mirrors: its first."""
    if uri.startswith("mirror+file:"):
        listed = Path(unquote(urlsplit(uri).path)).read_text().split()
        uri = next((entry for entry in listed if entry.startswith(("http:", "https:"))), uri)
    return uri.rstrip("/")
