"""A home goes from a disk into a claim of the cluster and back, by the shipped command, and is the same; cut off by a kill, it goes on."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from elabs.storage.transfer.manifest import PIECE
from tests.kubernetes.conftest import Cluster
from tests.live import ROOT
from tests.transfer import File, Folder, export, give, make, owned, tree

SECONDS = 180


@dataclass
class Release:
    """A namespace, and `elabs home` for it."""

    cluster: Cluster
    namespace: str
    image: str
    config: Path

    def command(self, *arguments: str) -> list[str]:
        where = ["--cluster", "--namespace", self.namespace]
        return [sys.executable, "-m", "elabs.cli", "--config", str(self.config), "home", *arguments, *where]

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(ROOT / "src"),
            "KUBECONFIG": str(self.cluster.config),
            "ELABS_KUBECTL": str(self.cluster.config.parent / "bin/kubectl"),
        }

    def home(self, *arguments: str, status: int = 0) -> str:
        """What the command prints, where it ends with `status`; else a failure."""
        done = subprocess.run(
            self.command(*arguments), env=self.environment(), capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    def killed(self, *arguments: str, percent: int) -> None:
        """Kill the command once it is that far."""
        with subprocess.Popen(self.command(*arguments), env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            for line in process.stderr:
                if (found := re.search(r" (\d+)% copying", line)) and int(found[1]) >= percent:
                    break
            else:
                raise AssertionError("it ended before")
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def pod(self, name: str, claim: str, script: str) -> None:
        """A pod with the home at /home, as uid 1000."""
        spec = {
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch"},
            "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": claim}}],
            "containers": [
                {
                    "name": "main",
                    "image": self.image,
                    "imagePullPolicy": "Never",
                    "args": ["sh", "-euc", script],
                    "volumeMounts": [{"name": "home", "mountPath": "/home"}],
                }
            ],
        }
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))

    def phase(self, name: str, *wanted: str) -> None:
        end, phase = time.monotonic() + SECONDS, ""
        while phase not in wanted:
            assert time.monotonic() < end, self.kubectl("describe", "pod", name)
            time.sleep(0.3)
            phase = self.kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")

    def says(self, claim: str, script: str) -> str:
        """What a shell script prints in another pod that has the home."""
        name = f"reader-{time.monotonic_ns()}"
        self.pod(name, claim, script)
        self.phase(name, "Succeeded", "Failed")
        said = self.kubectl("logs", name)
        self.kubectl("delete", "pod", name)
        return said

    def no_pod_is_left(self) -> None:
        end = time.monotonic() + SECONDS
        while self.kubectl("get", "pods", "-o", "name").strip():
            assert time.monotonic() < end
            time.sleep(0.5)


@pytest.fixture(scope="module")
def release(cluster: Cluster, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """A namespace of these tests' own. ELABS_TEST_HUB_IMAGE is a hub image in the cluster to use as it is."""
    image = os.environ.get("ELABS_TEST_HUB_IMAGE") or request.getfixturevalue("images")["hub"]
    repository, _, tag = image.rpartition("/hub:")
    config = tmp_path_factory.mktemp("release") / "elabs.yaml"
    config.write_text(f"kubernetes:\n  images: {{repository: {repository}, tag: {tag}}}\nstorage:\n  home: {{size: 1G}}\n")
    name = f"homes-{os.getpid()}"
    cluster.kubectl("create", "namespace", name)
    yield Release(cluster, name, image, config)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home on a disk, `home`, and its archive, `archive`."""
    base = tmp_path_factory.mktemp("disk")
    (base / "home").mkdir()
    names = [b"plain", "año ñ".encode(), b"new\nline", b"\xff\xfe", b" "]
    make(
        base / "home",
        {
            b"small": Folder({b"%d" % number: File(b"%d" % number * 20, 0o640) for number in range(1500)}, 0o700),
            b"names": Folder({name: File(name, 0o400) for name in names}, 0o500),
            b"sparse": File(b"end", size=2**33, at=2**32),
            b"linked": File(b"twice", 0o755, links=1),
            b"attributes": File(b"x"),
            b"link": b"/data/shared",
            b"empty": Folder({b"file": File(b"", 0o600)}, 0o711),
            b"long": File(os.urandom(30 * PIECE + 77)),
            b"long2": File(os.urandom(20 * PIECE)),
        },
    )
    assert export(base / "home", base / "archive").complete
    return base


def test_a_home_goes_into_the_cluster_and_back(release: Release, disk: Path, tmp_path: Path) -> None:
    said = release.home("import", "Ana María", str(disk / "archive"))
    home = re.match(r"(ana-mar-a---[0-9a-f]{12}): 151\d files", said)
    assert home, said
    claim = f"home-{home[1]}"
    spec = json.loads(release.kubectl("get", "pvc", claim, "-o", "json"))
    assert spec["metadata"]["annotations"]["hub.jupyter.org/username"] == "Ana María"
    assert (spec["spec"]["accessModes"], spec["spec"]["resources"]["requests"]["storage"]) == (["ReadWriteOnce"], str(2**30))
    # another pod reads it
    said = release.says(claim, "cd /home; sha256sum long; stat -c '%u %g %a' long names; cat names/plain; ls -A; du -sm sparse; id -u")
    checksum = hashlib.sha256((disk / "home/long").read_bytes()).hexdigest()
    lines = said.splitlines()
    assert lines[0].split()[0] == checksum
    assert lines[1:3] == ["1000 1000 644", "1000 1000 500"]
    assert ".elabs-import" not in said and lines[-2:] == ["1\tsparse", "1000"]
    # and it comes back the same, by its person's name and by its own
    for number, name in enumerate(("Ana María", home[1])):
        release.home("export", name, str(tmp_path / f"archive{number}"))
        back = owned(tmp_path / f"back{number}")
        give(tmp_path / f"archive{number}", back)
        assert tree(back) == tree(disk / "home")
    listed = json.loads(release.home("list", "--json"))
    assert {"home": home[1], "person": "Ana María", "used_bytes": None, "quota_bytes": 2**30, "used_by": None} in listed
    assert "is not empty; --merge" in release.home("import", "Ana María", str(disk / "archive"), status=2)
    assert " 0 of them copied now; 1512 files were there" in release.home("import", "Ana María", str(disk / "archive"), "--merge")
    release.no_pod_is_left()


def test_what_was_killed_goes_on(release: Release, disk: Path, tmp_path: Path) -> None:
    release.killed("import", "bea", str(disk / "archive"), percent=90)
    assert release.kubectl("get", "pod", "move-bea", "-o", "jsonpath={.status.phase}") == "Running"
    # the half of a home does not leave the cluster
    assert "is the half of an import" in release.home("export", "bea", str(tmp_path / "half"), status=2)
    said = release.home("import", "bea", str(disk / "archive"))
    found = re.search(r"files, ([\d.]+)M, .* ([\d.]+)M of them copied now; (\d+) files were there", said)
    # what was still on its way does not count, and the first batch, which has the long file, does
    assert found and float(found[2]) < float(found[1]) / 2 and int(found[3]) >= 4, said

    release.killed("export", "bea", str(tmp_path / "archive"), percent=30)
    assert "is not complete: its export was cut off" in release.home("import", "carla", str(tmp_path / "archive"), status=2)
    there = sum(path.stat().st_size for path in (tmp_path / "archive/packs").iterdir())
    assert there > 2**24
    said = release.home("export", "bea", str(tmp_path / "archive"))
    found = re.search(r"files, ([\d.]+)M, .* ([\d.]+)M of them copied now", said)
    assert found and float(found[2]) <= float(found[1]) - there / 2**20 + 5, (said, there)
    back = owned(tmp_path / "back")
    give(tmp_path / "archive", back)
    assert tree(back) == tree(disk / "home")
    release.no_pod_is_left()


def test_a_home_that_is_open_is_left_alone_and_deleting_one_is_explicit(release: Release, disk: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    make(tmp_path / "home", {b"file": File(b"x")})
    export(tmp_path / "home", tmp_path / "archive")
    release.home("import", "dora", str(tmp_path / "archive"))
    release.pod("lab-dora", "home-dora", "sleep 600")
    release.phase("lab-dora", "Running")
    for arguments in (("export", "dora", str(tmp_path / "new")), ("import", "dora", str(tmp_path / "archive")), ("delete", "dora", "--yes")):
        assert "the pod lab-dora of dora runs; stop it first" in release.home(*arguments, status=2)
    assert not (tmp_path / "new").exists()
    release.home("export", "dora", str(tmp_path / "new"), "--while-running")
    release.kubectl("delete", "pod", "lab-dora")
    assert "Type its name" in release.home("delete", "dora", status=130)  # nobody answers
    assert release.kubectl("get", "pvc", "home-dora", "-o", "name").strip()
    assert release.home("delete", "dora", "--yes").startswith("dora: deleted, a volume of 1G; ")
    assert "has no home in this namespace" in release.home("delete", "dora", "--yes", status=2)


def test_an_image_that_is_not_there_is_one_line(release: Release, disk: Path, tmp_path: Path) -> None:
    config = tmp_path / "elabs.yaml"
    config.write_text("kubernetes:\n  images: {repository: nowhere.invalid/elabs, tag: none}\n")
    other = Release(release.cluster, release.namespace, release.image, config)
    said = other.home("import", "eva", str(disk / "archive"), status=2)
    assert re.match(r"elabs: the pod move-eva does not start: (ErrImagePull|ImagePullBackOff): .*nowhere", said) and said.count("\n") == 1, said
    other.home("delete", "eva", "--yes")
    release.no_pod_is_left()
