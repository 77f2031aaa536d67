"""Run a system program and keep what it said, so that a failure becomes one line."""

import subprocess
from collections.abc import Sequence


class StorageError(Exception):
    """A disk, a home or a program below them said no; `str()` is one line."""


def run(*command: str, stdin: str | None = None, accept: Sequence[int] = (0,)) -> str:
    """Output of a system program; StorageError with its last line where it fails or is not installed."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StorageError(f"{command[0]} is not installed; `elabs doctor` names the package") from None
    if done.returncode not in accept:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise StorageError(f"{' '.join(command[:3])}: {said}")
    return done.stdout
