"""Homes on a real CephFS: what a full one answers, that its lab starts all the same, that it grows with the settings, and that its volume outlives its claim.

The class is the one that `elabs kubernetes storage` prints. There is no ceph-csi in the cluster of the tests: its part (a directory with a quota, a mount, a
volume for the claim, a larger quota where a claim has grown) is the tests' own, and is done as ceph-csi does it.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from elabs.cli.visit import Visit
from elabs.config.model import Config
from elabs.runtime.kubernetes.ceph import Pools, ceph_csi, classes
from tests.kubernetes import ceph
from tests.kubernetes.ceph import Ceph
from tests.kubernetes.conftest import SETTINGS, Cluster, Release, eventually
from tests.live import ROOT

NAMESPACE = CLASS = "elabs-ceph"
SIZE = 32 * 2**20
EXCEEDED = "OSError: [Errno 122] Disk quota exceeded"
ON_CEPH: dict[str, Any] = {
    **SETTINGS,
    "storage": {"home": {"size": SIZE}},
    "kubernetes": {**SETTINGS["kubernetes"], "storage_class": CLASS, "access_mode": "ReadWriteMany"},
}
# Piece by piece to the last byte; the exception that ends it is the last one.
FILL = """
import os
with open(os.path.expanduser('~/full'), 'ab', buffering=0) as file:
    for piece in (2**20, 2**12, 1):
        try:
            for _ in range(2**30 // piece):
                file.write(bytes(piece))
        except OSError as error:
            last = error
raise last
"""
WRITE = "import os; file = open(os.path.expanduser('~/{name}'), 'wb', buffering=0); file.write(bytes({count})); os.fsync(file.fileno())"


@pytest.fixture(scope="module")
def homes(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """The CephFS."""
    node = int((cluster.config.parent / "run/node.pid").read_text().split()[0])
    with ceph.running(tmp_path_factory.mktemp("ceph"), node) as found:
        yield found


@pytest.fixture(scope="module")
def release(cluster: Cluster, images: dict[str, str], homes: Ceph) -> Iterator[Release]:
    """The chart with homes on the generated class, and a volume for each of two people."""
    remove(cluster)
    cluster.kubectl("create", "namespace", NAMESPACE)
    storage, _ = classes(Config.model_validate(ON_CEPH), "cephfs", ceph_csi("cephfs", "test", "ceph-csi"), Pools("homes"))
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(storage))
    node = cluster.kubectl("get", "nodes", "-o", "name").strip().removeprefix("node/")
    for name in ("colibri", "lince"):
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(volume(name, homes.home(name, SIZE), node)))
    found = Release(cluster, NAMESPACE, settings=ON_CEPH)
    try:
        found.install()
        yield found
    finally:
        found.run("uninstall", found.name, "--wait")
        remove(cluster)


def remove(cluster: Cluster) -> None:
    """Take away everything in the cluster, pods before the mounts that they use."""
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    cluster.kubectl("delete", "persistentvolume", "--selector", f"ceph={NAMESPACE}", "--ignore-not-found", "--wait")
    cluster.kubectl("delete", "storageclass", CLASS, "--ignore-not-found")


def volume(name: str, path: Path, node: str) -> dict[str, Any]:
    """The volume that the driver would make for the claim of a home."""
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(name), "labels": {"ceph": NAMESPACE}},
        "spec": {
            "capacity": {"storage": str(SIZE)},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "claimRef": {"namespace": NAMESPACE, "name": f"home-{name}"},
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
        },
    }


def volume_name(name: str) -> str:
    return f"{NAMESPACE}-{name}"


def entered(release: Release, name: str) -> tuple[Visit, str]:
    """A person in their lab, and a kernel of it."""
    visit = release.visit(name)
    visit.start()
    visit.enter()
    return visit, visit.kernel()


def run(visit: Visit, kernel: str, code: str) -> str:
    """What a cell prints first, which must not raise. In a full home, IPython then says that it cannot keep its history."""
    cell = visit.run(kernel, code)
    assert cell.error is None, cell.error
    return cell.text.partition("\n")[0]


def shell(cluster: Cluster, commands: str, **variables: str) -> None:
    """Commands as an operator types them."""
    environment = {**os.environ, **variables, "PATH": f"{cluster.config.parent / 'bin'}:{os.environ['PATH']}", "KUBECONFIG": str(cluster.config)}
    done = subprocess.run(["sh", "-euc", commands], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", sorted((ROOT / "docs/ceph").iterdir()), ids=lambda path: str(path.stem))
def test_an_api_server_takes_the_classes_of_the_examples(cluster: Cluster, example: Path) -> None:
    """Not those of snapshots: their kind is there once a cluster has a controller for them, and this one has none."""
    storage, _ = YAML(typ="safe", pure=True).load_all(example.read_text(encoding="utf-8"))
    assert "created (server dry run)" in cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(storage))


def test_a_home_is_a_volume_of_the_class_and_as_large_as_the_settings_say(release: Release) -> None:
    visit, kernel = entered(release, "colibri")
    found = release.get("persistentvolumeclaim", "home-colibri")
    assert found["status"]["phase"] == "Bound"
    wanted = {
        "storageClassName": CLASS,
        "accessModes": ["ReadWriteMany"],
        "volumeName": volume_name("colibri"),
        "resources": {"requests": {"storage": str(SIZE)}},
    }
    assert {key: found["spec"][key] for key in wanted} == wanted
    assert run(visit, kernel, "import os; home = os.statvfs(os.path.expanduser('~')); print(home.f_blocks * home.f_frsize)") == str(SIZE)
    assert "fuse.ceph-fuse" in run(visit, kernel, "print(*(line for line in open('/proc/mounts') if '/home/colibri' in line))")
    visit.stop()


def test_who_writes_past_the_quota_is_told_and_others_write_on(release: Release) -> None:
    visit, kernel = entered(release, "colibri")
    other, their_kernel = entered(release, "lince")
    assert visit.run(kernel, FILL).error == EXCEEDED
    used = int(run(visit, kernel, "print(os.path.getsize(os.path.expanduser('~/full')))"))
    # the client that mounts counts, a little late
    assert SIZE / 2 < used < 2 * SIZE
    run(other, their_kernel, WRITE.format(name="nest", count=2**20))
    visit.stop()
    other.stop()


def test_a_lab_with_a_full_home_starts(release: Release) -> None:
    visit, kernel = entered(release, "colibri")
    assert visit.run(kernel, FILL).error == EXCEEDED
    visit.stop()
    visit, kernel = entered(release, "colibri")
    assert run(visit, kernel, "print(6 * 7)") == "42"
    assert visit.run(kernel, WRITE.format(name="more", count=2**16)).error == EXCEEDED
    assert run(visit, kernel, "print(os.environ.get('ELABS_SPARE', ''))").startswith("/tmp/elabs-")
    # the person makes room again
    run(visit, kernel, "os.remove(os.path.expanduser('~/full'))")
    eventually("the home takes files again", lambda: visit.run(kernel, WRITE.format(name="more", count=2**16)).error is None, 60)
    visit.stop()


def test_a_person_cannot_change_the_quota(release: Release) -> None:
    visit, kernel = entered(release, "colibri")
    attack = "import os; os.setxattr(os.path.expanduser('~'), 'ceph.quota.max_bytes', b'{size}')"
    for size in (0, 100 * SIZE):
        assert str(visit.run(kernel, attack.format(size=size)).error).startswith("PermissionError: [Errno 13] Permission denied")
    visit.stop()


def test_a_home_grows_when_its_size_is_raised(release: Release, homes: Ceph) -> None:
    visit, kernel = entered(release, "colibri")
    assert visit.run(kernel, FILL).error == EXCEEDED
    release.install({**ON_CEPH, "storage": {"home": {"size": 2 * SIZE}}})
    release.wait_for_hub()
    visit.stop()
    visit, kernel = entered(release, "colibri")
    assert release.get("persistentvolumeclaim", "home-colibri")["spec"]["resources"]["requests"]["storage"] == str(2 * SIZE)
    # the driver's part, with the lab running
    homes.resize("colibri", 2 * SIZE)
    release.kubectl("patch", "persistentvolume", volume_name("colibri"), "--patch", json.dumps({"spec": {"capacity": {"storage": str(2 * SIZE)}}}))
    eventually("the home takes more", lambda: visit.run(kernel, WRITE.format(name="more", count=SIZE // 2)).error is None, 60)
    assert visit.run(kernel, FILL).error == EXCEEDED
    run(visit, kernel, "import os; [os.remove(os.path.expanduser(f'~/{name}')) for name in ('full', 'more')]")
    visit.stop()


def test_a_home_whose_claim_is_gone_is_kept_and_can_be_attached_again(release: Release) -> None:
    visit, kernel = entered(release, "lince")
    run(visit, kernel, "open('notes.txt', 'w').write('three eggs')")
    visit.stop()
    release.kubectl("delete", "persistentvolumeclaim", "home-lince", "--wait")
    kept = volume_name("lince")
    eventually("the volume is released", lambda: release.get("persistentvolume", kept)["status"]["phase"] == "Released")
    (commands,) = re.findall(r"```sh\n([^`]*claimRef[^`]*)```", (ROOT / "docs/ceph.md").read_text(encoding="utf-8"))
    shell(release.cluster, commands, VOLUME=kept, NAMESPACE=NAMESPACE, LAB="lince", PERSON="lince")
    eventually("the volume is its person's again", lambda: release.get("persistentvolume", kept)["status"]["phase"] == "Bound")
    visit, kernel = entered(release, "lince")
    assert run(visit, kernel, "print(open('notes.txt').read())") == "three eggs"
    visit.stop()
