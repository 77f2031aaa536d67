"""Which system calls a lab may make: the allow list that Debian's container tools share, read for a process without any capability, less what no lab needs.

The list comes from Debian's `golang-github-containers-common`; it lets an unprivileged process make user namespaces and mount inside them, which would hand
a lab capabilities over kernel code that it never needs. So those calls, and those that look into other processes or the kernel, are taken out.
"""

import json
import platform
from pathlib import Path
from typing import Any

_ENOSYS = 38
_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEW* of mount, cgroup, uts, ipc, user, pid and network namespaces."""

DENIED = frozenset(
    "mount umount umount2 mount_setattr move_mount open_tree fsopen fsmount fsconfig fspick pivot_root chroot unshare setns clone3 "
    "ptrace process_vm_readv process_vm_writev "
    "keyctl add_key request_key userfaultfd io_uring_setup io_uring_enter io_uring_register open_by_handle_at name_to_handle_at bpf perf_event_open "
    "swapon swapoff reboot kexec_load kexec_file_load init_module finit_module delete_module quotactl quotactl_fd acct syslog".split()
)

_ARCHITECTURES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}


def read(path: Path, machine: str = platform.machine()) -> dict[str, Any]:
    """The `linux.seccomp` part of an OCI bundle, from the shared list at `path`. KeyError on an architecture that labs do not run on."""
    return convert(json.loads(path.read_text()), machine)


def convert(shared: dict[str, Any], machine: str) -> dict[str, Any]:
    """As `read`, from the parsed list."""
    name, architecture = _ARCHITECTURES[machine]
    below: list[str] = next((entry["subArchitectures"] for entry in shared["archMap"] if entry["architecture"] == architecture), [])
    rules: list[dict[str, Any]] = []
    for entry in shared["syscalls"]:
        includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
        if includes.get("caps") or (includes.get("arches") and name not in includes["arches"]) or name in excludes.get("arches", ()):
            continue
        names = [call for call in entry["names"] if call not in DENIED and call != "clone"]
        if not names or (entry["action"] != "SCMP_ACT_ALLOW" and shared["defaultAction"] == "SCMP_ACT_ERRNO" and not entry.get("args")):
            continue  # refused by the default already
        rule: dict[str, Any] = {"names": names, "action": entry["action"]}
        if entry.get("errnoRet") is not None:
            rule["errnoRet"] = entry["errnoRet"]
        if entry.get("args"):
            rule["args"] = entry["args"]
        rules.append(rule)
    no_namespace = {"index": 0, "value": _NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [no_namespace]})
    # glibc falls back to clone, whose flags can be looked at, only where clone3 does not exist
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    return {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": [architecture, *below], "syscalls": rules}
