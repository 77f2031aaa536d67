"""`elabs home`: a person's home moved from one machine to a cluster and back, and the one command that ever deletes one.

A move is resumed by the same command; see `elabs.storage.transfer`. Where the home is, on this machine or in a cluster, is a Place of `elabs.cli.homes`.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from elabs.cli import instance
from elabs.cli.errors import Problem
from elabs.cli.homes import Place
from elabs.cli.homes.cluster import Cluster
from elabs.cli.homes.here import Here
from elabs.cli.options import Options, pass_options
from elabs.cli.output import progress, say
from elabs.config.load import load
from elabs.config.units import format_bytes
from elabs.storage.transfer import archive, exporting, importing
from elabs.storage.transfer.manifest import shown
from elabs.storage.transfer.outcome import Outcome

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FOLDER = click.argument("folder", type=click.Path(path_type=Path))


def _place_options(command: _Command) -> _Command:
    for option in (
        click.option("--context", metavar="CTX", help="Context of kubectl [the current one]."),
        click.option("--namespace", "-n", metavar="NS", help="Namespace of the release [the context's own]."),
        click.option("--cluster", is_flag=True, help="Homes in a cluster, through kubectl, instead of those of this machine."),
    ):
        command = option(command)
    return command


@click.group()
def home() -> None:
    """Move people's homes between machines and clusters, and delete them."""


@home.command("list")
@_place_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@pass_options
def list_(options: Options, as_json: bool, cluster: bool, namespace: str | None, context: str | None) -> None:
    """Homes: whose, how large, and whether a lab has it open."""
    with _place(options, "home list", cluster, namespace, context) as place:
        rows = place.rows()
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=1))
        return
    if not rows:
        click.echo("there are no homes")
        return
    width = max(len(row.home) for row in rows)
    for row in rows:
        used = "?" if row.used_bytes is None else format_bytes(row.used_bytes)
        quota = "?" if row.quota_bytes is None else format_bytes(row.quota_bytes)
        person = shown((row.person or "nobody known").encode("utf-8", "surrogateescape"))
        click.echo(f"{row.home:<{width}}  {used:>7} of {quota:<7}  {person}{f'  (open: {row.used_by})' if row.used_by else ''}")


@home.command("export")
@click.argument("name")
@_FOLDER
@click.option("--while-running", is_flag=True, help="Also while the lab runs; what changes meanwhile is named at the end, with exit status 1.")
@_place_options
@pass_options
def export(options: Options, name: str, folder: Path, while_running: bool, cluster: bool, namespace: str | None, context: str | None) -> None:
    """Copy the home of NAME into FOLDER, an archive of plain files that any tool can copy.

    Cut off at any point, the same command goes on where it was: what is in FOLDER and whole is not sent again. At the end all is read back.
    """
    with _place(options, "home export", cluster, namespace, context) as place:
        row = place.find(name)
        if row.used_by and not while_running:
            raise Problem(f"{row.used_by} of {name} runs; stop it first, or give --while-running")
        with exporting.Export(folder, row.home) as copy:
            with progress(f"Check {folder.name}") as report:
                copy.check(report)
            with place.reading(row.home) as wire, progress(f"Export {row.home}") as report:
                copy.receive(wire, report)
            with progress(f"Check {folder.name}") as report:
                outcome = copy.complete(report)
        started = place.used_by(row.home) if not row.used_by else None
    _notes("changed while it was read; run the command again", outcome.changed)
    _notes("could not be read", outcome.unreadable)
    if outcome.special:
        say(f"{outcome.special} sockets, pipes and devices have no content and were left out")
    if started:
        say(f"{started} was started meanwhile; run the command again")
    click.echo(f"{row.home}: {_sum(outcome)}, {format_bytes(outcome.sent_bytes)} of them copied now, in {folder}")
    if started or not outcome.complete:
        raise SystemExit(1)


@home.command("import")
@click.argument("name")
@_FOLDER
@click.option("--merge", is_flag=True, help="Into a home that holds something: add what it lacks, change nothing. What differs is named, with exit status 1.")
@_place_options
@pass_options
def import_(options: Options, name: str, folder: Path, merge: bool, cluster: bool, namespace: str | None, context: str | None) -> None:
    """Copy the archive in FOLDER into the home of NAME, made if there is none.

    Cut off at any point, the same command goes on where it was. Every file is read back from the disk before it gets its name.
    """
    found = archive.find(folder)
    with _place(options, "home import", cluster, namespace, context) as place:
        target = place.slug_of(name)
        _closed(place, target, name)
        with place.writing(name) as wire, progress(f"Import {target}") as report:
            outcome = importing.give(wire, found, report, merge=merge)
        started = place.used_by(target)
    _notes("is there already with other content, and was not touched", outcome.conflicts)
    if outcome.no_attributes:
        say(f"the disk did not take the extended attributes of {outcome.no_attributes} files and folders")
    if started:
        say(f"{started} was started meanwhile, before the home was whole")
    click.echo(f"{target}: {_sum(outcome)}, {format_bytes(outcome.sent_bytes)} of them copied now; {outcome.kept} files were there")
    if started or not outcome.complete:
        raise SystemExit(1)


@home.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_place_options
@pass_options
def delete(options: Options, name: str, yes: bool, cluster: bool, namespace: str | None, context: str | None) -> None:
    """Delete the home of NAME with all that is in it. Nothing else in elabs ever does."""
    with _place(options, "home delete", cluster, namespace, context) as place:
        row = place.find(name)
        _closed(place, row.home, name)
        size = format_bytes(row.used_bytes) if row.used_bytes is not None else "a volume of " + format_bytes(row.quota_bytes or 0)
        if not yes:
            say(f"This deletes the home {row.home} of {row.person or 'nobody known'}: {size}. It cannot be undone.")
            if click.prompt("Type its name to delete it", err=True) not in (row.home, row.person):
                raise Problem("that is not its name; nothing was deleted")
            _closed(place, row.home, name)
        said = place.delete(row)
    click.echo(f"{row.home}: deleted, {size}; {said}")


def _place(options: Options, command: str, cluster: bool, namespace: str | None, context: str | None) -> AbstractContextManager[Place]:
    if cluster:
        return Cluster(load(options.config), namespace, context)
    if namespace or context:
        raise Problem("--namespace and --context say which cluster; give --cluster too")
    instance.need_root(command)
    return Here(options)


def _closed(place: Place, home: str, name: str) -> None:
    """Problem where something has the home open."""
    if user := place.used_by(home):
        raise Problem(f"{user} of {name} runs; stop it first")


def _sum(outcome: Outcome) -> str:
    return f"{outcome.files} files, {format_bytes(outcome.bytes)}, {outcome.seconds:.1f} s"


def _notes(what: str, paths: list[str]) -> None:
    for path in paths:
        say(f"{what}: {shown(path.encode('utf-8', 'surrogateescape'))}")
