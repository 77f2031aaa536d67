"""The code that daemon, hub and proxy run: a copy in the state folder, by hash, with its bytecode.

They run as other users, who cannot always enter the folder where an administrator put elabs; and what runs stays as it was started while that folder is edited.
"""

import compileall
import hashlib
import py_compile
import shutil
from pathlib import Path

from elabs.cli.options import ROOT
from elabs.cli.setup.folders import ensure_whole
from elabs.config.state import State

_PARTS = ("src/elabs", "examples")
_SKIPPED = shutil.ignore_patterns("__pycache__", ".*")


def ensure(state: State) -> Path:
    """The copy's folder, with `src` and `examples` in it as in the project's."""

    def fill(partial: Path) -> None:
        for part in _PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, partial / part, ignore=_SKIPPED, copy_function=shutil.copyfile)
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        # a copy's files change never again, so that their times need not be looked at
        compileall.compile_dir(partial / "src", quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)

    return ensure_whole(state.root / "code" / _digest(), fill)


def _digest() -> str:
    digest = hashlib.sha256()
    for part in _PARTS:
        for path in sorted((ROOT / part).rglob("*")):
            inner = path.relative_to(ROOT)
            if path.is_file() and not any(name.startswith(".") or name == "__pycache__" for name in inner.parts):
                digest.update(f"{inner}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
