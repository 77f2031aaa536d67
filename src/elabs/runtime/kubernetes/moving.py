"""The pod through which a home is moved, and the claim of a home that is not there yet, as plain values. It runs the hub's image, walled in as a lab."""

from typing import Any

from elabs.config.model import Config
from elabs.runtime.kubernetes import labs
from elabs.storage.ids import LAB_ID

COMPONENT = "move"
"""Label `component` of the pod, by which it is no lab. Nothing listens in it."""
PERSON = "hub.jupyter.org/username"
"""Annotation of a claim with whose home it is, as KubeSpawner writes it."""
FOLDER = "/mnt/home"
"""Where the home is in the pod."""
AGENT = ("python3", "-s", "-P", "-m", "elabs.storage.transfer.agent")
_MEMORY, _MEMORY_LIMIT = 2**27, 2**30


def pod_name(lab: str) -> str:
    """Name of the pod that moves the home of a lab."""
    return f"move-{lab}"


def claim(config: Config, lab: str, person: str) -> dict[str, Any]:
    """The claim of the home of `lab`, the person's slug, as their first start would make it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": labs.claim_name(lab),
            "labels": {"app.kubernetes.io/part-of": "elabs", "component": "singleuser-storage"},
            "annotations": {PERSON: person},
        },
        "spec": {
            "accessModes": [config.kubernetes.access_mode],
            "resources": {"requests": {"storage": str(config.storage.home.size)}},
            **({"storageClassName": config.kubernetes.storage_class} if config.kubernetes.storage_class else {}),
        },
    }


def pod(config: Config, lab: str, node: str | None = None) -> dict[str, Any]:
    """The pod with the home of `lab` in it. `node` is where a lab runs that has the volume already, since not every volume can be on two."""
    anywhere = [toleration for profile in config.profiles.values() for toleration in labs.tolerations(profile.nodes)]
    anywhere += labs.tolerations(config.kubernetes.hub.nodes)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(lab),
            "labels": {"app.kubernetes.io/part-of": "elabs", "component": COMPONENT},
            "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "imagePullSecrets": [{"name": name} for name in config.kubernetes.images.pull_secrets],
            "tolerations": [toleration for number, toleration in enumerate(anywhere) if toleration not in anywhere[:number]],
            **({"nodeName": node} if node else {}),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": LAB_ID,
                "runAsGroup": LAB_ID,
                "fsGroup": LAB_ID,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": labs.claim_name(lab)}}],
            "containers": [
                {
                    "name": COMPONENT,
                    "image": config.kubernetes.images.hub,
                    "imagePullPolicy": "IfNotPresent",
                    "args": [*AGENT, "keep"],
                    "workingDir": "/",
                    "volumeMounts": [{"name": "home", "mountPath": FOLDER}],
                    "resources": {"requests": {"memory": _MEMORY, "cpu": 0.1}, "limits": {"memory": _MEMORY_LIMIT, "cpu": 2}},
                    "securityContext": {
                        "runAsNonRoot": True,
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                }
            ],
        },
    }
