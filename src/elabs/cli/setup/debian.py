"""The Debian packages that elabs uses, from `requirements/debian.txt`: which are missing, and the command that installs them."""

import subprocess
from pathlib import Path

from elabs.cli.options import ROOT

LIST = ROOT / "requirements" / "debian.txt"


def wanted(groups: tuple[str, ...], file: Path = LIST) -> list[str]:
    """Names of the packages of those groups, in the file's order."""
    words = [line.split() for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return [line[1] for line in words if line[0] in groups]


def missing(groups: tuple[str, ...]) -> list[str]:
    """Those that are not installed; all of them where there is no dpkg."""
    names = wanted(groups)
    try:
        done = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status} ${Package}\n", *names], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return names
    installed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("installed ")}
    return [name for name in names if name not in installed]


def install_command(packages: list[str]) -> str:
    """What a person runs to install them."""
    return f"apt-get install --no-install-recommends {' '.join(packages)}"
