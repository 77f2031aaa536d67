"""`elabs home` without a cluster or an instance: the pod and the claim as values, what a cluster's answers mean, and a kubectl that lets one down."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from elabs.cli.errors import Problem
from elabs.cli.homes import cluster, kubectl
from elabs.cli.homes.kubectl import Kubectl
from elabs.cli.main import elabs
from elabs.config.model import Config
from elabs.runtime.kubernetes import moving
from elabs.runtime.kubernetes.quantity import quantity
from elabs.storage import homes, ids
from elabs.storage.ids import Instance
from tests.transfer import File, Folder, export, make, tree

ROOT = Path(__file__).parents[2]
CONFIG = Config.model_validate(
    {
        "kubernetes": {
            "images": {"repository": "registry.example.org/elabs", "tag": "7", "pull_secrets": ["registry"]},
            "storage_class": "cephfs",
            "access_mode": "ReadWriteMany",
        },
        "storage": {"home": {"size": "4G"}},
        "profiles": {
            "a": {"title": "A", "nodes": {"tolerations": ["gpu:NoSchedule"]}},
            "b": {"title": "B", "nodes": {"tolerations": ["gpu:NoSchedule", "labs=yes"]}},
        },
    }
)


def test_the_claim_of_a_new_home() -> None:
    assert moving.claim(CONFIG, "ana", "Ana") == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "home-ana",
            "labels": {"app.kubernetes.io/part-of": "elabs", "component": "singleuser-storage"},
            "annotations": {"hub.jupyter.org/username": "Ana"},
        },
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "4294967296"}}, "storageClassName": "cephfs"},
    }
    assert "storageClassName" not in moving.claim(Config(), "ana", "Ana")["spec"]


def test_the_pod_is_walled_in_as_a_lab_is() -> None:
    pod = moving.pod(CONFIG, "ana")
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert pod["metadata"]["labels"]["component"] == "move" and pod["metadata"]["name"] == "move-ana"
    assert container["image"] == "registry.example.org/elabs/hub:7" and spec["imagePullSecrets"] == [{"name": "registry"}]
    assert container["securityContext"] == {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"], spec["automountServiceAccountToken"]) == (1000, 1000, False)
    assert spec["volumes"] == [{"name": "home", "persistentVolumeClaim": {"claimName": "home-ana"}}]
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, {"key": "labs", "operator": "Equal", "value": "yes"}]
    assert "nodeName" not in spec and moving.pod(CONFIG, "ana", "n1")["spec"]["nodeName"] == "n1"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Running"}, ("Running", "", False)),
        ({"phase": "Pending"}, ("Pending", "", False)),
        ({"phase": "Pending", "conditions": [{"status": "False", "message": "0/3 nodes are available"}]}, ("Pending", "0/3 nodes are available", False)),
        ({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ("Pending", "ContainerCreating", False)),
        (
            {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]},
            ("Pending", "ErrImagePull: not found", True),
        ),
        ({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"reason": "Error"}}}]}, ("Failed", "Error", True)),
        ({"phase": "Failed", "message": "evicted"}, ("Failed", "evicted", True)),
    ],
)
def test_why_a_pod_does_not_run(status: dict[str, Any], expected: tuple[str, str, bool]) -> None:
    assert cluster.state({"status": status}) == expected


def test_a_pod_that_is_gone_never_runs() -> None:
    assert cluster.state({}) == ("gone", "", True)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1Gi", 2**30), ("500Mi", 500 * 2**20), ("1G", 10**9), ("4294967296", 2**32), ("1.5Ti", 3 * 2**39), ("100m", None), ("xGi", None), ("", None)],
)
def test_sizes_as_kubernetes_writes_them(text: str, size: int | None) -> None:
    assert quantity(text) == size


def test_claims_that_are_homes() -> None:
    names = ["home-ana", "home-a---0123456789ab", "home-", "home-Ana", "elabs-hub", "my-home-ana"]
    assert [name for name in names if cluster.is_home(name)] == ["home-ana", "home-a---0123456789ab"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that plays a cluster with one home, in `<folder>/volume`; `<folder>/exec` is run in place of the agent where it is there."""
    (tmp_path / "volume").mkdir()
    program = tmp_path / "kubectl"
    program.write_text(
        f"""#!{sys.executable}
import json, os, sys
words = [word for word in sys.argv[1:] if not word.startswith("-")]
with open({str(tmp_path / "log")!r}, "a") as log:
    log.write(" ".join(words) + "\\n")
if words[0] == "get" and words[1:2] == ["persistentvolumeclaim"]:
    print(json.dumps({{"metadata": {{"name": "home-ana"}}, "spec": {{"resources": {{"requests": {{"storage": "1Gi"}}}}}}}}))
elif words[0] == "get" and words[1:2] == ["pods"]:
    print(open({str(tmp_path / "pods")!r}).read() if os.path.exists({str(tmp_path / "pods")!r}) else '{{"items": []}}')
elif words[0] == "get" and words[1:2] == ["pod"]:
    print('{{"status": {{"phase": "Running"}}}}')
elif words[0] == "exec":
    if os.path.exists({str(tmp_path / "exec")!r}):
        os.execv("/bin/sh", ["sh", {str(tmp_path / "exec")!r}])
    os.environ["PYTHONPATH"] = {str(ROOT / "src")!r}
    os.execv(sys.executable, [sys.executable, "-m", "elabs.storage.transfer.agent", {str(tmp_path / "volume")!r}])
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("ELABS_KUBECTL", str(program))
    return tmp_path


def home(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and the one line of a mistake."""
    from elabs.cli.main import one_line

    done = CliRunner().invoke(elabs, ["--state", "/nonexistent", "home", *arguments], standalone_mode=False)
    if done.exception is None:
        return int(done.return_value or 0), done.stdout, ""
    if isinstance(done.exception, SystemExit):
        return int(done.exception.code or 0), done.stdout, ""
    line = str(getattr(done.exception, "message", "")) or one_line(done.exception)  # type: ignore[arg-type]
    assert line, repr(done.exception)
    return 2, done.stdout, line


def test_a_home_through_kubectl_and_back(fake: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    make(tmp_path / "home", {b"a": Folder({b"b\n": File(b"x", links=1)}), b"c": b"d"})
    export(tmp_path / "home", tmp_path / "archive")
    assert home("import", "ana", str(tmp_path / "archive"), "--cluster")[0] == 0
    assert tree(fake / "volume") == tree(tmp_path / "home")
    status, said, _ = home("export", "ana", str(tmp_path / "again"), "--cluster", "-n", "labs", "--context", "there")
    assert status == 0 and said.startswith("ana: 2 files, 1, ")
    log = (fake / "log").read_text().splitlines()
    assert [line for line in log if line.startswith(("create", "exec", "delete"))] == 2 * [
        "delete pod move-ana",
        "create",
        "exec move-ana python3 elabs.storage.transfer.agent /mnt/home",
        "delete pod move-ana",
    ]


def test_a_connection_that_ends_early_says_what_kubectl_says_and_clears_away(fake: Path, tmp_path: Path) -> None:
    (fake / "exec").write_text("echo 'error: unable to upgrade connection: Forbidden' >&2; exit 1\n")
    status, _, line = home("export", "ana", str(tmp_path / "new"), "--cluster")
    assert status == 2
    assert line == "the connection to the home ended; run the same command again, and it goes on where it was: unable to upgrade connection: Forbidden"
    assert (fake / "log").read_text().splitlines()[-1] == "delete pod move-ana"


def test_an_image_without_the_agent_is_one_line(fake: Path, tmp_path: Path) -> None:
    (fake / "exec").write_text("echo 'Welcome to the wrong image, with a banner of its own'; cat >/dev/null\n")
    assert home("export", "ana", str(tmp_path / "new"), "--cluster")[::2] == (2, "what came over the connection is not from elabs; is the image the right one?")


def test_a_cluster_that_falls_silent_is_not_waited_for(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake / "exec").write_text("exec sleep 600\n")
    monkeypatch.setattr(kubectl, "_SILENCE_SECONDS", 0.5)
    began = time.monotonic()
    status, _, line = home("export", "ana", str(tmp_path / "new"), "--cluster")
    assert status == 2 and line.startswith("nothing came from the cluster for") and time.monotonic() - began < 300


def test_a_home_that_is_open_is_refused(fake: Path, tmp_path: Path) -> None:
    pod = {
        "metadata": {"name": "lab-ana", "labels": {"component": "lab"}},
        "status": {"phase": "Pending"},
        "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "home-ana"}}]},
    }
    for phase, refused in (("Pending", True), ("Running", True), ("Succeeded", False), ("Failed", False)):
        pod["status"] = {"phase": phase}
        (fake / "pods").write_text(json.dumps({"items": [pod]}))
        status, _, line = home("delete", "ana", "--yes", "--cluster")
        assert (status, line) == ((2, "the lab of ana runs; stop it first") if refused else (0, ""))


def test_deleting_asks_for_the_name(fake: Path) -> None:
    for typed, status in (("ana\n", 0), ("yes\n", 2), ("\n", 2)):
        (fake / "log").unlink(missing_ok=True)
        done = CliRunner().invoke(elabs, ["home", "delete", "ana", "--cluster"], input=typed)
        assert (done.exit_code if typed.strip() else 2) == status, done.output
        assert ("delete persistentvolumeclaim home-ana" in (fake / "log").read_text()) == (status == 0)


def test_without_kubectl_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELABS_KUBECTL", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Problem, match="kubectl is not on PATH"):
        Kubectl(None, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as the command says")
def test_where_no_instance_is_it_is_one_line() -> None:
    assert home("list")[::2] == (2, "/nonexistent holds no instance, so there are no homes; elabs up makes one, and --cluster asks a cluster")


def test_people_of_an_instance(tmp_path: Path) -> None:
    register, mine = tmp_path / "ids.jsonl", Instance(0, str(tmp_path), ids.FIRST_ID, "198.18.0.0/20")
    other = Instance(1, "/other", ids.FIRST_ID + ids.BLOCK, "198.18.16.0/20")
    first, second = (ids.claim_person(mine, person, register) for person in ("ana", "Bea"))
    ids.claim_person(other, "ana", register)
    assert ids.people(mine, register) == {"ana": first, "Bea": second}


def test_only_homes_are_deleted(tmp_path: Path) -> None:
    from elabs.config.state import State
    from elabs.storage.run import StorageError

    (tmp_path / "homes").mkdir()
    (tmp_path / "homes/link").symlink_to(tmp_path)
    for name in ("..", "link", "nobody", "", "."):
        with pytest.raises(StorageError, match="there is no home"):
            homes.delete(State(tmp_path), name)
    assert homes.every(State(tmp_path)) == []
