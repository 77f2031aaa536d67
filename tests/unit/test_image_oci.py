"""The archive: every digest in it is true, it is there whole or not at all, and what cannot be is one line."""

import errno
import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from elabs import __version__
from elabs.cli import image as command
from elabs.cli.main import elabs
from elabs.config.kubernetes import Images
from elabs.config.state import State
from elabs.runtime.images import definition, layers, oci, store
from elabs.runtime.images.errors import ImageError
from elabs.runtime.images.store import Image

PASSWD, GROUP = "root:x:0:0:root:/root:/bin/bash\n", "root:x:0:\n"


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A state folder with tiny images of both kinds."""
    state = State(tmp_path / "state")
    for name in ("small", "hub"):
        work = state.images / f".{name}"
        (work / "rootfs/etc").mkdir(parents=True)
        (work / "rootfs/etc/passwd").write_text(PASSWD)
        (work / "rootfs/etc/group").write_text(GROUP)
        key = definition.load(name).key
        store.publish(state, work, Image(name, key, work / "rootfs", (), {}, "2026-11-25T08:00:00Z", 1000))
    return state


def silent(fraction: float, text: str) -> None:
    pass


class Archive:
    """What is in an archive, looked up by digest, with each digest checked."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            self.files = {info.name: file.read() for info in tar if (file := tar.extractfile(info))}
        assert json.loads(self.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        self.index = json.loads(self.files["index.json"])
        (self.entry,) = self.index["manifests"]
        self.manifest = json.loads(self.blob(self.entry))
        self.config = json.loads(self.blob(self.manifest["config"]))
        self.layers = [self.blob(layer) for layer in self.manifest["layers"]]

    def blob(self, said: dict[str, Any]) -> bytes:
        kind, _, digest = said["digest"].partition(":")
        content = self.files[f"blobs/{kind}/{digest}"]
        assert hashlib.new(kind, content).hexdigest() == digest
        assert len(content) == said["size"]
        return content

    def layer(self, number: int) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        with tarfile.open(fileobj=io.BytesIO(self.layers[number])) as tar:
            return {info.name: (info, file.read() if (file := tar.extractfile(info)) else b"") for info in tar}


def write(state: State, name: str, folder: Path, reference: str = "elabs/x:1", compressed: bool = True) -> Archive:
    return Archive(oci.archive(state, name, folder / f"{name}.tar", reference, silent, compressed=compressed))


@pytest.mark.parametrize("compressed", [True, False])
def test_every_digest_is_true_and_every_blob_is_named(state: State, tmp_path: Path, compressed: bool) -> None:
    found = write(state, "small", tmp_path, compressed=compressed)
    assert len(found.files) == 2 + 4
    assert all(layer["mediaType"].endswith("tar+gzip" if compressed else "v1.tar") for layer in found.manifest["layers"])
    plain = [gzip.decompress(layer) if compressed else layer for layer in found.layers]
    assert found.config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in plain]}
    assert len(found.config["history"]) == len(found.layers)
    assert found.entry["platform"] == {"architecture": found.config["architecture"], "os": found.config["os"]}
    assert set(found.layer(0)) == {"etc", "etc/passwd", "etc/group"}


def test_the_same_image_gives_the_same_archive(state: State, tmp_path: Path) -> None:
    first, second = (oci.archive(state, "hub", tmp_path / name, "elabs/hub:1", silent).read_bytes() for name in ("a.tar", "b.tar"))
    assert first == second


def test_a_labs_image_runs_a_lab_as_an_account_of_its_own(state: State, tmp_path: Path) -> None:
    found = write(state, "small", tmp_path)
    config = found.config["config"]
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["/usr/bin/tini", "-g", "--"]
    assert config["Cmd"] == ["/usr/bin/python3", "-s", "-P", "-m", "elabs.lab"]
    assert config["WorkingDir"] == "/home/lab"
    assert {"HOME=/home/lab", "XDG_RUNTIME_DIR=/run/lab"} <= set(config["Env"])
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    added = found.layer(1)
    assert added["etc/passwd"][1].decode() == f"{PASSWD}lab:x:1000:1000:lab:/home/lab:/bin/bash\n"
    assert added["etc/group"][1].decode() == f"{GROUP}lab:x:1000:\n"
    for folder in ("home/lab", "run/lab"):
        assert (added[folder][0].uid, added[folder][0].gid, added[folder][0].mode) == (1000, 1000, 0o700)
    assert added["opt/elabs/elabs/lab/__main__.py"][1] == (definition.PROJECT / "src/elabs/lab/__main__.py").read_bytes()
    assert any(name.startswith("opt/elabs/examples/") for name in added)
    # of elabs, what runs inside labs and nothing else; all of it root's, so that a lab cannot change it
    ours = [info for name, (info, _) in added.items() if name.startswith("opt/")]
    assert all(
        info.name.startswith(("opt/elabs/elabs/lab", "opt/elabs/examples")) or info.isdir() or info.name == "opt/elabs/elabs/__init__.py" for info in ours
    )
    assert all((info.uid, info.mode) == (0, 0o755 if info.isdir() else 0o644) for info in ours)


def test_the_hubs_image_runs_the_hub_and_holds_what_hub_and_proxy_read(state: State, tmp_path: Path) -> None:
    found = write(state, "hub", tmp_path)
    config = found.config["config"]
    assert config["User"] == "1000:1000"
    assert config["Cmd"] == ["/usr/bin/python3", "-s", "-P", "-m", "elabs.hub"]
    assert {"ELABS_STATE=/var/lib/elabs", "PATH=/opt/elabs/node/bin:/usr/local/bin:/usr/bin:/bin"} <= set(config["Env"])
    added = found.layer(1)
    assert added["etc/passwd"][1].decode().splitlines()[-1] == "elabs:x:1000:1000:elabs:/var/lib/elabs:/usr/sbin/nologin"
    assert added["var/lib/elabs"][0].mode == 0o700
    for name in ("src/elabs/hub/__main__.py", "src/elabs/hub/text/es.json", "images/small.toml", "requirements/elabs.txt"):
        assert f"opt/elabs/{name}" in added, name
    assert not [name for name in added if "__pycache__" in name or "/." in name]


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("elabs/hub:1", "docker.io/elabs/hub:1"),
        ("hub:1", "docker.io/library/hub:1"),
        ("registry.example.org/elabs/hub:1", "registry.example.org/elabs/hub:1"),
        ("localhost/hub:1", "localhost/hub:1"),
        ("registry:5000/hub:1", "registry:5000/hub:1"),
    ],
)
def test_it_is_called_as_asked_and_as_the_kubelet_looks_it_up(state: State, tmp_path: Path, reference: str, full: str) -> None:
    names = write(state, "hub", tmp_path, reference).entry["annotations"]
    assert names == {"org.opencontainers.image.ref.name": reference, "io.containerd.image.name": full}


def test_a_layer_that_is_kept_is_not_made_again(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(state, "small", tmp_path)
    real, packed = layers.tree, list[Path]()
    monkeypatch.setattr(layers, "tree", lambda root: packed.append(root) or real(root))
    assert write(state, "small", tmp_path).manifest == first.manifest
    assert packed == []
    image = store.find(state, "small")
    assert image
    for kept in (image.rootfs.parent / "oci").glob("sha256-*"):
        kept.unlink()
    assert write(state, "small", tmp_path).manifest == first.manifest
    assert packed == [image.rootfs]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full; free some space"),
        (OSError(errno.EIO, "Input/output error"), "image small: .*Input/output error"),
    ],
)
@pytest.mark.parametrize("where", ["packing", "writing"])
def test_what_goes_wrong_is_one_line_and_leaves_nothing_half_made(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, fault: OSError, line: str
) -> None:
    target = tmp_path / "small.tar"
    target.write_text("an older archive")

    real = oci._add

    def pack(*arguments: Any) -> None:
        raise fault

    def add(tar: tarfile.TarFile, name: str, content: bytes | Path) -> None:
        if isinstance(content, Path):  # in the middle: what comes before has been written
            raise fault
        real(tar, name, content)

    monkeypatch.setattr(*((layers._Gzip, "finish", pack) if where == "packing" else (oci, "_add", add)))
    with pytest.raises(ImageError, match=line) as caught:
        oci.archive(state, "small", target, "elabs/x:1", silent)
    assert "\n" not in str(caught.value)
    assert target.read_text() == "an older archive"
    monkeypatch.undo()
    image = store.find(state, "small")
    assert image
    assert {path.name for path in tmp_path.iterdir()} == {"state", "small.tar"}
    assert not list((image.rootfs.parent / "oci").glob(".*"))
    assert write(state, "small", tmp_path).config["architecture"]


