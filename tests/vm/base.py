"""The guest's disk before anybody touches it: a minimal Debian server as its installer leaves it, from Debian's packages alone.

Nothing that elabs needs is put in beforehand: no Python, no runc, no btrfs tools. Beyond debootstrap's own list there are only what makes a machine one can log
in to (kernel, sshd, sudo, logind) and what this machine lends (`settings`). The ext4 image is filled by mkfs itself, so no loop device is needed to make it.

A base takes a minute or two, so it is kept in a folder of the machine (`ELABS_TEST_VM_CACHE`, default /var/cache/elabs-vm) under a key of all it is made of.
Whoever runs it writes into an overlay, never into the base. It appears under its name complete or not at all.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import settings

CACHE = Path(os.environ.get("ELABS_TEST_VM_CACHE", "/var/cache/elabs-vm"))
RELEASES = {"12": "bookworm", "13": "trixie"}
PACKAGES = ["linux-image-amd64", "initramfs-tools", "zstd", "openssh-server", "sudo", "dbus", "libpam-systemd", "systemd-timesyncd", "ca-certificates"]
ACCOUNT = "debian"
SIZE = "48G"  # A sparse file: what a person's machine would have, not what is used here.
NETWORK_CARD = "enp0s3"  # Where qemu.py plugs it in.

_FILES = {
    "etc/hostname": "fresh\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 fresh\n::1 localhost ip6-localhost ip6-loopback\n",
    "etc/fstab": "/dev/vda / ext4 errors=remount-ro 0 1\n",
    "etc/network/interfaces": f"auto lo\niface lo inet loopback\n\nallow-hotplug {NETWORK_CARD}\niface {NETWORK_CARD} inet dhcp\n",
    f"etc/sudoers.d/{ACCOUNT}": f"{ACCOUNT} ALL=(ALL) NOPASSWD: ALL\n",
}


@dataclass(frozen=True)
class Base:
    """A finished base: the folder that holds disk, kernel, initial ramdisk and the key that opens it."""

    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "disk.raw"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd.img"

    @property
    def key(self) -> Path:
        """The private ssh key of root and of the ordinary account; made with the base, readable by root alone."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        """The guest's own host keys under the name `guest`, so that ssh checks whom it talks to."""
        return self.folder / "known_hosts"


def find_or_make(version: str) -> Base:
    """The base for a Debian version ("12", "13"). Raises LookupError without a Debian archive, subprocess.CalledProcessError where a step fails."""
    archive = settings.archive()
    recipe = [RELEASES[version], archive.sources(""), archive.settings, settings.variables(), settings.authorities(), Path(__file__).read_text()]
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
    base = Base(CACHE / f"debian-{version}-{key}")
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not base.folder.exists():
            for old in [*CACHE.glob(f"debian-{version}-*"), *CACHE.glob("making-*")]:
                shutil.rmtree(old)
            making = Path(tempfile.mkdtemp(prefix="making-", dir=CACHE))
            try:
                _make(Base(making), RELEASES[version], archive)
                making.rename(base.folder)
            finally:
                shutil.rmtree(making, ignore_errors=True)
    return base


def _make(base: Base, release: str, archive: settings.Archive) -> None:
    root = base.folder / "root"
    sources = archive.sources(release)
    options = [f"--aptopt={line}" for line in archive.settings.splitlines()]
    _run("mmdebstrap", "--quiet", "--variant=important", f"--include={','.join(PACKAGES)}", *options, release, str(root), "-", stdin=sources)
    for name, content in _FILES.items():
        (root / name).write_text(content)
    (root / f"etc/sudoers.d/{ACCOUNT}").chmod(0o440)
    (root / "etc/environment").write_text("".join(f'{name}="{value}"\n' for name, value in settings.variables().items()))
    _trust(root)
    _accounts(base, root)
    for name, file in (("vmlinuz", base.kernel), ("initrd.img", base.initrd)):
        shutil.copyfile((root / name).resolve(), file)
    _run("truncate", "--size", SIZE, str(base.disk))
    _run("mkfs.ext4", "-q", "-L", "root", "-d", str(root), str(base.disk))
    shutil.rmtree(root)


def _trust(root: Path) -> None:
    """The guest trusts whom this machine trusts, in Debian's way: so a later update of its bundle keeps them."""
    extra = settings.unknown_authorities((root / str(settings.BUNDLE).lstrip("/")).read_text())
    for number, certificate in enumerate(extra):
        (root / f"usr/local/share/ca-certificates/lent-{number}.crt").write_text(certificate)
    _run("chroot", str(root), "update-ca-certificates")


def _accounts(base: Base, root: Path) -> None:
    """An ordinary account that may become root, as the installer makes it; both open with the base's key, and neither has a password."""
    _run("chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", ACCOUNT)
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(base.key))
    for account, home in (("root", "root"), (ACCOUNT, f"home/{ACCOUNT}")):
        folder = root / home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(base.key.with_suffix(".pub"), folder / "authorized_keys")
        _run("chroot", str(root), "chown", "-R", f"{account}:{account}", f"/{home}/.ssh")
    _run("chroot", str(root), "ssh-keygen", "-A")
    keys = [" ".join(file.read_text().split()[:2]) for file in (root / "etc/ssh").glob("ssh_host_*_key.pub")]
    base.known_hosts.write_text("".join(f"guest {key}\n" for key in keys))


def _run(*command: str, stdin: str = "") -> None:
    subprocess.run(command, check=True, input=stdin, text=True, stdout=subprocess.DEVNULL)
