"""What a new home finds: the examples, copied once. A person who deletes them has deleted them."""

import shutil
from pathlib import Path

from elabs.lab.output import say

EXAMPLES = Path("/opt/elabs/examples")
MARK = Path(".config/elabs/welcome")
"""In the home: the examples have been there."""


def copy(home: Path, examples: Path = EXAMPLES) -> None:
    """Copy each example into the home unless the mark is there. Whatever goes wrong is a line in the log: a lab starts anyway."""
    try:
        if (home / MARK).exists() or not examples.is_dir():
            return
        (home / MARK).parent.mkdir(parents=True, exist_ok=True)
        for example in sorted(examples.iterdir()):
            if example.is_dir() and not (home / example.name).exists():
                shutil.copytree(example, home / example.name, copy_function=shutil.copyfile)
        (home / MARK).touch()
    except OSError as error:
        say(f"the examples were not copied: {error}")
