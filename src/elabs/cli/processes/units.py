"""systemd keeps the programs of a service running: their units as a pure function, and whether they do.

The runtime's unit keeps the host's mounts and ends only the daemon itself: labs are in cgroups of their own and outlive it. Hub and proxy drop to their users
by themselves, with the same command as under `up`, and see a host that they cannot write to.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from elabs.cli.processes.programs import Program
from elabs.config.state import State
from elabs.storage.ids import Instance

FOLDER = Path("/etc/systemd/system")
_AFTER = {"runtime": [], "proxy": ["runtime"], "hub": ["runtime", "proxy"]}
_HARDENED = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
)
_HIDDEN = {"PrivateTmp=yes": ("/tmp", "/var/tmp"), "ProtectHome=yes": ("/home", "/root", "/run/user")}
"""What hides folders of the host, and which; not where the program needs something in them."""


def name(instance: Instance, program: str) -> str:
    """`elabs-0-hub.service`."""
    return f"elabs-{instance.number}-{program}.service"


def names(instance: Instance) -> list[str]:
    """The units of an instance, in the order of their start."""
    return [name(instance, program) for program in _AFTER]


def files(state: State, instance: Instance, programs: Iterable[Program]) -> dict[str, str]:
    """Text of each unit by file name."""
    return {name(instance, program.name): _unit(state, instance, program) for program in programs}


def _unit(state: State, instance: Instance, program: Program) -> str:
    before = " ".join(name(instance, other) for other in _AFTER[program.name])
    order = [f"Wants={before}", f"After={before}"] if before else ["Wants=network-online.target", "After=network-online.target local-fs.target"]
    lines = [
        "[Unit]",
        f"Description=elabs: {program.about} ({_escape(state.root)})",
        *order,
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"ExecStart={' '.join(_quote(word) for word in program.command)}",
        *(f"Environment={_quote(f'{key}={value}', dollar=False)}" for key, value in sorted(program.environment.items())),
        f"WorkingDirectory={_escape(program.folder)}",
        "Restart=always",
        "RestartSec=1",
        "Slice=elabs.slice",
        "KillMode=mixed",
        "UMask=0022",
        *_walls(program),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return "\n".join(lines)


def _walls(program: Program) -> list[str]:
    if program.name == "runtime":
        # what makes labs mounts, joins namespaces and sets limits for all: a private view of the host would hide the homes that it mounts
        return ["NoNewPrivileges=yes", "TasksMax=infinity"]
    hidden = [setting for setting, folders in _HIDDEN.items() if not any(path.is_relative_to(folder) for path in program.reads for folder in folders)]
    return [*_HARDENED, *hidden, f"ReadWritePaths={_quote(str(program.folder), dollar=False)}"]


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def _quote(word: str, *, dollar: bool = True) -> str:
    escaped = _escape(word).replace("\\", "\\\\").replace('"', '\\"')
    if dollar:
        escaped = escaped.replace("$", "$$")
    return f'"{escaped}"' if any(character in escaped for character in " \t'\";\\") else escaped


def systemd() -> bool:
    """Whether systemd runs this machine."""
    return Path("/run/systemd/system").is_dir()


def active(instance: Instance) -> bool:
    """Whether the instance runs as services."""
    if not systemd():
        return False
    done = subprocess.run(["systemctl", "is-active", "--quiet", *names(instance)], capture_output=True, check=False)
    return done.returncode == 0
