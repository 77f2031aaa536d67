"""`elabs image`: build the images that labs start from, and list those that are there."""

import json
from typing import Any

import click

from elabs.cli import instance
from elabs.cli.options import Options, pass_options
from elabs.cli.output import progress
from elabs.config.load import load
from elabs.config.units import format_bytes
from elabs.runtime import images
from elabs.runtime.images import definition


@click.group()
def image() -> None:
    """Build and list the images that labs start from."""


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
