"""Finished images below the state folder: `NAME-KEY/{image.json,rootfs/}`, and a symlink `NAME` to the newest.

A folder of that form is complete by construction (a build renames it into place as its last act), so looking one up checks nothing else.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from elabs.config.state import State


@dataclass(frozen=True)
class Image:
    """A finished image, as `image.json` tells it."""

    name: str
    key: str
    rootfs: Path
    """The root file system; owned by root, never written to again."""
    apps: tuple[str, ...]
    """Apps of the catalogue that it can run."""
    versions: dict[str, str]
    """Versions worth telling people: Debian, python, R, jupyterlab, …"""
    built: str
    """When the build ended, ISO 8601 in UTC."""
    size_bytes: int


def find(state: State, name: str) -> Image | None:
    """The newest complete image of that name, or None where none has been built yet."""
    link = state.images / name
    return _read(link.resolve()) if link.is_symlink() else None


def every(state: State) -> list[Image]:
    """All complete images, also those that a newer one has replaced, by name and age."""
    found = [_read(path) for path in state.images.glob("*-*") if not path.name.startswith(".")]
    return sorted((image for image in found if image), key=lambda image: (image.name, image.built))


def publish(state: State, folder: Path, image: Image) -> Image:
    """Move a finished `folder` (which holds `rootfs/`) into place and point the name at it; both at once or not at all."""
    fields = asdict(image) | {"apps": list(image.apps)}
    del fields["rootfs"]
    (folder / "image.json").write_text(json.dumps(fields, indent=2) + "\n")
    final = state.images / f"{image.name}-{image.key}"
    os.sync()  # the rename must not reach the disk before what it names
    folder.rename(final)
    point(state, image.name, final)
    found = _read(final)
    assert found is not None
    return found


def point(state: State, name: str, final: Path) -> None:
    """Make the name's symlink lead to `final`, atomically."""
    fresh = state.images / f".{name}.link"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(final.name)
    fresh.rename(state.images / name)


def _read(folder: Path) -> Image | None:
    try:
        fields = json.loads((folder / "image.json").read_text())
    except FileNotFoundError:
        return None
    return Image(rootfs=folder / "rootfs", **(fields | {"apps": tuple(fields["apps"])}))
