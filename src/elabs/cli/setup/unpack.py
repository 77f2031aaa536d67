"""Debian packages unpacked into a folder of their own: their files can be used, and nothing is installed, configured or started on the host."""

import os
import shutil
import subprocess
from pathlib import Path

from elabs.cli.errors import Problem
from elabs.cli.setup.folders import ensure_whole

_SECONDS = 900


def ensure(folder: Path, packages: list[str]) -> Path:
    """A folder with the files of the packages, in the host's release; Problem where apt cannot fetch one. Root only."""

    def fill(partial: Path) -> None:
        downloads = partial / ".debs"
        downloads.mkdir()
        if _apt(["download", *packages], downloads).returncode != 0:
            _apt(["update"], downloads)
            done = _apt(["download", *packages], downloads)
            if done.returncode != 0:
                said = (done.stderr.strip() or done.stdout.strip()).splitlines()
                raise Problem(f"Debian package {' or '.join(packages)} could not be fetched: {said[-1] if said else 'apt-get failed'}")
        for package in sorted(downloads.glob("*.deb")):
            done = subprocess.run(["dpkg-deb", "--extract", str(package), str(partial)], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
            if done.returncode != 0:
                raise Problem(f"{package.name} could not be unpacked into {partial}: {(done.stderr.strip() or 'dpkg-deb failed').splitlines()[-1]}")
        shutil.rmtree(downloads)

    return ensure_whole(folder, fill)


def with_dependencies(packages: list[str]) -> list[str]:
    """The packages and what they need that is not installed, as apt would choose it on this host."""
    done = _apt(["install", "--simulate", "--no-install-recommends", *packages], Path("/"))
    chosen = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]
    return sorted({*packages, *chosen})


def _apt(arguments: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    # the unprivileged user that apt prefers to download with cannot write here
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "DPkg::Lock::Timeout=300", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False)
