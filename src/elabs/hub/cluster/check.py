"""`python -m elabs.hub.cluster.check SETTINGS FILES`: say everything that is wrong with a release's settings, one line each, with status 2.

A hook of the chart runs it before anything is installed or changed: Helm's schema sees each setting alone, and its templates only some of what is between
them.
"""

import re
import sys
from pathlib import Path

from elabs.config.cluster import lacks
from elabs.config.document import dotted
from elabs.config.load import ConfigError, from_values


def problems(settings: Path, files: Path) -> list[str]:
    """Lines of what is wrong, without the place in the file, which is Helm's and not the one that somebody wrote."""
    try:
        return [f"{dotted(where)}: {text}" for where, text in lacks(from_values(settings, files))]
    except ConfigError as error:
        return [re.sub(r"^\S*?:(\d+:)? ", "", line) for line in error.problems]


def main(settings: str, files: str) -> int:
    """Print them; 2 where there are any."""
    found = problems(Path(settings), Path(files))
    print("\n".join(found) or "the settings are fine")
    return 2 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
