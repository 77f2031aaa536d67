"""A real CephFS for a test: one monitor, one store in a file and one metadata server, from Debian's packages, with homes as ceph-csi makes them.

All of it but the mounts lives in network and process namespaces of its own, so nothing listens on the machine or in the cluster, and ending the first process
ends every other. A home is a directory with a quota, mounted with ceph-fuse where the cluster's node sees it.
"""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import tools

SECONDS = 120
_STORE_BYTES = 2 * 2**30
"""Size of the store's file, which is sparse."""
_ENDS_WITH_US = ["setpriv", "--pdeathsig", "KILL"]

_SETTINGS = """\
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]
public_addr = 127.0.0.1
run_dir = {folder}
admin_socket = {folder}/$cluster-$name.asok
log_file = {folder}/$name.log
log_to_stderr = false
keyring = {folder}/keyring
plugin_dir = {libraries}/ceph
erasure_code_dir = {libraries}/ceph/erasure-code
osd_class_dir = {libraries}/rados-classes
mon_data = {folder}/mon
osd_data = {folder}/osd
mds_data = {folder}/mds
mon_data_avail_crit = 1
mon_data_avail_warn = 2
mon_allow_pool_size_one = true
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_crush_chooseleaf_type = 0
bluestore_block_size = {store}
bluestore_cache_autotune = false
bluestore_cache_size = 33554432
osd_memory_target = 939524096
mds_cache_memory_limit = 67108864
client_cache_size = 1024
client_oc_size = 16777216
"""

# The key that mounts has the rights that Rook gives it; what makes homes has them all.
_ALL = {"mon": "allow *", "osd": "allow *", "mds": "allow *"}
_KEYS = {
    "mon.": _ALL,
    "client.admin": _ALL,
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    "mds.a": {"mon": "allow profile mds", "osd": "allow *", "mds": "allow"},
    "client.node": {"mon": "allow r", "mds": "allow rw", "osd": "allow rw tag cephfs *=*"},
}

# What the `volumes` module of Ceph's manager does for ceph-csi when it makes a subvolume or changes its size, with the same library.
_QUOTA = """
import sys, cephfs
settings, path, size = sys.argv[1:]
files = cephfs.LibCephFS(conffile=settings)
files.mount()
files.mkdirs(path, 0o755)
files.setxattr(path, 'ceph.quota.max_bytes', size.encode(), 0)
files.unmount()
files.shutdown()
"""


