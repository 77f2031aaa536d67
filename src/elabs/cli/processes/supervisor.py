"""supervisord keeps the programs of `up` running: its configuration as a pure function, and the few things that are asked of it over its socket.

It has a session of its own, and where systemd runs a unit of its own, so that the end of the terminal or login that ran `up` ends nothing. Programs are
started by what we ask, never by themselves, since the proxy can listen only once the runtime has made its address.
"""

import contextlib
import os
import shlex
import subprocess
import time
import xmlrpc.client
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elabs.cli.errors import Problem
from elabs.cli.processes.programs import PATH, Program
from elabs.config.state import State

LOG_BYTES = 10 * 2**20
_START_SECONDS = 20.0
_STOP_SECONDS = 30


def configuration(state: State, programs: Iterable[Program]) -> str:
    """The whole configuration file."""
    return "\n".join(
        [
            "[supervisord]",
            f"logfile={_escape(state.logs / 'supervisord.log')}",
            f"logfile_maxbytes={LOG_BYTES}",
            "logfile_backups=1",
            f"pidfile={_escape(state.run / 'supervisor.pid')}",
            f"childlogdir={_escape(state.logs)}",
            "directory=/",
            "umask=022",
            "user=root",
            "",
            "[unix_http_server]",
            f"file={_escape(socket(state))}",
            "chmod=0700",
            "",
            "[supervisorctl]",
            f"serverurl=unix://{_escape(socket(state))}",
            "",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            "",
            *(line for program in programs for line in _section(state, program)),
        ]
    )


def _section(state: State, program: Program) -> list[str]:
    environment = ",".join(f'{name}="{_escape(value)}"' for name, value in sorted(program.environment.items()))
    # the runtime ends with 0 where it was told to end the labs, and then it shall not come back
    again = ["autorestart=unexpected", "exitcodes=0"] if program.name == "runtime" else ["autorestart=true"]
    return [
        f"[program:{program.name}]",
        f"command={_escape(shlex.join(program.command))}",
        f"environment={environment}",
        f"directory={_escape(program.folder)}",
        "autostart=false",
        *again,
        "startsecs=1",
        "startretries=100",
        f"stopwaitsecs={_STOP_SECONDS}",
        "redirect_stderr=true",
        f"stdout_logfile={_escape(log(state, program.name))}",
        f"stdout_logfile_maxbytes={LOG_BYTES}",
        "stdout_logfile_backups=3",
        "",
    ]


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def socket(state: State) -> Path:
    """Where supervisord listens; root only."""
    return state.run / "supervisor.sock"


def log(state: State, name: str) -> Path:
    """What a program wrote."""
    return state.logs / f"{name}.log"


class Supervisor:
    """A running supervisord. Every call raises OSError where it is gone."""

    def __init__(self, state: State) -> None:
        from supervisor.xmlrpc import SupervisorTransport

        self._server: Any = xmlrpc.client.ServerProxy("http://supervisor", transport=SupervisorTransport("", "", f"unix://{socket(state)}")).supervisor

    def programs(self) -> list[dict[str, Any]]:
        """What supervisord knows of each program: `name`, `statename`, `start` (seconds since the epoch of its last start), and more."""
        found: list[dict[str, Any]] = self._server.getAllProcessInfo()
        return found

    def states(self) -> dict[str, str]:
        """Each program's state: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL."""
        return {info["name"]: info["statename"] for info in self.programs()}

    def start(self, *names: str) -> None:
        """Ask for the start of programs, and do not wait."""
        for name in names:
            self._server.startProcess(name, False)

    def stop(self, *names: str) -> None:
        """End programs, all at once, and wait until they are gone."""
        for name in names:
            with contextlib.suppress(xmlrpc.client.Fault):  # it does not run
                self._server.stopProcess(name, False)
        end = time.monotonic() + _STOP_SECONDS + 5
        while time.monotonic() < end:
            states = self.states()
            if all(states.get(name) in ("STOPPED", "EXITED", "FATAL") for name in names):
                return
            time.sleep(0.05)
        raise Problem(f"{' and '.join(names)} did not end within {_STOP_SECONDS} s")

    def signal(self, name: str, what: str) -> None:
        """Send a signal: `USR1`."""
        self._server.signalProcess(name, what)

    def shutdown(self) -> None:
        """End all programs and supervisord, and wait until it is gone."""
        pid = self._server.getPID()
        self._server.shutdown()
        end = time.monotonic() + _STOP_SECONDS + 10
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() > end:
                raise Problem(f"supervisord (process {pid}) did not end within {_STOP_SECONDS + 10} s")
            time.sleep(0.05)


def running(state: State) -> Supervisor | None:
    """The supervisord of this state folder, where one runs."""
    if not socket(state).exists():
        return None
    supervisor = Supervisor(state)
    try:
        supervisor.states()
    except (OSError, xmlrpc.client.Error):
        return None
    return supervisor


def launch(state: State, python: Path, unit: str) -> Supervisor:
    """Start supervisord with the configuration in `<state>/run`; nothing that it keeps runs yet. Problem where it does not come up."""
    command = [str(python), "-m", "supervisor.supervisord", "--configuration", str(state.run / "supervisor.conf")]
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}
    if Path("/run/systemd/system").is_dir():
        variables = [f"--setenv={name}={value}" for name, value in environment.items()]
        options = ["--quiet", "--collect", f"--unit={unit}", "--slice=elabs.slice", "--property=KillMode=mixed", *variables]
        command = ["systemd-run", *options, "--", *command, "--nodaemon"]
    done = subprocess.run(command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True)
    end = time.monotonic() + _START_SECONDS
    while done.returncode == 0 and time.monotonic() < end:
        found = running(state)
        if found:
            return found
        time.sleep(0.05)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and not line.startswith("For help")]
    raise Problem(f"supervisord did not start: {said[-1] if said else 'it does not answer'} (see {state.logs / 'supervisord.log'})")


def last_line(state: State, name: str) -> str:
    """The last thing that a program wrote, for a message about why it ended."""
    try:
        with log(state, name).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].strip() if lines else "it said nothing"
