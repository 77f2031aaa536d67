"""A real Kubernetes of one node, and both images in it.

The cluster is a folder with the programs `up` and `load-image`, which `ELABS_TEST_CLUSTER` names. It is brought up where it is not, and left running.
"""

import base64
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from elabs.cli.visit import Visit
from elabs.config.kubernetes import Images
from elabs.config.state import State
from elabs.runtime.images import build, oci
from tests import helm, live
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


SETTINGS: dict[str, Any] = {
    "site": {"name": "Estación"},
    "image": LAB_IMAGE,
    "apps": [],
    "sizes": {"medium": {"memory": "512M", "cpu": 1, "memory_request": "64M", "cpu_request": 0.01}},
    "storage": {"home": {"size": "100M"}},
    "labs": {"start_timeout": "60s"},
    "kubernetes": {"hub": {"cpu": 1, "memory": "512M"}},
}
"""A release that fits on the one node of the tests."""


@dataclass
class Release:
    """An installed chart, as its operator and its people use it."""

    cluster: Cluster
    namespace: str
    name: str = "elabs"
    settings: dict[str, Any] = field(default_factory=lambda: SETTINGS)

    def run(self, *arguments: str, settings: dict[str, Any] | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """A helm command on this release; with `settings`, those are its values, on its standard input."""
        command = [helm.program("helm"), f"--kubeconfig={self.cluster.config}", f"--namespace={self.namespace}", *arguments]
        values = ["--values", "-"] if settings is not None else []
        text = json.dumps(settings) if settings is not None else None
        return subprocess.run([*command, *values], input=text, capture_output=True, text=True, timeout=timeout, check=False)

    def install(self, settings: dict[str, Any] | None = None, chart: Path = helm.CHART) -> None:
        """Install or upgrade, and wait until hub and proxy answer."""
        if settings is not None:
            self.settings = settings
        done = self.run("upgrade", "--install", self.name, str(chart), "--wait", "--timeout", "180s", settings=self.settings)
        assert done.returncode == 0, done.stderr + self.kubectl("get", "pods,events") + self.hub_log()
        # Helm waits for the pods; that the way to them is made everywhere takes the cluster a moment more
        self.wait_for_hub()

    def use(self, **changes: Any) -> None:
        """Install with the settings of the tests and these sections changed, and wait until the hub answers."""
        self.install({**SETTINGS, **changes})

    def remove(self) -> None:
        """Uninstall, and remove the namespace with the homes in it; nobody waits until all has ended."""
        self.run("uninstall", self.name)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """As Cluster.kubectl, in the namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def get(self, kind: str, name: str = "", **labels: str) -> Any:
        """An object, or the list of those with the labels, as the API gives them."""
        selector = ["--selector", ",".join(f"{key}={value}" for key, value in labels.items())] if labels else []
        found = json.loads(self.kubectl("get", kind, *([name] if name else []), *selector, "--output=json"))
        return found if name else found["items"]

    def hub_log(self) -> str:
        """What the hub said last."""
        command = ["--namespace", self.namespace, "logs", f"deployment/{self.name}-hub", "--tail=60"]
        try:
            return self.cluster.kubectl(*command)
        except AssertionError as error:
            return str(error)

    def hub_pod(self) -> str:
        """Name of the hub's pod that runs."""
        pods = [one for one in self.get("pods", component="hub", release=self.name) if "deletionTimestamp" not in one["metadata"]]
        return str(pods[0]["metadata"]["name"]) if pods else ""

    @property
    def base(self) -> str:
        """Where people come in, from this machine."""
        return f"http://{self.get('service', f'{self.name}-proxy')['spec']['clusterIP']}"

    def passwords(self) -> dict[str, str]:
        """Of the demo accounts."""
        data = self.get("secret", f"{self.name}-demo")["data"]
        return {key.partition(".")[0]: base64.b64decode(value).decode() for key, value in data.items()}

    def visit(self, name: str = "colibri", language: str = "en") -> Visit:
        """One of the demo people, logged in."""
        visit = Visit(self.base, name, self.passwords()[name])
        visit.session.headers["Accept-Language"] = language
        visit.login()
        return visit

    def wait_for_hub(self) -> None:
        """Until the hub answers again."""
        eventually("the hub answers", lambda: Visit(self.base, "x", "x").get("hub/health").status_code == 200)


def eventually(what: str, check: Callable[[], bool], seconds: float = 90) -> None:
    """As `tests.live.eventually`; a cluster takes longer."""
    live.eventually(what, check, seconds)


@pytest.fixture(scope="module")
def release(cluster: Cluster, images: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Release]:
    """The chart, installed in a namespace of its own that is removed afterwards, homes included."""
    namespace = f"elabs-{request.module.__name__.rpartition('.')[2].removeprefix('test_')}"
    cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait")
    cluster.kubectl("create", "namespace", namespace)
    found = Release(cluster, namespace)
    try:
        found.install()
        yield found
    finally:
        found.remove()
