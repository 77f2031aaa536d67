"""The folders of a home, opened name by name, so that a symbolic link is never followed, whoever puts one there meanwhile."""

import os

_KEPT = 64
"""Folders on the way that stay open."""
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folders:
    """Opens folders by path below one that is open; keeps those on the way to the last one, since the next is mostly near it."""

    def __init__(self, root: int) -> None:
        self.root = root
        self._chain: list[tuple[bytes, int]] = []
        self._deep = -1
        """The last folder, where it lies deeper than what stays open."""

    def open(self, path: bytes) -> int:
        """Descriptor of the folder at `path` (empty: the home), good until the next call. OSError, ELOOP and ENOTDIR where no folder is there."""
        names = path.split(b"/") if path else []
        self._close_deep()
        kept = 0
        while kept < min(len(names), len(self._chain)) and self._chain[kept][0] == names[kept]:
            kept += 1
        self.forget(kept)
        for name in names[kept:_KEPT]:
            self._chain.append((name, os.open(name, _FLAGS, dir_fd=self._chain[-1][1] if self._chain else self.root)))
        for name in names[_KEPT:]:
            fd = os.open(name, _FLAGS, dir_fd=self._chain[-1][1] if self._deep < 0 else self._deep)
            self._close_deep()
            self._deep = fd
        return self._deep if self._deep >= 0 else self._chain[-1][1] if self._chain else self.root

    def forget(self, kept: int = 0) -> None:
        """Close all but the first `kept` folders on the way."""
        while len(self._chain) > kept:
            os.close(self._chain.pop()[1])

    def _close_deep(self) -> None:
        if self._deep >= 0:
            os.close(self._deep)
            self._deep = -1

    def close(self) -> None:
        """Close all of them but the home."""
        self._close_deep()
        self.forget()


def names(folder: int) -> list[bytes]:
    """What is in an open folder now, in the order of the bytes.

    Opened anew for it: btrfs does not list what came into a folder after that was opened.
    """
    fd = os.open(b".", _FLAGS, dir_fd=folder)
    try:
        return sorted(map(os.fsencode, os.listdir(fd)))
    finally:
        os.close(fd)
