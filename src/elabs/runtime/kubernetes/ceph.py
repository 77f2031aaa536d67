"""Homes on Ceph: the storage class, and the class of snapshots, that fit the settings, for ceph-csi as Rook sets it up and for ceph-csi alone.

Nothing here asks a cluster: what Ceph is called there is said by whoever asks. docs/ceph.md says why each line is as it is.
"""

from dataclasses import dataclass
from typing import Any, Literal

from elabs.config.model import Config

CLASS_NAME = "elabs-homes"
"""Name of the classes where `kubernetes.storage_class` gives none."""
_PREFIX = "csi.storage.k8s.io"


class CephError(ValueError):
    """What is asked for does not go together; `str()` is one line."""


@dataclass(frozen=True)
class Driver:
    """ceph-csi as a cluster has it: its name there, and where its keys are."""

    prefix: str
    """Before the driver's own name: with Rook the operator's namespace and a dot, else nothing."""
    cluster_id: str
    """Which Ceph: with Rook the namespace of the CephCluster, else an id of ceph-csi's own configuration."""
    namespace: str
    """Namespace of the secrets with Ceph's keys."""
    secrets: tuple[str, str]
    """Names of those that make volumes and that mount them."""


@dataclass(frozen=True)
class Pools:
    """Where in Ceph the homes are."""

    file_system: str | None = None
    """Name of the CephFS."""
    pool: str | None = None
    """Pool of the images of RBD; for CephFS, the data pool, where it is not to be the first."""


Kind = Literal["cephfs", "rbd"]


def rook(kind: Kind, cluster: str, operator: str | None = None) -> Driver:
    """The driver of a Rook whose CephCluster is in the namespace `cluster`, and its operator in `operator` where that is another."""
    return Driver(f"{operator or cluster}.", cluster, cluster, (f"rook-csi-{kind}-provisioner", f"rook-csi-{kind}-node"))


def ceph_csi(kind: Kind, cluster_id: str, namespace: str) -> Driver:
    """The driver alone, with its secrets named as ceph-csi's own examples name them."""
    secret = f"csi-{kind}-secret"
    return Driver("", cluster_id, namespace, (secret, secret))


def classes(config: Config, kind: Kind, driver: Driver, pools: Pools) -> list[dict[str, Any]]:
    """StorageClass and VolumeSnapshotClass for homes as the settings want them. CephError where these do not go together."""
    if kind == "rbd" and config.kubernetes.access_mode == "ReadWriteMany":
        raise CephError("kubernetes.access_mode is ReadWriteMany, but a file system on RBD is mounted by one node at a time; use CephFS, or ReadWriteOnce")
    provisioner, node = driver.secrets
    secrets = {"provisioner": provisioner, "controller-expand": provisioner, "controller-publish": provisioner, "node-stage": node}
    name = config.kubernetes.storage_class or CLASS_NAME
    storage = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": _metadata(name),
        "provisioner": f"{driver.prefix}{kind}.csi.ceph.com",
        "parameters": {"clusterID": driver.cluster_id, **_parameters(kind, pools), **_secrets(secrets, driver)},
        # a claim deleted by mistake, or with its namespace, takes nobody's work with it
        "reclaimPolicy": "Retain",
        "allowVolumeExpansion": True,
        # Ceph is reached from every node, so a home need not wait for its first lab to know where it is to be
        "volumeBindingMode": "Immediate",
        "mountOptions": _mount_options(kind),
    }
    snapshots = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": _metadata(name),
        "driver": f"{driver.prefix}{kind}.csi.ceph.com",
        "parameters": {"clusterID": driver.cluster_id, **_secrets({"snapshotter": provisioner}, driver)},
        "deletionPolicy": "Delete",
    }
    return [storage, snapshots]


def settings(config: Config, kind: Kind) -> dict[str, Any]:
    """What `elabs.yaml` says to use the class."""
    access_mode = "ReadWriteMany" if kind == "cephfs" else "ReadWriteOnce"
    written = config.model_dump(mode="json")["storage"]["home"]["size"]
    return {
        "storage": {"home": {"size": written}},
        "kubernetes": {"storage_class": config.kubernetes.storage_class or CLASS_NAME, "access_mode": access_mode},
    }


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "labels": {"app.kubernetes.io/part-of": "elabs"}}


def _parameters(kind: Kind, pools: Pools) -> dict[str, str]:
    if kind == "cephfs":
        if not pools.file_system:
            raise CephError("CephFS needs the name of its file system (--file-system); ceph fs ls shows it")
        # never the driver's own ceph-fuse, which ends, and all mounts with it, when the driver is restarted
        return {"fsName": pools.file_system, **({"pool": pools.pool} if pools.pool else {}), "mounter": "kernel"}
    if not pools.pool:
        raise CephError("RBD needs the name of its pool (--pool); ceph osd pool ls shows it")
    if pools.file_system:
        raise CephError("RBD has no file system of its own (--file-system); that is CephFS")
    # what every kernel can map; a file system that holds one home needs no more
    return {"pool": pools.pool, "imageFeatures": "layering", f"{_PREFIX}/fstype": "ext4"}


def _mount_options(kind: Kind) -> list[str]:
    """No devices and no other's rights in a home; on RBD, what is deleted goes back to the pool, and reading writes nothing."""
    return ["nodev", "nosuid"] if kind == "cephfs" else ["nodev", "nosuid", "noatime", "discard"]


def _secrets(names: dict[str, str], driver: Driver) -> dict[str, str]:
    found = {}
    for what, name in names.items():
        found[f"{_PREFIX}/{what}-secret-name"] = name
        found[f"{_PREFIX}/{what}-secret-namespace"] = driver.namespace
    return found
