"""A lab as a pod: literal values, sizes as plain numbers, and what the cluster would make of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elabs.config.model import Config
from elabs.config.units import parse_bytes
from elabs.runtime.kubernetes import labs
from elabs.runtime.kubernetes.labs import Release

RELEASE = Release("elabs", "research", "research-elabs-lab")


def made(profile: str = "default", lab: str = "lince", **settings: Any) -> dict[str, Any]:
    return labs.traits(Config.model_validate(settings), RELEASE, profile, lab)


def test_a_lab_of_the_defaults() -> None:
    found = made()
    assert {key: found[key] for key in ("image", "cmd", "working_dir", "mem_limit", "mem_guarantee", "cpu_limit", "cpu_guarantee", "priority_class_name")} == {
        "image": "elabs/lab-full:0.1.0",
        "cmd": ["/usr/bin/python3", "-s", "-P", "-m", "elabs.lab"],
        "working_dir": "/home/lince",
        "mem_limit": 2147483648,
        "mem_guarantee": 1073741824,
        "cpu_limit": 2.0,
        "cpu_guarantee": 0.5,
        "priority_class_name": "research-elabs-lab",
    }
    assert found["volumes"] == [
        {"name": "home", "persistentVolumeClaim": {"claimName": "home-lince"}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": 1073741824}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": 1073741824}},
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": 16777216}},
        {
            "name": "accounts",
            "downwardAPI": {
                "items": [
                    {"path": "passwd", "fieldRef": {"fieldPath": "metadata.annotations['elabs.lab/passwd']"}},
                    {"path": "group", "fieldRef": {"fieldPath": "metadata.annotations['elabs.lab/group']"}},
                ]
            },
        },
    ]
    assert found["extra_annotations"]["elabs.lab/passwd"].splitlines()[-1] == "lince:x:1000:1000:lince:/home/lince:/bin/bash"
    assert found["environment"]["HOME"] == "/home/lince"
    assert found["environment"]["ELABS_SECRETS"] == "environment"


def test_its_walls() -> None:
    found = made()
    assert found["container_security_context"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert found["automount_service_account_token"] is False
    assert found["extra_pod_config"] == {"restartPolicy": "Never", "enableServiceLinks": False}


def test_homes_are_never_deleted() -> None:
    config = Config.model_validate({"storage": {"home": {"size": "7G"}}, "kubernetes": {"storage_class": "cephfs", "access_mode": "ReadWriteMany"}})
    assert labs.home(config) == {
        "storage_pvc_ensure": True,
        "delete_pvc": False,
        "storage_capacity": "7516192768",
        "storage_class": "cephfs",
        "storage_access_modes": ["ReadWriteMany"],
    }


def test_a_gpu_is_a_resource_and_a_node() -> None:
    gpu = {
        "sizes": {"gpu": {"memory": "16G", "cpu": 4, "memory_request": "12G", "cpu_request": 4, "resources": {"nvidia.com/gpu": 1}}},
        "profiles": {
            "gpu": {
                "title": "GPU", "size": "gpu", "image": "small",
                "nodes": {"selector": {"pool": "gpu"}, "tolerations": ["nvidia.com/gpu:NoSchedule", "dedicated=labs:NoExecute", "spot"]},
            }
        },
        "kubernetes": {"images": {"repository": "registry.example.org/elabs", "labs": {"small": "registry.example.org/own:7"}}},
    }  # fmt: skip
    found = made("gpu", **gpu)
    assert found["image"] == "registry.example.org/own:7"
    assert found["extra_resource_limits"] == found["extra_resource_guarantees"] == {"nvidia.com/gpu": 1}
    assert found["node_selector"] == {"pool": "gpu"}
    assert found["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "dedicated", "operator": "Equal", "value": "labs", "effect": "NoExecute"},
        {"key": "spot", "operator": "Exists"},
    ]
    assert labs.requests(Config.model_validate(gpu).sizes["gpu"]) == {"memory": 12 * 2**30, "cpu": 4.0, "nvidia.com/gpu": 1}


def test_shared_data_is_read_only() -> None:
    found = made(kubernetes={"data": {"gbif": "gbif-2026"}})
    assert found["volumes"][-1] == {"name": "data-gbif", "persistentVolumeClaim": {"claimName": "gbif-2026", "readOnly": True}}
    assert found["volume_mounts"][-1] == {"name": "data-gbif", "mountPath": "/data/gbif", "readOnly": True}


def _plain(value: Any) -> bool:
    """Whether no text in it is a size or a duration that Kubernetes would read in its own way."""
    if isinstance(value, dict):
        return all(_plain(one) for one in value.values())
    if isinstance(value, list):
        return all(_plain(one) for one in value)
    return not (isinstance(value, str) and value[:1].isdigit() and value[-1:].isalpha())


@pytest.mark.parametrize("unit", ["", "K", "M", "G", "GiB", "gb"])
@given(number=st.integers(1, 1000))
def test_g_means_the_same_on_one_machine_and_in_a_cluster(unit: str, number: int) -> None:
    """JupyterHub reads `4G` as 4·2³⁰ bytes and Kubernetes as 4·10⁹, so what is written reaches neither."""
    from kubespawner.objects import make_pod

    written = f"{number * (2**28 if not unit else 2**19 if unit == 'K' else 2**9 if unit == 'M' else 1)}{unit}"
    size = parse_bytes(written)
    config = Config.model_validate({"sizes": {"medium": {"memory": written, "memory_request": written}}})
    found = labs.traits(config, RELEASE, "default", "lince")
    assert found["mem_limit"] == found["mem_guarantee"] == size
    pod = make_pod(
        name="x", cmd=["x"], port=1, image="x", image_pull_policy="Always", mem_limit=found["mem_limit"], mem_guarantee=found["mem_guarantee"],
        cpu_limit=found["cpu_limit"], cpu_guarantee=found["cpu_guarantee"], volumes=found["volumes"],
    )  # fmt: skip
    resources = pod.spec.containers[0].resources
    assert (int(resources.limits["memory"]), int(resources.requests["memory"])) == (size, size)
    assert _plain({key: value for key, value in found.items() if key not in ("environment", "extra_annotations", "image")})


@given(st.text(min_size=1, max_size=60))
def test_names_fit_kubernetes_whatever_the_directory_holds(name: str) -> None:
    import re

    from elabs.storage.slugs import slug

    for made_name in (labs.pod_name(slug(name)), labs.claim_name(slug(name))):
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", made_name)
