"""What `elabs up` needs of this machine, one check each: what was found, and the command or setting that mends what is missing.

`elabs doctor` shows all of them; `elabs up` refuses on the first that is missing, so that both always agree. A check takes milliseconds and changes nothing.
"""

import json
import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from elabs.cli.setup import debian
from elabs.config.model import Config
from elabs.config.section import listen_address
from elabs.config.state import State
from elabs.config.units import format_bytes
from elabs.runtime.images import definition

_SPARE = 2**30
_LDAP_SECONDS = 5.0
_LONGEST_STATE = 79
"""Bytes; what sockets below it are called must fit into the kernel's 107."""


@dataclass(frozen=True)
class Check:
    """One row: `missing` keeps `up` from working, `warning` costs something that `found` names."""

    name: str
    status: Literal["ok", "warning", "missing"]
    found: str
    mend: str = ""


def machine(state: State, config: Config, *, ours: bool) -> Iterator[Check]:
    """All checks, what the settings say before what the machine can do. `ours`: the instance runs, so that its own port is no other's."""
    yield _root()
    yield _port(config, ours)
    if config.login.method == "ldap" and config.login.ldap:
        yield _directory(config)
    yield _system()
    yield _processor()
    yield _packages()
    yield _namespaces()
    yield _cgroups()
    yield _walls()
    yield _forwarding()
    yield _homes(state)
    yield _folder(state)
    yield _disk(state, config)
    yield _memory()
    yield _swap()


def _root() -> Check:
    return Check("root", "ok", "yes") if os.geteuid() == 0 else Check("root", "missing", "an ordinary user", "run it as root, or with sudo")


def _system() -> Check:
    try:
        release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    except OSError:
        release = {}
    name, version = (release.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))
    found = f"{release.get('PRETTY_NAME', 'unknown').strip(chr(34))}, kernel {platform.release()}, Python {platform.python_version()}"
    if name == "debian" and int(version.split(".")[0] or 99) >= 12:
        return Check("system", "ok", found)
    return Check("system", "missing", found, "use Debian 12 or newer")


def _processor() -> Check:
    found = f"{platform.machine()}, {os.cpu_count()} CPUs"
    return Check("processor", "ok", found) if platform.machine() in ("x86_64", "aarch64") else Check("processor", "missing", found, "use x86_64 or aarch64")


def _packages() -> Check:
    lacking = debian.missing(("base", "host"))
    if lacking:
        return Check("packages", "missing", f"not installed: {' '.join(lacking)}", debian.install_command(lacking))
    return Check(
        "packages", "ok", f"runc {_version('runc', '--version')}, nftables {_version('nft', '--version')}, btrfs-progs {_version('btrfs', '--version')}"
    )


def _version(*command: str) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else "?"


def _namespaces() -> Check:
    lacking = [kind for kind in ("user", "pid", "net", "mnt", "ipc", "uts", "cgroup") if not Path(f"/proc/self/ns/{kind}").exists()]
    limit = Path("/proc/sys/user/max_user_namespaces")
    if lacking:
        return Check("namespaces", "missing", f"the kernel has none of kind {' '.join(lacking)}", "use a kernel with all namespaces, like Debian's")
    if limit.exists() and limit.read_text().strip() == "0":
        return Check("namespaces", "missing", "user namespaces are switched off", "sysctl user.max_user_namespaces=15000")
    return Check("namespaces", "ok", "user pid net mnt ipc uts cgroup")


def _cgroups() -> Check:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        version, there = 2, set(unified.read_text().split())
    else:
        version, there = 1, {path.name for path in Path("/sys/fs/cgroup").glob("*") if (path / "cgroup.procs").exists()}
    manager = "with systemd" if Path("/run/systemd/system").is_dir() else "without systemd"
    lacking = sorted({"memory", "cpu", "pids"} - there)
    if lacking:
        return Check(
            "cgroups", "missing", f"version {version} {manager}, without {' '.join(lacking)}", "boot with cgroup_enable=memory, or mount the cgroup controllers"
        )
    return Check("cgroups", "ok", f"version {version} {manager}")


def _walls() -> Check:
    if os.geteuid() != 0:
        return Check("nftables", "warning", "only root can look")
    try:
        done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("nftables", "missing", str(error), debian.install_command(["nftables"]))
    if done.returncode != 0:
        return Check(
            "nftables", "missing", done.stderr.strip().splitlines()[0] if done.stderr.strip() else "nft fails", "use a kernel with nf_tables, like Debian's"
        )
    return Check("nftables", "ok", "works")


def _forwarding() -> Check:
    if os.geteuid() != 0:
        return Check("forwarding", "warning", "only root can look")
    chains = foreign_drops(_ruleset())
    if chains:
        return Check(
            "forwarding", "warning", f"labs will not reach the Internet: {', '.join(chains)} drops what is forwarded", "let its owner accept interfaces elab*"
        )
    return Check("forwarding", "ok", "nothing else drops it")


