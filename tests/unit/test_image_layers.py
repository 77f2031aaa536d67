"""Layers: the same tree gives the same bytes, and what is unpacked from them, by another program, is the tree."""

import gzip
import hashlib
import io
import os
import socket
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from elabs.runtime.images import layers
from elabs.runtime.images.layers import Layer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and capabilities need root")


def silent(fraction: float, text: str) -> None:
    pass


def plant(root: Path, reverse: bool = False) -> Path:
    """A small root file system; with `reverse` its files come into being in another order."""
    files = {
        "etc/passwd": b"root:x:0:0\n",
        "usr/bin/su": b"\x7fELF",
        "usr/bin/tool": b"tool" * 1000,
        "usr/share/" + "long/" * 40 + "name": b"x",
        "año/ñu": b"y",
    }
    for name in sorted(files, reverse=reverse):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(files[name])
    os.link(root / "usr/bin/tool", root / "usr/bin/alias")
    (root / "usr/bin/link").symlink_to("../nowhere")
    (root / "tmp").mkdir()
    (root / "usr/bin/su").chmod(0o4755)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").chmod(0o640)
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            os.utime(Path(folder) / name, (1700000000.25, 1700000000.75), follow_symlinks=False)
    return root


def pack(root: Path, compressed: bool = False) -> tuple[Layer, bytes]:
    target = io.BytesIO()
    return layers.write(layers.tree(root), target, compressed, silent), target.getvalue()


def unpacked(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data))


@pytest.mark.parametrize("compressed", [False, True])
def test_the_same_tree_gives_the_same_bytes_wherever_and_whenever(tmp_path: Path, compressed: bool) -> None:
    first, second = pack(plant(tmp_path / "a"), compressed), pack(plant(tmp_path / "b", reverse=True), compressed)
    assert first == second
    (tmp_path / "b/usr/bin/tool").chmod(0o755)
    assert pack(tmp_path / "b", compressed)[0].digest != first[0].digest


def test_digests_are_those_of_the_bytes(tmp_path: Path) -> None:
    root = plant(tmp_path / "a")
    plain, tar = pack(root)
    packed, zipped = pack(root, compressed=True)
    assert plain.digest == plain.diff_id == packed.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    assert packed.digest == f"sha256:{hashlib.sha256(zipped).hexdigest()}"
    assert gzip.decompress(zipped) == tar
    assert (plain.size, packed.size) == (len(tar), len(zipped))
    assert (plain.media_type, packed.media_type) == ("application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip")


def test_names_are_sorted_relative_and_below_their_folders(tmp_path: Path) -> None:
    names = unpacked(pack(plant(tmp_path / "a"))[1]).getnames()
    long = "usr/share" + "/long" * 40
    folders = [long[:end] for end in range(len("usr/share"), len(long) + 1, 5)]
    assert names == [
        "año", "año/ñu", "etc", "etc/passwd", "tmp", "usr", "usr/bin", "usr/bin/alias", "usr/bin/link", "usr/bin/su", "usr/bin/tool", *folders, f"{long}/name",
    ]  # fmt: skip


def test_nothing_of_this_machine_gets_in(tmp_path: Path) -> None:
    for info in unpacked(pack(plant(tmp_path / "a"))[1]):
        assert info.uname == info.gname == ""
        assert info.mtime == 1700000000
        assert "atime" not in info.pax_headers and "ctime" not in info.pax_headers


def test_another_program_unpacks_the_same_tree(tmp_path: Path) -> None:
    root = plant(tmp_path / "a")
    os.setxattr(root / "etc/passwd", "user.note", b"\x00\xff\n=")
    (tmp_path / "out").mkdir()
    command = ["tar", "-x", "-p", "--xattrs", "--xattrs-include=*", "-C", str(tmp_path / "out"), "-f", "-"]
    subprocess.run(command, input=pack(root)[1], check=True)
    found = {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*")}
    assert found == {path.relative_to(root) for path in root.rglob("*")}
    for path in found:
        before, after = os.lstat(root / path), os.lstat(tmp_path / "out" / path)
        assert (before.st_mode, before.st_nlink, before.st_uid, before.st_gid) == (after.st_mode, after.st_nlink, after.st_uid, after.st_gid), path
    assert os.stat(tmp_path / "out/usr/bin/alias").st_ino == os.stat(tmp_path / "out/usr/bin/tool").st_ino
    assert (tmp_path / "out/usr/bin/tool").read_bytes() == b"tool" * 1000
    assert os.readlink(tmp_path / "out/usr/bin/link") == "../nowhere"
    assert os.stat(tmp_path / "out/usr/bin/su").st_mode & stat.S_ISUID
    assert os.getxattr(tmp_path / "out/etc/passwd", "user.note") == b"\x00\xff\n="


@as_root
def test_owners_and_capabilities_are_kept_and_devices_left_out(tmp_path: Path) -> None:
    root = plant(tmp_path / "a")
    # cap_net_raw+ep, as setcap writes it
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.chown(root / "etc/passwd", 3, 5_000_000)
    try:
        os.setxattr(root / "usr/bin/tool", "security.capability", capability)
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this machine forbids it")
    tar = unpacked(pack(root)[1])
    assert (tar.getmember("etc/passwd").uid, tar.getmember("etc/passwd").gid) == (3, 5_000_000)
    holder = tar.getmember("usr/bin/alias")
    assert holder.pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == capability
    assert "null" not in tar.getnames()


def test_sockets_are_left_out_and_pipes_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name may be no longer than a hundred bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("gone")
    os.mkfifo("pipe")
    assert unpacked(pack(Path())[1]).getnames() == ["pipe"]


def test_attributes_of_the_machine_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        layers.os, "listxattr", lambda path, follow_symlinks: ["security.selinux", "trusted.overlay.opaque", "user.b", "system.posix_acl_access"]
    )
    monkeypatch.setattr(layers.os, "getxattr", lambda path, name, follow_symlinks: b"v")
    assert layers.tree(tmp_path)[0].info.pax_headers == {"SCHILY.xattr.user.b": "v"}


def test_what_we_add_has_one_time_and_the_owner_it_is_given() -> None:
    member = layers.own(Path("/opt/x"), b"abc", 0o644, 7)
    assert (member.info.name, member.info.size, member.info.uid, member.info.gid, member.info.mtime) == ("opt/x", 3, 7, 7, layers.OWN_TIME)
    assert layers.own(Path("/opt"), None, 0o755).info.isdir()


def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    heard: list[float] = []
    layers.write(layers.tree(plant(tmp_path / "a")), io.BytesIO(), True, lambda fraction, text: heard.append(fraction))
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert len(heard) > 1
