"""`elabs config`: is the file right, what is in force and why, and the schema for editors. Needs no root and no running instance."""

import json
import shlex
import sys
from pathlib import Path

import click

from elabs.cli.options import Options, pass_options
from elabs.config import explain
from elabs.config.cluster import lacks, secret_keys
from elabs.config.document import Where, dotted
from elabs.config.load import ConfigError, Loaded, read
from elabs.config.schema import schema

FILE = click.argument("file", type=click.Path(path_type=Path), required=False)


@click.group()
def config() -> None:
    """Check, show and document elabs.yaml."""


@config.command()
@FILE
@click.option("--for", "runtime", type=click.Choice(["local", "kubernetes"]), default="local", show_default=True, help="Where it is to run.")
@pass_options
def check(options: Options, file: Path | None, runtime: str) -> None:
    """Say whether FILE (elabs.yaml, or that of --config) is right: every mistake with its line, and exit status 2.

    For kubernetes also what a cluster lacks, and how to make the secret with the files that the settings name.
    """
    loaded = _read(file or options.config)
    if runtime == "kubernetes":
        missing = [f"{_place(loaded, where)}{dotted(where)}: {text}" for where, text in lacks(loaded.config)]
        for line in missing:
            click.echo(line, err=True)
        if missing:
            sys.exit(2)
    click.echo(f"{loaded.name}: fine" if loaded.name else "there is no elabs.yaml; the defaults are fine")
    if runtime == "kubernetes" and (keys := secret_keys(loaded.config)):
        made = " ".join(f"--from-file={shlex.quote(f'{key}={path}')}" for key, path in keys.items())
        click.echo(f"its files:\n  kubectl create secret generic {loaded.config.kubernetes.files} {made}")


def _place(loaded: Loaded, where: Where) -> str:
    line = loaded.document.line(where)
    return f"{loaded.name}{f':{line}' if line else ''}: " if loaded.name else ""


@config.command()
@FILE
@click.option("--json", "as_json", is_flag=True, help="For programs: value and source by setting.")
@pass_options
def show(options: Options, file: Path | None, as_json: bool) -> None:
    """Show every setting in force, as the file would be written, and where it came from: a line, or the default."""
    settings = explain.explain(_read(file or options.config))
    if as_json:
        click.echo(explain.as_json(settings))
        return
    lines = list(explain.as_yaml(settings))
    width = min(60, max(len(line) for line, source in lines if source))
    for line, source in lines:
        if source:
            mark = click.style(f"# {source}", dim=source == explain.DEFAULT, fg=None if source == explain.DEFAULT else "green")
            click.echo(f"{line:<{width}}  {mark}")
        else:
            click.echo(line)


@config.command("schema")
def schema_() -> None:
    """Print the JSON schema of elabs.yaml (2020-12), for editors."""
    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def _read(path: Path | None) -> Loaded:
    """The settings; where they are wrong, every mistake on a line of its own and exit status 2."""
    try:
        return read(path)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(2)
