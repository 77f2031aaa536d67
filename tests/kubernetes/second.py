"""A second Kubernetes on this machine, with nothing in common with the first but the files of its programs: its own API server, node, network, volumes and images.

It is made of the first one's folder, with other addresses. The machine forwards no packet of either, so the only ways from one to the other are the addresses
of `tests.kubernetes.internet`, as between two clouds.
"""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.kubernetes.conftest import Cluster

ADDRESS = "203.0.113.2"
"""Public address of the second cluster; one of those that no machine on the Internet has."""
NODE = "10.246.0.2"
DEVICES = ("elabs0", "elabs1")
"""Of this machine, the legs of the first and of the second."""
_CONTROLLERS = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "systemd")
_GROUP = "elabs-second"
# (file, what stands there, what is to stand there): two nodes on one machine need addresses, a network device and a place for control groups of their own
_CHANGES = (
    ("lib.sh", "10.245.0.", "10.246.0."),
    ("lib.sh", "10.244.0.0/16", "10.247.0.0/16"),
    ("lib.sh", "10.96.0.0/16", "10.97.0.0/16"),
    ("up", "elabs0", "elabs1"),
    ("up", '"$HERE/build"', ":"),
    ("up", "IP:$NODE_IP\"", f'IP:$NODE_IP,IP:{ADDRESS}"'),
    ("up", "cgroupDriver: cgroupfs", f"cgroupDriver: cgroupfs\ncgroupRoot: /{_GROUP}"),
    ("down", "elabs0", "elabs1"),
    ("down", "/kubepods", f"/{_GROUP}/kubepods"),
    # the first node may have these mounted
    ("down", "rmdir /var/lib/kubelet /var/log/pods /var/log/containers", "true"),
)  # fmt: skip


def start(first: Cluster, folder: Path) -> Cluster:
    """Bring it up, with its programs in `folder`. OSError where the first one's programs are not those that this knows how to change."""
    shutil.copytree(first.folder, folder, dirs_exist_ok=True)
    own = Path(f"{first.config.parent}-second")
    for file in (path for path in folder.iterdir() if path.is_file()):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(str(first.config.parent), str(own)), encoding="utf-8")
    for name, old, new in _CHANGES:
        text = (folder / name).read_text(encoding="utf-8")
        if old not in text:
            raise OSError(f"{first.folder / name} does not say {old}, so no second cluster can be made of it")
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    own.mkdir(exist_ok=True)
    for part in ("bin", "root"):
        if not (own / part).is_symlink():
            (own / part).symlink_to(first.config.parent / part)
    _make_groups()
    subprocess.run([str(folder / "up")], stdout=subprocess.DEVNULL, timeout=600, check=True)
    return Cluster(folder, own / "kubeconfig")


def stop(second: Cluster) -> None:
    """End it and forget its objects; its images stay for the next time."""
    subprocess.run([str(second.folder / "down"), "--wipe"], stdout=subprocess.DEVNULL, timeout=120, check=True)
    for group in sorted(Path("/sys/fs/cgroup").glob(f"*/{_GROUP}/**/"), reverse=True):
        with suppress(OSError):  # not empty yet: it is used again the next time
            group.rmdir()


def _make_groups() -> None:
    """A place for the second kubelet's control groups: in that of the first it would take the first one's pods for its own, and end them."""
    for controller in _CONTROLLERS:
        group = Path("/sys/fs/cgroup") / controller / _GROUP
        if not group.parent.is_dir():
            continue
        group.mkdir(exist_ok=True)
        if controller == "cpuset":
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (group / setting).write_text((group.parent / setting).read_text())
    assert os.path.isdir(f"/sys/fs/cgroup/memory/{_GROUP}"), "no control groups of version 1"
