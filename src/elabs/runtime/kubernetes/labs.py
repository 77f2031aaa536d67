"""A lab as a pod: the settings, a profile and a person's slug made into KubeSpawner's traits. Sizes are plain bytes and CPUs plain numbers in all of it,
since Kubernetes reads `4G` as another size than we do.
"""

from dataclasses import dataclass
from typing import Any

from elabs.config.clusters import HOME
from elabs.config.kubernetes import Nodes
from elabs.config.model import Config, Size
from elabs.runtime.environment import LAB_COMMAND, home_in_lab, lab_environment
from elabs.storage.ids import LAB_ID

COMPONENT = "lab"
"""Label `component` of a lab's pod; the chart's network policies and KubeSpawner's reflector go by it."""
PASSWD, GROUP = "elabs.lab/passwd", "elabs.lab/group"
"""Annotations whose text is the lab's own /etc/passwd and /etc/group: without an account of that name, ssh and others look for the home elsewhere."""
AUTHORITIES = "elabs.lab/authorities"
"""Annotation with the institute's own authorities, in PEM form."""
_AUTHORITIES_FILE = "/etc/elabs/authorities.pem"
_RUN_BYTES = 2**24
_ACCOUNTS = (
    ("root", 0, "/root", "/bin/bash"), ("daemon", 1, "/usr/sbin", "/usr/sbin/nologin"), ("bin", 2, "/bin", "/usr/sbin/nologin"),
    ("sys", 3, "/dev", "/usr/sbin/nologin"), ("man", 6, "/var/cache/man", "/usr/sbin/nologin"), ("mail", 8, "/var/mail", "/usr/sbin/nologin"),
    ("www-data", 33, "/var/www", "/usr/sbin/nologin"), ("nobody", 65534, "/nonexistent", "/usr/sbin/nologin"),
)  # fmt: skip


@dataclass(frozen=True)
class Release:
    """What the chart tells the hub of the release that it is part of."""

    name: str
    namespace: str
    priority_class: str | None = None
    """Priority class of labs."""


def pod_name(lab: str) -> str:
    """Name of the pod of a lab."""
    return f"lab-{lab}"


def claim_name(lab: str) -> str:
    """Name of the claim that holds a person's home; `lab` is the person's slug."""
    return f"home-{lab}"


def traits(config: Config, release: Release, profile: str, lab: str, authorities: str = "") -> dict[str, Any]:
    """KubeSpawner's traits for a lab of that profile; `lab` is the person's slug, `authorities` the text of `kubernetes.ca`."""
    size, cluster = config.size_of(profile), config.kubernetes
    return {
        "image": cluster.images.lab(config.image_of(profile)),
        "image_pull_policy": "IfNotPresent",
        "image_pull_secrets": list(cluster.images.pull_secrets),
        "cmd": list(LAB_COMMAND),
        "working_dir": home_in_lab(lab),
        "environment": lab_environment(lab, language=config.site.language, apps=tuple(config.apps), memory=size.memory, cpu=size.cpu)
        | {"ELABS_SECRETS": "environment"}
        | ({"ELABS_AUTHORITIES": _AUTHORITIES_FILE} if authorities else {}),
        **_resources(size),
        **_person(lab, authorities),
        **_volumes(config, size, lab, bool(authorities)),
        **_where(config.profiles[profile].nodes, release),
        **_walls(),
    }


def common_labels(release: Release) -> dict[str, str]:
    """Labels of everything that is made for labs, by which the chart's policies and budgets find them."""
    return {"app.kubernetes.io/name": "elabs", "app.kubernetes.io/instance": release.name, "app.kubernetes.io/managed-by": "elabs"}


def home(config: Config, cluster: str = HOME) -> dict[str, Any]:
    """KubeSpawner's traits for the claims of homes in that cluster, which nothing of ours ever deletes but `elabs home delete`."""
    return {
        "storage_pvc_ensure": True,
        "delete_pvc": False,
        "storage_capacity": str(config.storage.home.size),
        "storage_class": config.kubernetes.storage_class if cluster == HOME else config.clusters[cluster].storage_class,
        "storage_access_modes": [config.kubernetes.access_mode],
    }


def tolerations(nodes: Nodes) -> list[dict[str, str]]:
    """Tolerations as Kubernetes has them."""
    found = []
    for taint in nodes.tolerations:
        what, _, effect = taint.partition(":")
        key, equal, value = what.partition("=")
        found.append({"key": key, **({"operator": "Equal", "value": value} if equal else {"operator": "Exists"}), **({"effect": effect} if effect else {})})
    return found


