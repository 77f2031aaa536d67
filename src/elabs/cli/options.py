"""What every command is told: which instance, and which `elabs.yaml`."""

from dataclasses import dataclass
from pathlib import Path

import click

from elabs.config.state import State

ROOT = Path(__file__).resolve().parents[3]
"""The folder of the `elabs` script: requirements, image definitions and examples are below it."""


@dataclass(frozen=True)
class Options:
    """The options before the command; commands get it through `pass_options`."""

    state: State
    """Where the instance keeps everything."""
    state_given: bool
    """Whether `--state` was given, or is the default."""
    config: Path | None
    """The `elabs.yaml` to read; None: there is none, and the defaults are in force."""


pass_options = click.make_pass_decorator(Options)
