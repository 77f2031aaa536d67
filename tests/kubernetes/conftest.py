"""A real Kubernetes of one node, and both images in it.

The cluster is a folder with the programs `up` and `load-image`, which `ELABS_TEST_CLUSTER` names. It is brought up where it is not, and left running.
"""

import json
import os
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from elabs.config.kubernetes import Images
from elabs.config.state import State
from elabs.runtime.images import build, oci
from tests.live import ROOT, state_folder

LAB_IMAGE = os.environ.get("ELABS_TEST_IMAGE", "small")


@dataclass(frozen=True)
class Cluster:
    """What tests ask of a cluster."""

    folder: Path
    config: Path
    """The administrator's kubeconfig, in the cluster's own folder."""

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """What kubectl prints; a failure with what it says."""
        command = [str(self.config.parent / "bin/kubectl"), f"--kubeconfig={self.config}", *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr.strip()}"
        return done.stdout

    def load(self, archive: Path, reference: str) -> None:
        """Put an image into the node under that name, unless it is there."""
        if self.digest(reference) != _digest(archive):
            subprocess.run([str(self.folder / "load-image"), str(archive), reference], stdout=subprocess.DEVNULL, timeout=600, check=True)
        assert self.digest(reference) == _digest(archive)

    def digest(self, reference: str) -> str:
        """Of the image that the node has under that name; empty where there is none."""
        own = self.config.parent
        command = [str(own / "root/usr/bin/ctr"), "-a", str(own / "run/containerd.sock"), "-n", "k8s.io", "images", "ls", f"name==docker.io/{reference}"]
        found = re.search(r"sha256:[0-9a-f]{64}", subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)
        return found[0] if found else ""


def _digest(archive: Path) -> str:
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index
        return str(json.load(index)["manifests"][0]["digest"])


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster, running."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = Path(os.environ.get("ELABS_TEST_CLUSTER", ROOT.parent / "shared/cluster"))
    if not (folder / "up").exists():
        pytest.skip(f"there is no cluster for tests in {folder}; ELABS_TEST_CLUSTER names its folder")
    said = subprocess.run([str(folder / "up")], stdout=subprocess.PIPE, text=True, timeout=3600, check=True).stdout
    found = re.search(r"KUBECONFIG=(\S+)", said)
    assert found, said
    return Cluster(folder, Path(found[1]))


@pytest.fixture(scope="session")
def images(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """References of the images `hub` and `lab`, built and loaded as they are in the sources now."""
    state, names = State(state_folder()), Images()
    references = {"hub": ("hub", names.hub), "lab": (LAB_IMAGE, names.lab(LAB_IMAGE))}
    for image, reference in references.values():
        build(state, image, lambda fraction, text: None)
        archive = tmp_path_factory.mktemp("images") / f"{image}.tar"
        oci.archive(state, image, archive, reference, lambda fraction, text: None)
        cluster.load(archive, reference)
        archive.unlink()
    return {name: reference for name, (_, reference) in references.items()}
