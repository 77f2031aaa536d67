"""A lab as an OCI bundle: pure functions from what a lab is to what runc reads and the few files of its /etc."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elabs.runtime.environment import home_in_lab, lab_environment, service_url
from elabs.runtime.protocol import HUB_PORT
from elabs.storage.ids import BLOCK, LAB_ID

CPU_PERIOD = 100_000
"""Microseconds of the scheduler's period that a CPU limit is a share of."""
READY_FD = 3


@dataclass(frozen=True)
class LabSpec:
    """All that makes a lab; every path is the host's."""

    lab: str
    """Slug: the container's and the host's name of the lab."""
    person: str
    block: int
    """First of the person's 65536 ids."""
    rootfs: Path
    home: Path
    code: Path
    """Folder bound at /opt/elabs."""
    etc: Path
    """Folder with the lab's own passwd, group, hosts, hostname and resolv.conf."""
    cgroup: str
    """`linux.cgroupsPath`, in the form the cgroup driver wants."""
    memory: int
    """Bytes."""
    cpu: float
    pids: int
    tmp: int
    """Bytes of /tmp."""
    gateway: str
    prefix: str
    """The lab's path under the hub's address, `/user/NAME/`."""
    base_url: str
    apps: tuple[str, ...]
    language: str
    seccomp: dict[str, Any]


def environment(spec: LabSpec) -> dict[str, str]:
    """The environment that is no secret; the hub's values, its token among them, come to the lab on standard input."""
    hub = f"http://{spec.gateway}:{HUB_PORT}{spec.base_url}hub/api"
    return lab_environment(spec.lab, language=spec.language, apps=spec.apps, memory=spec.memory, cpu=spec.cpu) | {
        "JUPYTERHUB_SERVICE_URL": service_url(spec.prefix),
        "JUPYTERHUB_API_URL": hub,
        # the person's name as the hub quotes it in paths
        "JUPYTERHUB_ACTIVITY_URL": f"{hub}/users/{spec.prefix.rstrip('/').rpartition('/')[2]}/activity",
        "ELABS_READY_FD": str(READY_FD),
    }


def etc_files(spec: LabSpec, passwd: str, group: str) -> dict[str, str]:
    """The files of the lab's own /etc; `passwd` and `group` are the image's."""
    return {
        "passwd": f"{passwd}{spec.lab}:x:{LAB_ID}:{LAB_ID}:{spec.lab}:{home_in_lab(spec.lab)}:/bin/bash\n",
        "group": f"{group}{spec.lab}:x:{LAB_ID}:\n",
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {spec.lab}\n{spec.gateway} hub\n",
        "hostname": f"{spec.lab}\n",
        "resolv.conf": f"nameserver {spec.gateway}\noptions edns0\n",
    }


def _tmpfs(destination: str, size: int, mode: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", *options, f"mode={mode}", f"size={size}"]}


def _bind(source: Path, destination: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["bind", "nosuid", "nodev", *options]}


def mounts(spec: LabSpec) -> list[dict[str, Any]]:
    """What a lab sees over its read-only image, in order."""
    quiet = ["nosuid", "nodev", "noexec"]
    run = _tmpfs("/run/lab", 2**24, "700")
    run["options"] += [f"uid={LAB_ID}", f"gid={LAB_ID}"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=65536"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
        _tmpfs("/dev/shm", spec.tmp, "1777", "noexec"),
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, "ro"]},
        _tmpfs("/run", 2**20, "755", "noexec"),
        run,
        _tmpfs("/tmp", spec.tmp, "1777"),
        _tmpfs("/home", 2**16, "755", "noexec"),
        _bind(spec.home, home_in_lab(spec.lab), "rw"),
        _bind(spec.code, "/opt/elabs", "ro"),
        *(_bind(spec.etc / name, f"/etc/{name}", "ro") for name in ("passwd", "group", "hosts", "hostname", "resolv.conf")),
    ]


def resources(memory: int, cpu: float, pids: int) -> dict[str, Any]:
    """Limits, for runc to map to what the machine has; memory and swap together, so that a running lab does not swap."""
    return {
        "memory": {"limit": memory, "swap": memory},
        "cpu": {"period": CPU_PERIOD, "quota": int(cpu * CPU_PERIOD), "shares": max(2, int(cpu * 1024))},
        "pids": {"limit": pids},
        "devices": [{"allow": False, "access": "rwm"}],
    }


def oci_config(spec: LabSpec, args: list[str]) -> dict[str, Any]:
    """The bundle's config.json."""
    ids = [{"containerID": 0, "hostID": spec.block, "size": BLOCK}]
    nothing: dict[str, list[str]] = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}
    return {
        "ociVersion": "1.0.2",
        "hostname": spec.lab,
        "root": {"path": str(spec.rootfs), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": LAB_ID, "gid": LAB_ID, "additionalGids": [], "umask": 0o022},
            "args": args,
            "cwd": home_in_lab(spec.lab),
            "env": [f"{name}={value}" for name, value in environment(spec).items()],
            "capabilities": nothing,
            "noNewPrivileges": True,
            "oomScoreAdj": 500,
            "rlimits": [{"type": "RLIMIT_CORE", "hard": 0, "soft": 0}],
        },
        "mounts": mounts(spec),
        "linux": {
            "namespaces": [{"type": kind} for kind in ("user", "pid", "ipc", "uts", "mount", "cgroup", "network")],
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": spec.cgroup,
            "resources": resources(spec.memory, spec.cpu, spec.pids),
            "seccomp": spec.seccomp,
            "maskedPaths": [
                "/proc/acpi",
                "/proc/kcore",
                "/proc/keys",
                "/proc/kmsg",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/proc/scsi",
                "/sys/firmware",
                "/sys/fs/selinux",
            ],
            "readonlyPaths": ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }
