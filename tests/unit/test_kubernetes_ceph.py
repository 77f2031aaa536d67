"""Storage classes for homes on Ceph: the committed examples are what the command prints, Kubernetes knows them, and what does not go together is refused."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from elabs.cli.main import elabs
from elabs.config.model import Config
from elabs.runtime.kubernetes import ceph
from tests.unit.test_quality import ROOT

ID = "3f1c9a52-8d0e-4c57-9b6e-5a7d2f60c1b4"
EXAMPLES = {
    "cephfs-rook": "--rook rook-ceph --file-system homes",
    "cephfs-ceph-csi": f"--ceph-csi {ID} --file-system homes",
    "rbd-rook": "--kind rbd --rook rook-ceph --pool homes",
    "rbd-ceph-csi": f"--kind rbd --ceph-csi {ID} --pool homes",
}
VERSIONS = ("1.29", kubernetes_validate.latest_version())


def printed(tmp_path: Path, arguments: str, settings: str = "") -> str:
    """What the command prints with those settings."""
    file = tmp_path / "elabs.yaml"
    file.write_text(settings)
    done = CliRunner().invoke(elabs, ["--config", str(file), "kubernetes", "storage", *shlex.split(arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(text))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_what_the_command_prints(tmp_path: Path, name: str) -> None:
    command = f"elabs --config EMPTY kubernetes storage {EXAMPLES[name]}"
    assert (ROOT / f"docs/ceph/{name}.yaml").read_text(encoding="utf-8") == printed(tmp_path, EXAMPLES[name]), f"docs/ceph/{name}.yaml is stale; run {command}"


def test_there_are_no_other_examples() -> None:
    assert {path.name for path in (ROOT / "docs/ceph").iterdir()} == {f"{name}.yaml" for name in EXAMPLES}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_kubernetes_knows_the_class(name: str, version: str) -> None:
    # classes of snapshots are a definition of a cluster's own, which no schema of Kubernetes has
    storage, _ = documents((ROOT / f"docs/ceph/{name}.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(storage, version, strict=True)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_class_keeps_volumes_lets_them_grow_and_says_where_each_key_is(name: str) -> None:
    storage, snapshots = documents((ROOT / f"docs/ceph/{name}.yaml").read_text(encoding="utf-8"))
    assert (storage["reclaimPolicy"], storage["allowVolumeExpansion"], storage["volumeBindingMode"]) == ("Retain", True, "Immediate")
    assert storage["provisioner"] == snapshots["driver"]
    assert storage["parameters"]["clusterID"] == snapshots["parameters"]["clusterID"]
    for parameters, needed in (
        (storage["parameters"], {"provisioner", "controller-expand", "controller-publish", "node-stage"}),
        (snapshots["parameters"], {"snapshotter"}),
    ):
        for part in ("name", "namespace"):
            suffix = f"-secret-{part}"
            assert {key.removeprefix("csi.storage.k8s.io/").removesuffix(suffix) for key in parameters if key.endswith(suffix)} == needed


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_settings_that_a_class_names_are_right_and_fit_it(tmp_path: Path, name: str) -> None:
    text = (ROOT / f"docs/ceph/{name}.yaml").read_text(encoding="utf-8")
    shown = "".join(f"{line[4:]}\n" for line in text.splitlines() if line.startswith("#   "))
    config = Config.model_validate(YAML(typ="safe", pure=True).load(shown))
    assert config.kubernetes.storage_class == documents(text)[0]["metadata"]["name"]
    assert config.kubernetes.access_mode == ("ReadWriteMany" if name.startswith("cephfs") else "ReadWriteOnce")
    assert printed(tmp_path, EXAMPLES[name], shown) == text


def test_names_and_sizes_are_those_of_the_settings(tmp_path: Path) -> None:
    text = printed(
        tmp_path, "--rook storage --rook-operator rook --file-system homes --pool fast", "storage: {home: {size: 20G}}\nkubernetes: {storage_class: fast}\n"
    )
    storage, snapshots = documents(text)
    assert "#     home:\n#       size: 20G\n" in text
    assert [found["metadata"]["name"] for found in (storage, snapshots)] == ["fast", "fast"]
    assert storage["provisioner"] == "rook.cephfs.csi.ceph.com"
    assert storage["parameters"]["clusterID"] == storage["parameters"]["csi.storage.k8s.io/node-stage-secret-namespace"] == "storage"
    assert (storage["parameters"]["fsName"], storage["parameters"]["pool"]) == ("homes", "fast")


def test_a_cluster_without_snapshots_is_given_the_storage_class_alone(tmp_path: Path) -> None:
    (storage,) = documents(printed(tmp_path, "--rook rook-ceph --file-system homes --without-snapshots"))
    assert storage["kind"] == "StorageClass"


@pytest.mark.parametrize(
    ("arguments", "settings", "line"),
    [
        ("", "", "say how the cluster reaches Ceph: --rook NAMESPACE or --ceph-csi CLUSTERID"),
        ("--rook a --ceph-csi b", "", "say how the cluster reaches Ceph: --rook NAMESPACE or --ceph-csi CLUSTERID"),
        ("--ceph-csi a --rook-operator b", "", "--rook-operator goes with --rook"),
        ("--rook a --secrets b", "", "--secrets goes with --ceph-csi; Rook keeps them in the namespace of its CephCluster"),
        ("--rook a", "", "CephFS needs the name of its file system (--file-system); ceph fs ls shows it"),
        ("--rook a --kind rbd", "", "RBD needs the name of its pool (--pool); ceph osd pool ls shows it"),
        ("--rook a --kind rbd --pool b --file-system c", "", "RBD has no file system of its own (--file-system); that is CephFS"),
        (
            "--rook a --kind rbd --pool b",
            "kubernetes: {access_mode: ReadWriteMany}\n",
            "kubernetes.access_mode is ReadWriteMany, but a file system on RBD is mounted by one node at a time; use CephFS, or ReadWriteOnce",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path: Path, arguments: str, settings: str, line: str) -> None:
    (tmp_path / "elabs.yaml").write_text(settings)
    command = [sys.executable, "-m", "elabs.cli", "--config", str(tmp_path / "elabs.yaml"), "kubernetes", "storage", *shlex.split(arguments)]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"elabs: {line}\n")


def test_the_driver_of_rook_is_called_after_its_operator() -> None:
    assert ceph.rook("rbd", "storage").prefix == "storage."
    assert ceph.rook("rbd", "storage", "operator") == ceph.Driver("operator.", "storage", "storage", ("rook-csi-rbd-provisioner", "rook-csi-rbd-node"))
    assert ceph.ceph_csi("cephfs", ID, "keys") == ceph.Driver("", ID, "keys", ("csi-cephfs-secret", "csi-cephfs-secret"))
