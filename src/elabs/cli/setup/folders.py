"""Folders that appear whole or not at all: filled under another name, then renamed. What an interrupted run left is thrown away by the next one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from elabs.config.state import State


def ensure_whole(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The folder, made by `fill(partial)` where it is not there. Call under the instance's lock."""
    if not folder.exists():
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o755, parents=True)
        fill(partial)
        os.replace(partial, folder)
    return folder


def point(link: Path, target: str) -> None:
    """Make the symbolic link, replacing another in one step."""
    if link.is_symlink() and os.readlink(link) == target:
        return
    partial = link.with_name(f".{link.name}.partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    os.replace(partial, link)


def ensure_state(state: State) -> None:
    """The state folder and those below it that several steps use, with their modes. Root only."""
    for path, mode in ((state.root, 0o755), (state.run, 0o755), (state.logs, 0o700), (state.secrets, 0o700), (state.tools, 0o755)):
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        os.chmod(path, mode)


def write_private(path: Path, text: str, *, owner: int | None = None, mode: int = 0o600) -> None:
    """Write a file that only its owner reads, in one step; it is never readable by others, not even while it is written."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        if owner is not None:
            os.fchown(file.fileno(), owner, owner)
        os.fchmod(file.fileno(), mode)
    os.replace(partial, path)


def write_shared(path: Path, text: str) -> None:
    """Write a file that everybody may read, in one step."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.chmod(partial, 0o644)
    os.replace(partial, path)
