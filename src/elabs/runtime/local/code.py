"""Our code that runs inside labs, kept beside the image rather than in it.

So an upgrade of elabs needs no new image, and a running lab keeps what it started with.
"""

import hashlib
import os
import shutil
from pathlib import Path

from elabs.config.state import State
from elabs.runtime.code import lab_files


def ensure(state: State, examples: Path | None) -> Path:
    """The folder to bind at /opt/elabs: packages `elabs.lab` and folder `examples`, by hash. Made the first time, complete or not at all."""
    sources = lab_files(examples)
    digest = hashlib.sha256()
    for source, target in sources:
        digest.update(f"{target}\0".encode() + hashlib.sha256(source.read_bytes()).digest())
    folder = state.lab_code / digest.hexdigest()[:16]
    if folder.exists():
        return folder
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for source, target in sources:
        (partial / target.parent).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial / target)
    for parent, folders, files in os.walk(partial):
        for name in folders:
            os.chmod(Path(parent) / name, 0o755)
        for name in files:
            os.chmod(Path(parent) / name, 0o644)
    os.chmod(partial, 0o755)
    os.replace(partial, folder)
    return folder
