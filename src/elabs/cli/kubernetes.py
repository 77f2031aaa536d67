"""`elabs kubernetes`: what an operator gives a cluster beside the chart. Printed for `kubectl apply`; nothing here talks to a cluster."""

import io

import click
from ruamel.yaml import YAML

from elabs.cli.errors import Problem
from elabs.cli.options import Options, pass_options
from elabs.config.load import load
from elabs.runtime.kubernetes import ceph
from elabs.runtime.kubernetes.ceph import Kind, Pools


@click.group()
def kubernetes() -> None:
    """Print what a cluster needs beside the chart."""


@kubernetes.command()
@click.option(
    "--kind", type=click.Choice(["cephfs", "rbd"]), default="cephfs", show_default=True, help="A shared file system, or a block device for each home."
)
@click.option("--rook", metavar="NAMESPACE", help="Ceph through Rook: the namespace of its CephCluster.")
@click.option("--rook-operator", metavar="NAMESPACE", help="Namespace of Rook's operator, where it is another.")
@click.option("--ceph-csi", metavar="CLUSTERID", help="Ceph through ceph-csi alone: the id that its configuration gives the Ceph cluster.")
@click.option("--secrets", metavar="NAMESPACE", help="With --ceph-csi: namespace of its secrets csi-cephfs-secret or csi-rbd-secret [ceph-csi].")
@click.option("--file-system", metavar="NAME", help="Name of the CephFS.")
@click.option("--pool", metavar="NAME", help="Pool of RBD; with CephFS, the data pool, where it is not the first.")
@click.option("--without-snapshots", is_flag=True, help="No class of snapshots, for a cluster that does not know them.")
@pass_options
def storage(
    options: Options,
    kind: Kind,
    rook: str | None,
    rook_operator: str | None,
    ceph_csi: str | None,
    secrets: str | None,
    file_system: str | None,
    pool: str | None,
    without_snapshots: bool,
) -> None:
    """Print the storage class for homes on Ceph, for `kubectl apply -f -`, with the settings that go with it.

    Its name is kubernetes.storage_class of elabs.yaml, or elabs-homes. A removed claim leaves its volume, and raising storage.home.size lets homes grow.
    """
    if bool(rook) == bool(ceph_csi):
        raise Problem("say how the cluster reaches Ceph: --rook NAMESPACE or --ceph-csi CLUSTERID")
    if rook_operator and not rook:
        raise Problem("--rook-operator goes with --rook")
    if secrets and not ceph_csi:
        raise Problem("--secrets goes with --ceph-csi; Rook keeps them in the namespace of its CephCluster")
    config = load(options.config)
    driver = ceph.rook(kind, rook, rook_operator) if rook else ceph.ceph_csi(kind, ceph_csi or "", secrets or "ceph-csi")
    classes = ceph.classes(config, kind, driver, Pools(file_system, pool))
    comment = "".join(f"#   {line}\n" for line in _yaml(ceph.settings(config, kind)).splitlines())
    click.echo(f"# Homes on {'CephFS' if kind == 'cephfs' else 'RBD'}; docs/ceph.md. In elabs.yaml:\n#\n{comment}", nl=False)
    for manifest in classes[: 1 if without_snapshots else None]:
        click.echo(f"---\n{_yaml(manifest)}", nl=False)


def _yaml(value: object) -> str:
    writer, text = YAML(), io.StringIO()
    writer.width = 160
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.dump(value, text)
    return text.getvalue()
