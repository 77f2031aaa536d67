"""The command line as a whole: options that every command knows, commands that are imported only when they run, and one line for every mistake.

A command is a module of this folder with a click command of the same name in it (an underscore is added where the name is a word of Python's or a test's).
Adding one is a module and a line in COMMANDS.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from elabs.cli.options import ROOT, Options
from elabs.config.state import DEFAULT_STATE, State

COMMANDS = {
    "up": "Start everything: proxy, hub and labs' runtime.",
    "down": "Stop everything, labs included.",
    "status": "Labs: person, size, memory, idle time.",
    "demo": "Show the demo accounts.",
    "try": "Play two people's first day on a running instance, step by step.",
    "doctor": "What this machine can do, what is missing, and how to mend it.",
    "config": "Check, show and document elabs.yaml.",
    "home": "Move people's homes between machines and clusters, and delete them.",
    "image": "Build and list images, and write them for a cluster.",
    "kubernetes": "Print what a cluster needs beside the chart.",
    "service": "Run as systemd services.",
    "test": "Run the tests.",
    "bench": "Measure how fast labs start.",
}
"""Name and one line of help."""

_MODULES = {"try": "try_", "test": "test_"}


class Commands(click.Group):
    """The commands by name; none is imported to list them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        name = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = getattr(importlib.import_module(f"elabs.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and lines of COMMANDS."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with the common options taken from anywhere."""
        return super().parse_args(ctx, options_first(args))


def options_first(args: list[str]) -> list[str]:
    """The arguments with `--state` and `--config` before the command, so that people may write them anywhere."""
    first: list[str] = []
    rest: list[str] = []
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            rest += [word, *left]
            break
        if word in ("--state", "--config"):
            first += [word, *left[:1]]
            del left[:1]
        elif word.startswith(("--state=", "--config=")):
            first.append(word)
        else:
            rest.append(word)
    return first + rest


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.option("--state", type=click.Path(path_type=Path), help=f"Folder that holds the instance [{DEFAULT_STATE}].")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file [elabs.yaml beside the elabs script].")
@click.version_option(package_name=None, message="elabs %(version)s", version=importlib.import_module("elabs").__version__)
@click.pass_context
def elabs(ctx: click.Context, state: Path | None, config: Path | None) -> None:
    """A personal lab on persistent storage for every researcher."""
    beside = ROOT / "elabs.yaml"
    ctx.obj = Options(
        state=State(Path(os.path.abspath(state or DEFAULT_STATE))),
        state_given=state is not None,
        config=config if config is not None else beside if beside.exists() else None,
    )


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 where the answer is no, 2 for a mistake, with one line on standard error."""
    try:
        sys.exit(elabs.main(args, prog_name="elabs", standalone_mode=False))
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stderr = None
        sys.exit(141)
    except Exception as error:
        line = one_line(error)
        if line is None:
            raise
        _fail(line, 2)


def one_line(error: Exception) -> str | None:
    """The line of an error that a person can mend; None for one that only a developer can."""
    from elabs.config.load import ConfigError

    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        return f"{error.problems[0]} (and {len(error.problems) - 1} more: elabs config check)"
    module = type(error).__module__
    return str(error) if module.startswith("elabs.") else None


def _fail(line: str, status: int) -> Any:
    print(f"elabs: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(status)