class Ceph:
    """A CephFS that runs; `node` is the process id of the init of the cluster's node."""

    def __init__(self, folder: Path, node: int) -> None:
        self.folder, self.node = folder, node
        self.root = tools.ceph_root()
        self.settings = folder / "ceph.conf"
        libraries = self.root / "usr/lib/x86_64-linux-gnu"
        self.settings.write_text(_SETTINGS.format(fsid=uuid.uuid4(), folder=folder, libraries=libraries, store=_STORE_BYTES))
        self._environment = {
            "PATH": f"{self.root}/usr/bin:{self.root}/usr/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
            "LD_LIBRARY_PATH": f"{libraries}:{libraries}/ceph:{self.root}/lib/x86_64-linux-gnu",
            "PYTHONPATH": f"{self.root}/usr/lib/python3/dist-packages",
            "CEPH_CONF": str(self.settings),
            "LC_ALL": "C.UTF-8",
        }
        self._holder: subprocess.Popen[bytes] | None = None
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._mounts: dict[Path, subprocess.Popen[bytes]] = {}

    def up(self) -> None:
        """Start monitor, store and metadata server, and make the file system `homes`."""
        ready = self.folder / "ready"
        command = f"ip link set lo up && touch {ready} && exec sleep infinity"
        self._holder = subprocess.Popen([*_ENDS_WITH_US, "unshare", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "sh", "-c", command])
        _until(ready.exists, "the namespaces")
        for name in ("mon", "osd", "mds"):
            (self.folder / name).mkdir()
        monitors = str(self.folder / "monmap")
        fsid = next(line.split()[-1] for line in self.settings.read_text().splitlines() if line.startswith("fsid"))
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", "[v2:127.0.0.1:3300,v1:127.0.0.1:6789]", monitors)
        keys = str(self.folder / "keyring")
        for number, (name, rights) in enumerate(_KEYS.items()):
            caps = [word for part, right in rights.items() for word in ("--cap", part, right)]
            self._run("ceph-authtool", *(["--create-keyring"] if number == 0 else []), keys, "--gen-key", "--name", name, *caps)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", keys)
        self._daemon("ceph-mon", "a")
        self.ceph("osd", "new", store := str(uuid.uuid4()))
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store)
        self._daemon("ceph-osd", "0")
        self._daemon("ceph-mds", "a")
        for pool in ("metadata", "data"):
            self.ceph("osd", "pool", "create", pool, "8", "8")
        self.ceph("fs", "new", "homes", "metadata", "data")
        _until(lambda: "up:active" in self.ceph("mds", "stat"), "the metadata server")

    def down(self) -> None:
        """Take the mounts away and end every process."""
        for path, process in self._mounts.items():
            if process.poll() is None:
                self._on_the_node("umount", str(path))
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                # somebody still uses it
                self._on_the_node("umount", "--lazy", str(path))
                os.kill(_child(process), signal.SIGKILL)
                process.wait()
        if self._holder:
            # it takes the first process of the namespaces with it, and that one all others
            self._holder.kill()
            for process in (self._holder, *self._daemons):
                process.wait()

    def ceph(self, *words: str) -> str:
        """What the command `ceph` prints."""
        return self._run("/usr/bin/python3", str(self.root / "usr/bin/ceph"), "--connect-timeout", "30", *words)

    def home(self, name: str, size_bytes: int) -> Path:
        """Make a home of that size and mount it; where the node sees it."""
        self.resize(name, size_bytes)
        path = self.folder / "homes" / name
        path.mkdir(parents=True)
        assert self._holder
        enter = [*_ENDS_WITH_US, *self._enter_node(), f"--net=/proc/{_child(self._holder)}/ns/net", *_ENDS_WITH_US]
        mount = ["ceph-fuse", "-f", "--conf", str(self.settings), "--id", "node", f"--client_mountpoint=/volumes/{name}", str(path)]
        with open(self.folder / f"fuse-{name}.out", "wb") as output:
            self._mounts[path] = subprocess.Popen([*enter, *mount], env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _until(lambda: self._on_the_node("mountpoint", "--quiet", str(path)) == 0, f"the mount of {name}")
        return path

    def resize(self, name: str, size_bytes: int) -> None:
        """Set the quota of a home, which is made where it is not there."""
        self._run("/usr/bin/python3", "-c", _QUOTA, str(self.settings), f"/volumes/{name}", str(size_bytes))

    def _on_the_node(self, *command: str) -> int:
        return subprocess.run([*self._enter_node(), *command], stdin=subprocess.DEVNULL, timeout=SECONDS, check=False).returncode

    def _enter_node(self) -> list[str]:
        # its processes too, since /proc in there shows no others
        return ["nsenter", f"--mount=/proc/{self.node}/ns/mnt", f"--pid=/proc/{self.node}/ns/pid"]

    def _enter(self) -> list[str]:
        assert self._holder
        inside = _child(self._holder)
        return ["nsenter", f"--net=/proc/{inside}/ns/net", f"--pid=/proc/{inside}/ns/pid"]

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            [*self._enter(), *command], env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def _daemon(self, program: str, name: str) -> None:
        with open(self.folder / f"{program}.out", "wb") as output:
            command = [*self._enter(), program, "-f", "-i", name]
            self._daemons.append(subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output))


@contextmanager
def running(folder: Path, node: int) -> Iterator[Ceph]:
    """A CephFS whose files are all in `folder`, gone afterwards."""
    ceph = Ceph(folder, node)
    try:
        ceph.up()
        yield ceph
    finally:
        ceph.down()


def _child(process: subprocess.Popen[bytes]) -> int:
    """Process id of the only child: `unshare` and `nsenter` stay, and what they run is another process."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def _until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, f"{what} did not come within {SECONDS} s"
        time.sleep(0.2)
