"""What an image holds, read from data: `images/NAME.toml`, its pinned Python packages, and the files laid over its root.

The key is a hash over all of these and the builder's version, so that an image is rebuilt exactly when what it is made from has changed.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from elabs.config.units import parse_bytes
from elabs.runtime.images.errors import ImageError

PROJECT = Path(__file__).resolve().parents[4]
DEFINITIONS = PROJECT / "images"
OVERLAY = DEFINITIONS / "files"
REQUIREMENTS = PROJECT / "requirements"

BUILDER_VERSION = 1
"""Raise it when a step changes what it makes from the same definition."""


@dataclass(frozen=True)
class Definition:
    """One `images/NAME.toml`."""

    name: str
    summary: str
    suite: str
    """Debian release, by code name."""
    debian: tuple[str, ...]
    """Debian packages; their recommendations are not installed."""
    requirements: Path
    """Pinned Python packages, complete: they are installed without resolving."""
    apps: tuple[str, ...]
    """Apps of the catalogue that this image can run."""
    space: int
    """Free bytes that a build from nothing needs."""
    key: str
    """Hash over everything the image is made from, 12 hexadecimal digits."""


def names() -> list[str]:
    """Images that are defined, sorted."""
    return sorted(path.stem for path in DEFINITIONS.glob("*.toml"))


def load(name: str) -> Definition:
    """The definition of one image. ImageError when there is none of that name."""
    if name not in names():
        raise ImageError(f"there is no image {name!r}; those defined are: {', '.join(names())}")
    path = DEFINITIONS / f"{name}.toml"
    data = tomllib.loads(path.read_text())
    requirements = REQUIREMENTS / data["requirements"]
    return Definition(
        name=name,
        summary=data["summary"],
        suite=data["suite"],
        debian=tuple(data["debian"]),
        requirements=requirements,
        apps=tuple(data["apps"]),
        space=parse_bytes(data["space"]),
        key=_key(path, requirements),
    )


def overlay() -> list[tuple[Path, Path]]:
    """Files laid over every image's root, as (source, path relative to the root), sorted."""
    return sorted((path, path.relative_to(OVERLAY)) for path in OVERLAY.rglob("*") if path.is_file())


def _key(definition: Path, requirements: Path) -> str:
    digest = hashlib.sha256(f"builder {BUILDER_VERSION}\n".encode())
    for label, path in [("definition", definition), ("requirements", requirements), *((str(target), source) for source, target in overlay())]:
        content = path.read_bytes()
        digest.update(f"{label} {path.stat().st_mode & 0o111:o} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]
