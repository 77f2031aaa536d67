"""`elabs up`: prepare, start, and say so only once a person could log in.

The programs belong to supervisord, not to this process: in the foreground it merely waits, and Ctrl-C (or the end of the terminal) stops hub and proxy while
labs and their runtime go on.
"""

import signal
import time
from collections.abc import Callable
from types import FrameType

import click

from elabs.cli import address, daemon, instance
from elabs.cli.down import stop
from elabs.cli.errors import Problem
from elabs.cli.options import Options, pass_options
from elabs.cli.output import say
from elabs.cli.prepare import Prepared, prepare, settings
from elabs.cli.processes import supervisor, units
from elabs.cli.setup.folders import write_shared
from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage import pool

_READY_SECONDS = 90.0
_LOOK_SECONDS = 0.5
_FAILURES = 3
"""Failed starts of a program after which waiting for it makes no sense."""


@click.command()
@click.option("--yes", "-y", is_flag=True, help="Install missing Debian packages without a question.")
@click.option("--detach", is_flag=True, help="Return once a login works, and leave everything running.")
@click.option("--stop-labs", is_flag=True, help="In the foreground: let Ctrl-C stop the labs too.")
@pass_options
def up(options: Options, yes: bool, detach: bool, stop_labs: bool) -> None:
    """Start everything, and install what is missing the first time."""
    del yes  # the question comes before Python runs
    instance.need_root("up")
    state = options.state
    config = settings(options)
    if _is_running(state, config):
        return
    numbers = instance.of(state)
    if numbers and units.active(numbers):
        raise Problem(f"this instance runs as systemd services, and no login works: see systemctl status {' '.join(units.names(numbers))}")
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    with instance.alone(state):
        prepared = prepare(state, config)
        running = _start(prepared)
    shown = address.url(config)
    click.echo(f"elabs is ready: {shown}")
    if config.login.method == "demo":
        click.echo("Demo accounts: `elabs demo` shows them (root; the passwords are in " + str(state.demo_accounts) + ")")
    if not detach:
        _stay(prepared, running, stop_labs)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _is_running(state: State, config: Config) -> bool:
    """Whether a healthy instance is there already; says so. One that is not whole is started anew."""
    if not daemon.answers(state):
        return False
    now = instance.in_force(state)
    if now is None or not address.login_answers(now):
        return False
    changed = "" if now == config else "; elabs.yaml has changed since: run elabs down --keep-labs, then elabs up, to use it"
    click.echo(f"elabs is already running: {address.url(now)}{changed}")
    return True


def _start(prepared: Prepared) -> supervisor.Supervisor:
    state = prepared.state
    old = supervisor.running(state)
    if old:
        old.shutdown()
    write_shared(state.run / "supervisor.conf", supervisor.configuration(state, prepared.programs(with_parent=True)))
    running = supervisor.launch(state, prepared.python, f"elabs-{prepared.instance.number}-up")
    try:
        # the hub is busy with itself for longer than the runtime takes to make the address it listens on; where it is too early after all, it starts again
        running.start("runtime", "hub")
        _wait(prepared, running, "runtime", lambda: daemon.answers(state))
        running.start("proxy")
        _wait(prepared, running, "hub", lambda: address.login_answers(prepared.config))
    except BaseException:
        _undo(prepared, running)
        raise
    return running


def _undo(prepared: Prepared, running: supervisor.Supervisor) -> None:
    """After a start that failed: end what was started, and leave network and homes only to labs that ran before."""
    if _labs(prepared.state):
        running.shutdown()
    elif daemon.answers(prepared.state):
        stop(prepared.state, prepared.config, prepared.instance, keep_labs=False)
    else:
        running.shutdown()
        pool.close(prepared.state)


def _wait(prepared: Prepared, running: supervisor.Supervisor, name: str, ready: Callable[[], bool]) -> None:
    """Until it is ready; Problem with what the program said where it does not start, or takes too long."""
    end = time.monotonic() + _READY_SECONDS
    failed: set[int] = set()
    look = 0.0
    while not ready():
        # often asked, supervisord takes time that the programs need to start
        for info in running.programs() if time.monotonic() > look else ():
            look = time.monotonic() + _LOOK_SECONDS
            if info["statename"] in ("BACKOFF", "FATAL", "EXITED"):
                failed.add(info["start"])
                # the runtime looks at the machine and says no; hub and proxy may have been too early for each other
                if info["name"] == "runtime" or len(failed) >= _FAILURES:
                    raise _silent(prepared, info["name"], "does not start")
        if time.monotonic() > end:
            raise _silent(prepared, name, f"is not ready after {_READY_SECONDS:.0f} s")
        time.sleep(0.05)


def _silent(prepared: Prepared, name: str, what: str) -> Problem:
    return Problem(f"{name} {what}: {supervisor.last_line(prepared.state, name)} (see {supervisor.log(prepared.state, name)})")


def _stay(prepared: Prepared, running: supervisor.Supervisor, stop_labs: bool) -> None:
    say("Ctrl-C stops it; labs that run then go on" if not stop_labs else "Ctrl-C stops it, labs included")
    try:
        while supervisor.running(prepared.state):
            time.sleep(2)
        return
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    say("")
    with instance.alone(prepared.state):
        labs = _labs(prepared.state)
        if labs and not stop_labs:
            running.stop("hub", "proxy")
            say(f"stopped; {labs} lab{'s' if labs > 1 else ''} and their runtime keep running (elabs up to come back, elabs down to end them)")
        else:
            stop(prepared.state, prepared.config, prepared.instance, keep_labs=False)
            say("stopped")


def _labs(state: State) -> int:
    try:
        return int(daemon.ask(state, "ping")["labs"])
    except OSError:
        return 0
