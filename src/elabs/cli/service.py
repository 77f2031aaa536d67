"""`elabs service`: the same three programs as `elabs up`, kept running by systemd from boot on."""

import subprocess
import time
from pathlib import Path

import click

from elabs.cli import address, daemon, instance
from elabs.cli.down import stop
from elabs.cli.errors import Problem
from elabs.cli.options import Options, pass_options
from elabs.cli.output import say
from elabs.cli.prepare import Prepared, prepare, settings
from elabs.cli.processes import supervisor, units
from elabs.cli.setup.folders import write_shared

_READY_SECONDS = 120.0


@click.group()
def service() -> None:
    """Run as systemd services, from boot on."""


@service.command()
@click.option("--yes", "-y", is_flag=True, help="Install missing Debian packages without a question.")
@click.option("--dry-run", is_flag=True, help="Print the units, change nothing in systemd.")
@click.option("--target", type=click.Path(path_type=Path, file_okay=False), help="Write the units to this folder, change nothing in systemd.")
@pass_options
def install(options: Options, yes: bool, dry_run: bool, target: Path | None) -> None:
    """Prepare everything as `elabs up` does, write the units, start them, and wait until a login works."""
    del yes  # the question comes before Python runs
    instance.need_root("service install")
    state = options.state
    if not dry_run and target is None and not units.systemd():
        raise Problem("this machine is not run by systemd; use elabs up --detach, or see the units with --dry-run")
    config = settings(options)
    with instance.alone(state):
        if not dry_run and target is None and supervisor.running(state):
            raise Problem("elabs up runs this instance; end that with elabs down --keep-labs first")
        prepared = prepare(state, config)
        texts = units.files(state, prepared.instance, prepared.programs(with_parent=False))
        if dry_run:
            for name, text in texts.items():
                click.echo(f"# {name}\n{text}")
            return
        folder = target or units.FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_shared(folder / name, text)
        if target is None:
            _systemctl("daemon-reload")
            _systemctl("enable", "--quiet", *texts)
            _systemctl("restart", *texts)
            _wait(prepared)
    click.echo(f"elabs is ready: {address.url(config)}" if target is None else f"units written to {folder}")


@service.command()
@click.option("--keep-labs", is_flag=True, help="Leave labs running.")
@pass_options
def remove(options: Options, keep_labs: bool) -> None:
    """Stop the services and take their units away. Homes stay."""
    instance.need_root("service remove")
    state = options.state
    config, numbers = instance.in_force(state), instance.of(state)
    if config is None or numbers is None:
        raise Problem(f"{state.root} holds no instance")
    there = [name for name in units.names(numbers) if (units.FOLDER / name).exists()]
    with instance.alone(state):
        if there:
            _systemctl("disable", "--quiet", "--now", *reversed(there))
            for name in there:
                (units.FOLDER / name).unlink()
            _systemctl("daemon-reload")
        stop(state, config, numbers, keep_labs=keep_labs)
    say("services removed" if there else "there were no services")


def _systemctl(*arguments: str) -> None:
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()
        raise Problem(f"systemctl {' '.join(arguments[:2])}: {said[-1]}")


def _wait(prepared: Prepared) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not (daemon.answers(prepared.state) and address.login_answers(prepared.config)):
        if time.monotonic() > end:
            raise Problem(f"no login works after {_READY_SECONDS:.0f} s; see: journalctl -u 'elabs-{prepared.instance.number}-*'")
        time.sleep(0.2)
