"""Whether limits bind on this machine, tried with a real container: some layouts of cgroups take a limit and ignore it, and labs must not run there."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from elabs.runtime.local.bundle import resources
from elabs.runtime.local.container import Runc, cgroup_path
from elabs.storage.ids import BLOCK, Instance

_MEMORY = 24 * 2**20
_PIDS = 16
_TRY_MEMORY = "head -c 200000000 /dev/zero | tail -c 199999999 > /dev/null && echo memory"
_TRY_PIDS = "i=0; while [ $i -lt 64 ]; do sleep 2 & i=$((i+1)); done 2>/dev/null; echo pids"
_SECONDS = 20


def limits_that_do_not_bind(instance: Instance, runc: Path, folder: Path, seccomp: dict[str, Any]) -> list[str]:
    """Names of limits (`memory`, `pids`) that a container with the host's own programs could exceed, or one line of runc's where it cannot run at all.

    `runc` is its state folder, `folder` scratch space. Root only; takes about half a second.
    """
    failed = []
    for limit, script in (("memory", _TRY_MEMORY), ("pids", _TRY_PIDS)):
        shutil.rmtree(folder, ignore_errors=True)
        _root(folder / "rootfs")
        name = f"selftest-{limit}"
        (folder / "config.json").write_text(json.dumps(_bundle(instance, name, script, seccomp)))
        try:
            command = Runc(runc).command("run", "--bundle", str(folder), name)
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            failed.append(f"{limit} (no end within {_SECONDS} s)")
        else:
            if limit in done.stdout.split():
                failed.append(limit)
            elif "runc run failed" in done.stderr or '"level":"error"' in done.stderr:
                failed.append(f"{limit} ({done.stderr.strip().splitlines()[-1]})")
        finally:
            subprocess.run(Runc(runc).command("delete", "--force", name), capture_output=True, check=False)
            shutil.rmtree(folder, ignore_errors=True)
    return failed


def _root(rootfs: Path) -> None:
    """An empty root with the host's /usr to come; the host's own root cannot always be pivoted to."""
    for name in ("proc", "dev", "usr"):
        (rootfs / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (rootfs / name).symlink_to(f"usr/{name}")


def _bundle(instance: Instance, name: str, script: str, seccomp: dict[str, Any]) -> dict[str, Any]:
    ids = [{"containerID": 0, "hostID": instance.block, "size": BLOCK}]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": True},
        "process": {
            "user": {"uid": 65534, "gid": 65534},
            "args": ["/bin/sh", "-c", script],
            "cwd": "/",
            "env": ["PATH=/usr/bin:/bin"],
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "nodev", "noexec"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["bind", "ro"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("user", "pid", "ipc", "uts", "mount", "cgroup", "network")],
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": cgroup_path(instance.number, name),
            "resources": resources(_MEMORY, 1.0, _PIDS),
            "seccomp": seccomp,
        },
    }