def _ruleset() -> str:
    if not shutil.which("nft"):
        return ""
    # -t: without the elements of sets, which can be many
    return subprocess.run(["nft", "--json", "--terse", "list", "ruleset"], capture_output=True, text=True, timeout=30, check=False).stdout


def foreign_drops(ruleset: str) -> list[str]:
    """Of `nft --json list ruleset`: chains of others that drop forwarded packets unless a rule says otherwise, as `family table chain`."""
    try:
        entries = json.loads(ruleset)["nftables"]
    except (ValueError, KeyError):
        return []
    chains = [entry["chain"] for entry in entries if "chain" in entry]
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in chains
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and not chain["table"].startswith("elabs_")
    ]


def _homes(state: State) -> Check:
    if (
        "\tbtrfs\n" not in Path("/proc/filesystems").read_text()
        and subprocess.run(["modprobe", "--quiet", "btrfs"], capture_output=True, check=False).returncode != 0
    ):
        return Check("homes", "missing", "the kernel has no btrfs", "use a kernel with btrfs, like Debian's")
    if os.path.ismount(state.homes) or _file_system(_nearest(state.root)) == "btrfs":
        return Check("homes", "ok", "on btrfs")
    if not Path("/dev/loop-control").exists() and subprocess.run(["modprobe", "--quiet", "loop"], capture_output=True, check=False).returncode != 0:
        return Check("homes", "missing", "the kernel has no loop devices", "use a kernel with loop devices, or put --state on btrfs")
    return Check("homes", "ok", "btrfs in a file")


def _file_system(path: Path) -> str:
    return subprocess.run(["stat", "--file-system", "--format=%T", str(path)], capture_output=True, text=True, check=False).stdout.strip()


def _nearest(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _folder(state: State) -> Check:
    closed = [folder for folder in (_nearest(state.root), *_nearest(state.root).parents) if not folder.stat().st_mode & 0o001]
    if closed and state.root != closed[0]:
        return Check("state", "missing", f"{closed[0]} lets no other user in, and hub and proxy are other users", "give another folder with --state")
    if state.root.exists() and state.root.stat().st_uid != 0:
        return Check("state", "missing", f"{state.root} belongs to someone else", "give a folder that root owns with --state")
    if not re.fullmatch(r"[\w/.+@~-]+", str(state.root)):
        return Check(
            "state", "missing", f"{state.root} has characters that not every program below can take", "give a path of letters, digits and . _ - with --state"
        )
    if len(os.fsencode(state.root)) > _LONGEST_STATE:
        return Check("state", "missing", f"{state.root} is longer than sockets' names may be", f"give one of at most {_LONGEST_STATE} characters with --state")
    return Check("state", "ok", str(state.root))


def _disk(state: State, config: Config) -> Check:
    free = shutil.disk_usage(_nearest(state.root)).free
    wanted = _SPARE
    for image in {config.image_of(profile) for profile in config.profiles}:
        if not (state.images / image).exists():
            wanted += definition.load(image).space
    if not os.path.ismount(state.homes) and _file_system(_nearest(state.root)) != "btrfs":
        wanted += max(0, config.storage.pool - (state.pool.stat().st_size if state.pool.exists() else 0))
    found = f"{format_bytes(free)} free at {state.root}, {format_bytes(wanted)} needed"
    return (
        Check("disk", "ok", found) if free >= wanted else Check("disk", "missing", found, "free some, lower storage.pool, or give a larger disk with --state")
    )


def _memory() -> Check:
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    found = f"{format_bytes(total)}, {format_bytes(free)} free"
    return Check("memory", "ok", found) if free >= 2**30 else Check("memory", "warning", f"{found}: few labs will start", "free some")


def _swap() -> Check:
    lines = Path("/proc/swaps").read_text().splitlines()[1:]
    return Check("swap", "ok", format_bytes(sum(int(line.split()[2]) * 1024 for line in lines)) if lines else "none")


def _port(config: Config, ours: bool) -> Check:
    if ours:
        return Check("port", "ok", f"{config.site.listen}, where elabs listens")
    host, port = listen_address(config.site.listen)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError:
            return Check("port", "warning", f"{config.site.listen}: only root can look")
        except OSError as error:
            return Check("port", "missing", f"{config.site.listen}: {error.strerror}", "give another address or port in site.listen")
    return Check("port", "ok", f"{config.site.listen} is free")


def _directory(config: Config) -> Check:
    ldap = config.login.ldap
    assert ldap is not None
    port = ldap.port or (636 if ldap.security == "ldaps" else 389)
    try:
        socket.create_connection((ldap.server, port), timeout=_LDAP_SECONDS).close()
    except OSError as error:
        return Check(
            "directory", "missing", f"login.ldap: {ldap.server}:{port} does not answer ({error.strerror or error})", "mend login.ldap.server or the network"
        )
    return Check("directory", "ok", f"{ldap.server}:{port} answers")