def test_an_image_that_is_not_built_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"image small has not been built .*: ./elabs image build small"):
        oci.archive(State(tmp_path / "none"), "small", tmp_path / "x.tar", "elabs/x:1", silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "reference", "line"),
    [
        ("none/x.tar", "elabs/x:1", "there is no folder"),
        ("state", "elabs/x:1", "is a folder; name a file in it"),
        ("state/images/.lock/x.tar", "elabs/x:1", "there is no folder"),
        ("x.tar", "elabs/x", "no name with a tag"),
        ("x.tar", "Elabs/x:1", "no name with a tag"),
        ("x.tar", "elabs/x@sha256:abc", "no name with a tag"),
        ("x.tar", "elabs/x:1 y", "no name with a tag"),
    ],
)
def test_what_cannot_be_written_or_loaded_is_known_before_anything_is_done(state: State, tmp_path: Path, output: str, reference: str, line: str) -> None:
    with pytest.raises(ImageError, match=line) as caught:
        oci.archive(state, "small", tmp_path / output, reference, silent)
    assert "\n" not in str(caught.value)
    assert not list(state.images.glob("*/oci"))


def test_a_folder_that_takes_no_files(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oci.os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(ImageError, match="takes no files"):
        oci.check(tmp_path / "x.tar", "elabs/x:1")


@pytest.fixture
def cli(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.instance, "need_root", lambda name: None)
    monkeypatch.setattr(command.images, "build", lambda state, name, report: store.find(state, name))
    return CliRunner()


@pytest.mark.parametrize(("name", "reference"), [("hub", Images().hub), ("small", Images().lab("small"))])
def test_the_command_names_file_and_image_and_says_what_comes_next(cli: CliRunner, state: State, tmp_path: Path, name: str, reference: str) -> None:
    done = cli.invoke(elabs, ["--state", str(state.root), "image", "oci", name])
    assert done.exit_code == 0, done.output
    file = f"{name}-{definition.load(name).key}.oci.tar"
    found = Archive(tmp_path / file)
    assert found.entry["annotations"]["org.opencontainers.image.ref.name"] == reference == f"elabs/{'hub' if name == 'hub' else 'lab-small'}:{__version__}"
    assert f"skopeo copy oci-archive:{file} docker://{reference}\n" in done.stdout
    assert f"ctr -n k8s.io images import {file}\n" in done.stdout


def test_the_command_takes_names_from_the_settings_and_from_options(cli: CliRunner, state: State, tmp_path: Path) -> None:
    (tmp_path / "elabs.yaml").write_text("kubernetes: {images: {repository: registry.example.org/labs, tag: '7'}}\n")
    options = ["--state", str(state.root), "--config", str(tmp_path / "elabs.yaml"), "image", "oci", "small", "--plain", "--output", "out.tar"]
    assert cli.invoke(elabs, options).exit_code == 0
    found = Archive(tmp_path / "out.tar")
    assert found.entry["annotations"]["org.opencontainers.image.ref.name"] == "registry.example.org/labs/lab-small:7"
    assert all(layer["mediaType"].endswith("v1.tar") for layer in found.manifest["layers"])
    assert cli.invoke(elabs, [*options, "--tag", "other/x:2"]).exit_code == 0
    assert Archive(tmp_path / "out.tar").entry["annotations"]["org.opencontainers.image.ref.name"] == "other/x:2"


def test_the_archive_is_for_everybody_to_read(state: State, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert oci.archive(state, "small", tmp_path / "x.tar", "elabs/x:1", silent).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)
