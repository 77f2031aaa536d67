"""kubectl, as a program: what it prints, and a process in a pod with a wire to it. Whoever may use a cluster has it set up already, and logged in."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elabs.cli.errors import Problem
from elabs.storage.transfer.wire import Wire, WireClosed

_ASK_SECONDS = 60
_SILENCE_SECONDS = 300.0
"""After waiting so long for one frame, the cluster counts as gone: an agent that works says so every other second."""


class Kubectl:
    """kubectl for one namespace; None leaves namespace or context to kubectl's own settings."""

    def __init__(self, namespace: str | None, context: str | None) -> None:
        program = os.environ.get("ELABS_KUBECTL") or shutil.which("kubectl")
        if program is None:
            raise Problem("kubectl is not on PATH; install it, or name it with ELABS_KUBECTL")
        self._command = [program]
        if context:
            self._command.append(f"--context={context}")
        if namespace:
            self._command.append(f"--namespace={namespace}")

    def run(self, *arguments: str, stdin: str | None = None, seconds: int = _ASK_SECONDS) -> str:
        """What kubectl prints. Problem with its last line where it fails, or does not answer."""
        command = [*self._command, f"--request-timeout={seconds}s", *arguments]
        try:
            # in a session of its own: Ctrl-C is ours, and what it made has to be cleared away
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds + 10, check=False, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            raise Problem(f"the cluster did not answer kubectl {arguments[0]} within {seconds} s") from None
        if done.returncode:
            raise Problem(f"kubectl {arguments[0]}: {_last(done.stderr)}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """An object or a list of them, as kubectl gets it; empty where it is not there."""
        said = self.run("get", *arguments, "--ignore-not-found", "--output=json")
        found: dict[str, Any] = json.loads(said) if said.strip() else {}
        return found

    @contextmanager
    def process(self, pod: str, command: list[str]) -> Iterator[Wire]:
        """A process in a pod, with the wire to it. Problem where the connection ends early, with what kubectl says of it."""
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [*self._command, "exec", "--stdin", pod, "--", *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, bufsize=0, start_new_session=True,
            )  # fmt: skip
            assert process.stdin and process.stdout
            wire = Wire(os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno()))
            process.stdin.close()
            process.stdout.close()
            silent = threading.Event()
            done = threading.Event()
            threading.Thread(target=_watch, args=(process, wire, done, silent), daemon=True).start()
            try:
                yield wire
            except WireClosed as error:
                if silent.is_set():
                    raise Problem(f"nothing came from the cluster for {_SILENCE_SECONDS:.0f} s; run the same command again, and it goes on") from None
                said.seek(0)
                last = _last(said.read().decode(errors="replace"))
                raise Problem(f"{error}: {last}" if last else str(error)) from None
            finally:
                done.set()
                wire.close()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _watch(process: subprocess.Popen[bytes], wire: Wire, done: threading.Event, silent: threading.Event) -> None:
    while not done.wait(1.0):
        if (since := wire.since) is not None and time.monotonic() - since > _SILENCE_SECONDS:
            silent.set()
            process.kill()
            return


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else ""
