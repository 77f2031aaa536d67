"""What a new home finds: the examples, copied once. A person who deletes them has deleted them."""

import shutil
from pathlib import Path

from elabs.lab.output import say

EXAMPLES = Path("/opt/elabs/examples")
MARK = Path(".config/elabs/welcome")
"""In the home: the examples have been there."""


def copy(home: Path, examples: Path = EXAMPLES) -> None:
    """Copy each example into the home unless the mark is there, whole or not at all. Whatever goes wrong is a line in the log: a lab starts anyway."""
    try:
        if (home / MARK).exists() or not examples.is_dir():
            return
        (home / MARK).parent.mkdir(parents=True, exist_ok=True)
        for example in sorted(path for path in examples.iterdir() if path.is_dir()):
            if not (home / example.name).exists():
                _copy(example, home / example.name)
        (home / MARK).touch()
    except OSError as error:
        say(f"the examples were not copied: {error.strerror or 'no room'}")


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(source, partial, copy_function=shutil.copyfile)
        partial.rename(target)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
