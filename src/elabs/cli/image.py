"""`elabs image`: build images, list those that are there, and write them as files for a cluster."""

import json
import shlex
from pathlib import Path
from typing import Any

import click

from elabs.cli import instance
from elabs.cli.options import Options, pass_options
from elabs.cli.output import progress
from elabs.config.load import load
from elabs.config.units import format_bytes
from elabs.runtime import images
from elabs.runtime.images import definition, oci


@click.group()
def image() -> None:
    """Build and list images, and write them for a cluster."""


@image.command()
@click.argument("name", required=False)
@pass_options
def build(options: Options, name: str | None) -> None:
    """Build the image NAME as it is defined now (root); without a name, the one that elabs.yaml asks for.

    A build that was cut short goes on where it was. Labs that run keep the image they started from.
    """
    wanted = name or load(options.config).image
    definition.load(wanted)
    instance.need_root("image build")
    with progress(f"Image {wanted}") as report:
        built = images.build(options.state, wanted, report)
    click.echo(f"{built.name} {built.key}: {format_bytes(built.size_bytes)} in {built.rootfs.parent}")


@image.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@pass_options
def list_(options: Options, as_json: bool) -> None:
    """Images that are built or defined, and what they hold."""
    rows = [_row(options, built) for built in images.every(options.state)]
    missing = [name for name in images.names() if name not in {row["name"] for row in rows}]
    rows += [{"name": name, "key": definition.load(name).key, "state": "not built", "summary": definition.load(name).summary} for name in missing]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        size = format_bytes(row["size_bytes"]) if "size_bytes" in row else ""
        holds = ", ".join(f"{name} {version}" for name, version in row["versions"].items()) if "versions" in row else row["summary"]
        click.echo(f"{row['name']:<12} {row['key']:<14} {row['state']:<10} {size:>6}  {holds}")


@image.command("oci")
@click.argument("name")
@click.option("--output", type=click.Path(path_type=Path), help="The file to write [NAME-KEY.oci.tar in this folder].")
@click.option(
    "--tag", metavar="REF", help="What the image is to be called [as kubernetes.images in elabs.yaml has it: elabs/hub:VERSION, elabs/lab-NAME:VERSION]."
)
@click.option("--plain", is_flag=True, help="Do not compress: more than twice the size, but sooner written, and sooner loaded on the same machine.")
@pass_options
def oci_(options: Options, name: str, output: Path | None, tag: str | None, plain: bool) -> None:
    """Write the image NAME with elabs in it as an OCI archive, for a cluster; builds it first if need be (root).

    The archive needs no container tool. It is there whole or not at all.
    """
    wanted = definition.load(name)
    images_there = load(options.config).kubernetes.images
    reference = tag or (images_there.lab(name) if wanted.lab else images_there.hub)
    target = output or Path(f"{name}-{wanted.key}.oci.tar")
    oci.check(target, reference)
    instance.need_root("image oci")
    with progress(f"Image {name}") as report:
        images.build(options.state, name, report)
    with progress(f"Archive {name}") as report:
        oci.archive(options.state, name, target, reference, report, compressed=not plain)
    file = shlex.quote(str(target))
    click.echo(f"{target}: {format_bytes(target.stat().st_size)}, {reference}")
    click.echo(f"into a registry:     skopeo copy oci-archive:{file} docker://{reference}")
    click.echo(f"into one node alone: ctr -n k8s.io images import {file}")


def _row(options: Options, built: images.Image) -> dict[str, Any]:
    current = images.find(options.state, built.name)
    if current is None or current.key != built.key:
        state = "replaced"
    elif built.name in images.names() and definition.load(built.name).key != built.key:
        state = "outdated"
    else:
        state = "current"
    return {
        "name": built.name,
        "key": built.key,
        "state": state,
        "size_bytes": built.size_bytes,
        "built": built.built,
        "apps": list(built.apps),
        "versions": built.versions,
    }
