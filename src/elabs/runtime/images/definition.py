"""What an image holds, read from data: `images/NAME.toml`, its pinned Python and Node packages, and the files laid over its root.

The key is a hash over all of these and the builder's version, so that an image is rebuilt exactly when what it is made from has changed.
"""

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from elabs.config.units import parse_bytes
from elabs.runtime.images.errors import ImageError

PROJECT = Path(__file__).resolve().parents[4]
DEFINITIONS = PROJECT / "images"
REQUIREMENTS = PROJECT / "requirements"
NODE_FILES = ("package.json", "package-lock.json")

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
    requirements: tuple[Path, ...]
    """Files of pinned Python packages, together complete: they are installed without resolving."""
    node: Path | None
    """Folder with `package.json` and `package-lock.json`, installed at `/opt/elabs/node`; None: nothing of Node."""
    files: Path
    """Folder of the files that are laid over the root."""
    lab: bool
    """Whether labs start from it: then it has their languages and R's kernel."""
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
    given = data["requirements"]
    requirements = tuple(REQUIREMENTS / file for file in ([given] if isinstance(given, str) else given))
    node = REQUIREMENTS / data["node"] if "node" in data else None
    files = DEFINITIONS / data.get("files", "files")
    return Definition(
        name=name,
        summary=data["summary"],
        suite=data["suite"],
        debian=tuple(data["debian"]),
        requirements=requirements,
        node=node,
        files=files,
        lab=data.get("lab", True),
        apps=tuple(data["apps"]),
        space=parse_bytes(data["space"]),
        key=_key(path, requirements, node, files),
    )


def overlay(files: Path) -> list[tuple[Path, Path]]:
    """Files laid over an image's root, as (source, path relative to the root), sorted."""
    return sorted((path, path.relative_to(files)) for path in files.rglob("*") if path.is_file())


def _key(definition: Path, requirements: Iterable[Path], node: Path | None, files: Path) -> str:
    digest = hashlib.sha256(f"builder {BUILDER_VERSION}\n".encode())
    parts = [("definition", definition), *(("requirements", path) for path in requirements)]
    parts += [("node", node / name) for name in NODE_FILES] if node else []
    parts += [(str(target), source) for source, target in overlay(files)]
    for label, path in parts:
        content = path.read_bytes()
        digest.update(f"{label} {path.stat().st_mode & 0o111:o} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]
