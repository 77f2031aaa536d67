"""Both images run as pods of the strictest kind: no root, no capability, nothing writable but what is mounted."""

import json
import os
import time
from collections.abc import Iterator

import pytest

from elabs.runtime.images import definition
from tests.kubernetes.conftest import Cluster

SECONDS = 180
EXAMPLES = [path for path in (definition.PROJECT / "examples").iterdir() if path.is_dir()]


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of these tests' own."""
    name = f"images-{os.getpid()}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def run(cluster: Cluster, namespace: str, image: str, script: str, *writable: str) -> str:
    """What a shell script prints in a pod of that image, with an empty volume at each of `writable`."""
    name = f"pod-{time.monotonic_ns()}"
    volumes = {f"volume-{number}": path for number, path in enumerate(writable)}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "fsGroup": 1000},
            "volumes": [{"name": volume, "emptyDir": {}} for volume in volumes],
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "Never",
                    "args": ["sh", "-euc", script],  # below the image's own entrypoint
                    "securityContext": {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in volumes.items()],
                }
            ],
        },
    }
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))
    end, phase = time.monotonic() + SECONDS, ""
    while phase not in ("Succeeded", "Failed") and time.monotonic() < end:
        time.sleep(0.5)
        phase = cluster.kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}")
    said = cluster.kubectl("-n", namespace, "logs", name) if phase in ("Succeeded", "Failed") else cluster.kubectl("-n", namespace, "describe", "pod", name)
    assert phase == "Succeeded", said
    return said


def in_a_lab(cluster: Cluster, namespace: str, images: dict[str, str], script: str) -> str:
    return run(cluster, namespace, images["lab"], script, "/tmp", "/run/lab", "/home")


def in_the_hub(cluster: Cluster, namespace: str, images: dict[str, str], script: str) -> str:
    return run(cluster, namespace, images["hub"], script, "/tmp", "/var/lib/elabs")


def test_a_lab_has_its_server_and_both_languages(cluster: Cluster, namespace: str, images: dict[str, str]) -> None:
    said = in_a_lab(
        cluster,
        namespace,
        images,
        "python3 -s -P -c 'import elabs.lab, jupyterhub, jupyterlab; print(elabs.lab.__file__)'; Rscript -e 1; ls /opt/elabs/examples",
    )
    assert said.splitlines() == ["/opt/elabs/elabs/lab/__init__.py", "[1] 1", *sorted(path.name for path in EXAMPLES)]


def test_a_lab_is_an_ordinary_account_that_can_write_its_own_places_alone(cluster: Cluster, namespace: str, images: dict[str, str]) -> None:
    script = (
        "id -un; id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; tr '\\0' ' ' < /proc/1/cmdline | cut -d' ' -f1; echo;"
        "touch /tmp/x /home/x /run/lab/x; for place in / /usr /etc /opt/elabs /var; do touch $place/x 2>/dev/null && echo written $place; done; true"
    )
    said = in_a_lab(cluster, namespace, images, script).split()
    assert said == ["lab", "1000", "CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1", "/usr/bin/tini"]


def test_the_hub_has_hub_spawner_and_proxy(cluster: Cluster, namespace: str, images: dict[str, str]) -> None:
    script = (
        "python3 -s -P -c 'import elabs.hub.app, kubespawner; print(elabs.hub.app.__file__)'; node --version;"
        "node /opt/elabs/node/node_modules/configurable-http-proxy/bin/configurable-http-proxy --version; id -un; echo $ELABS_STATE; touch $ELABS_STATE/x"
    )
    said = in_the_hub(cluster, namespace, images, script).split()
    assert said[0] == "/opt/elabs/src/elabs/hub/app.py"
    assert said[1].startswith("v24.")
    assert said[2:] == ["5.3.0", "elabs", "/var/lib/elabs"]


def test_the_hubs_packages_are_complete_and_reach_postgresql_without_another_driver(cluster: Cluster, namespace: str, images: dict[str, str]) -> None:
    script = (
        "python3 -m pip --no-cache-dir check;"
        "python3 -s -P -c 'import sqlalchemy; engine = sqlalchemy.create_engine(\"postgresql://a@db.example.org/b\"); print(engine.driver, engine.dialect.dbapi.pq.__impl__)'"
    )
    assert in_the_hub(cluster, namespace, images, script).splitlines() == ["No broken requirements found.", "psycopg binary"]


def test_labs_definitions_are_where_the_hub_looks_for_them(cluster: Cluster, namespace: str, images: dict[str, str]) -> None:
    script = "python3 -s -P -c 'from elabs.runtime.images import definition as d; print(*(f\"{n}:{d.load(n).key}\" for n in d.names()))'"
    assert in_the_hub(cluster, namespace, images, script).split() == [f"{name}:{definition.load(name).key}" for name in definition.names()]