def requests(size: Size) -> dict[str, Any]:
    """What a lab of that size sets aside on its node, as a container's `requests`."""
    return {"memory": size.memory_request, "cpu": size.cpu_request, **size.resources}


def _resources(size: Size) -> dict[str, Any]:
    return {
        "mem_limit": size.memory,
        "mem_guarantee": size.memory_request,
        "cpu_limit": size.cpu,
        "cpu_guarantee": size.cpu_request,
        "extra_resource_limits": dict(size.resources),
        "extra_resource_guarantees": dict(size.resources),
    }


def _person(lab: str, authorities: str) -> dict[str, Any]:
    home_folder = home_in_lab(lab)
    accounts = [f"{name}:x:{number}:{number}:{name}:{folder}:{shell}\n" for name, number, folder, shell in _ACCOUNTS]
    groups = [f"{'nogroup' if name == 'nobody' else name}:x:{number}:\n" for name, number, *_ in _ACCOUNTS]
    return {
        "extra_labels": {"app.kubernetes.io/part-of": "elabs"},
        "extra_annotations": {
            PASSWD: "".join([*accounts, f"{lab}:x:{LAB_ID}:{LAB_ID}:{lab}:{home_folder}:/bin/bash\n"]),
            GROUP: "".join([*groups, f"{lab}:x:{LAB_ID}:\n"]),
            **({AUTHORITIES: authorities} if authorities else {}),
            # a lab holds what no other pod can take over: whoever empties nodes leaves it until it is idle
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            "karpenter.sh/do-not-disrupt": "true",
        },
    }


def _volumes(config: Config, size: Size, lab: str, has_authorities: bool) -> dict[str, Any]:
    def memory(name: str, size_bytes: int) -> dict[str, Any]:
        return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": size_bytes}}

    volumes: list[dict[str, Any]] = [
        {"name": "home", "persistentVolumeClaim": {"claimName": claim_name(lab)}},
        memory("tmp", size.tmp),
        memory("shm", size.tmp),
        memory("run", _RUN_BYTES),
        {
            "name": "accounts",
            "downwardAPI": {
                "items": [
                    {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
                    for path, annotation in (("passwd", PASSWD), ("group", GROUP), *([("authorities", AUTHORITIES)] if has_authorities else []))
                ]
            },
        },
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "home", "mountPath": home_in_lab(lab)},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "run", "mountPath": "/run/lab"},
        {"name": "accounts", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
        {"name": "accounts", "mountPath": "/etc/group", "subPath": "group", "readOnly": True},
    ]
    if has_authorities:
        mounts.append({"name": "accounts", "mountPath": _AUTHORITIES_FILE, "subPath": "authorities", "readOnly": True})
    for name, claim in config.kubernetes.data.items():
        volumes.append({"name": f"data-{name}", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
        mounts.append({"name": f"data-{name}", "mountPath": f"/data/{name}", "readOnly": True})
    return {"volumes": volumes, "volume_mounts": mounts}


def _where(nodes: Nodes, release: Release) -> dict[str, Any]:
    together = {"labelSelector": {"matchLabels": {"component": COMPONENT}}, "topologyKey": "kubernetes.io/hostname"}
    return {
        "node_selector": dict(nodes.selector),
        "tolerations": tolerations(nodes),
        # beside other labs, so that nodes without any can be given back
        "pod_affinity_preferred": [{"weight": 100, "podAffinityTerm": together}],
        "priority_class_name": release.priority_class,
    }


def _walls() -> dict[str, Any]:
    """What Pod Security calls "restricted", and a root file system that nobody writes to."""
    seccomp = {"type": "RuntimeDefault"}
    return {
        "uid": LAB_ID,
        "gid": LAB_ID,
        "fs_gid": LAB_ID,
        "privileged": False,
        "allow_privilege_escalation": False,
        "automount_service_account_token": False,
        "container_security_context": {
            "runAsNonRoot": True,
            "runAsUser": LAB_ID,
            "runAsGroup": LAB_ID,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": seccomp,
        },
        # a home of many files is not walked through at each start to change the owner of each
        "pod_security_context": {
            "fsGroup": LAB_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "runAsNonRoot": True,
            "seccompProfile": seccomp,
        },
        "extra_pod_config": {"restartPolicy": "Never", "enableServiceLinks": False},
    }
