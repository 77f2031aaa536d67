"""`elabs down`: the reverse of `up`. The labs' runtime ends its labs and takes its network away; then the homes are unmounted. Files stay."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from elabs.cli import daemon, instance
from elabs.cli.errors import Problem
from elabs.cli.options import Options, pass_options
from elabs.cli.output import say
from elabs.cli.processes import programs, supervisor, units
from elabs.cli.setup import code
from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage import pool
from elabs.storage.ids import Instance

_SECONDS = 60.0


@click.command()
@click.option("--keep-labs", is_flag=True, help="Leave labs running; the next `elabs up` finds them again.")
@pass_options
def down(options: Options, keep_labs: bool) -> None:
    """Stop proxy, hub, labs and their runtime. Homes stay."""
    instance.need_root("down")
    state = options.state
    settings, numbers = instance.in_force(state), instance.of(state)
    if settings is None or numbers is None:
        say(f"nothing runs here: {state.root} holds no instance")
        return
    if units.active(numbers):
        raise Problem(f"this instance runs as systemd services; stop them with: systemctl stop {' '.join(units.names(numbers))}")
    with instance.alone(state):
        stop(state, settings, numbers, keep_labs=keep_labs)
    say("stopped; labs keep running" if keep_labs else "stopped")


def stop(state: State, settings: Config, numbers: Instance, *, keep_labs: bool) -> None:
    """End all programs, and the labs too unless they are to be kept. Nothing running is no error."""
    running = supervisor.running(state)
    if running:
        running.stop("hub", "proxy")
    if not keep_labs:
        if running and running.states().get("runtime") == "RUNNING":
            _end_labs(state, lambda: running.signal("runtime", "USR1"), lambda: running.states().get("runtime") == "EXITED")
        else:
            _end_labs_alone(state, settings, numbers)
    if running:
        running.shutdown()
    if not keep_labs:
        pool.close(state)


def _end_labs_alone(state: State, settings: Config, numbers: Instance) -> None:
    """No daemon is there to end labs that may still run (a crash, a Ctrl-C before): start one for it."""
    if not (state.run / "labs").is_dir() and not Path(f"/sys/class/net/elab{numbers.number}").exists():
        return
    program = next(
        each for each in programs.programs(state, settings, numbers, Path(sys.executable), code.ensure(state), with_parent=True) if each.name == "runtime"
    )
    with supervisor.log(state, "runtime").open("ab") as output:
        process = subprocess.Popen(program.command, env=program.environment, cwd=program.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    end = time.monotonic() + _SECONDS
    while not daemon.answers(state):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise Problem(f"the labs' runtime did not start, so labs may still run: {supervisor.last_line(state, 'runtime')}")
        time.sleep(0.1)
    _end_labs(state, lambda: process.send_signal(signal.SIGUSR1), lambda: process.poll() is not None)


def _end_labs(state: State, ask: Callable[[], None], ended: Callable[[], bool]) -> None:
    ask()
    end = time.monotonic() + _SECONDS
    while not ended():
        if time.monotonic() > end:
            raise Problem(f"the labs did not end within {_SECONDS:.0f} s; {supervisor.log(state, 'runtime')} says more")
        time.sleep(0.05)
