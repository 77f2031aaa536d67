"""All that must be there before the programs start, for `up` and `service install` alike. Every check comes before the first thing is made."""

import sys
from dataclasses import dataclass
from pathlib import Path

from elabs.cli import instance
from elabs.cli.errors import Problem
from elabs.cli.options import Options
from elabs.cli.output import progress, say
from elabs.cli.processes.programs import Program, programs
from elabs.cli.setup import accounts, checks, code, folders, proxy, secrets, unpack
from elabs.config.load import check_ownership, load
from elabs.config.model import Config
from elabs.config.state import State
from elabs.runtime.images import build
from elabs.storage import pool
from elabs.storage.ids import Instance, claim_instance


@dataclass(frozen=True)
class Prepared:
    """An instance whose programs can start."""

    state: State
    config: Config
    instance: Instance
    python: Path
    code: Path

    def programs(self, *, with_parent: bool) -> list[Program]:
        """See `elabs.cli.processes.programs`."""
        return programs(self.state, self.config, self.instance, self.python, self.code, with_parent=with_parent)


def settings(options: Options) -> Config:
    """What `elabs.yaml` says; ConfigError in one line where it is wrong, or where others than root could write what root's daemon obeys."""
    config = load(options.config)
    if options.config is not None:
        check_ownership(options.config)
    return config


def prepare(state: State, config: Config) -> Prepared:
    """Check the machine, then make what is missing; what was made is used by the next run. Problem, or the line of the part that failed."""
    for check in checks.machine(state, config, ours=instance.runs(state)):
        if check.status == "missing":
            raise Problem(f"{check.name}: {check.found}; {check.mend}")
        if check.status == "warning":
            say(f"Warning: {check.name}: {check.found}; {check.mend}")
    folders.ensure_state(state)
    numbers = claim_instance(state, config.labs.network.range)
    environment = Path(sys.prefix)
    if environment.parent == state.env:
        folders.point(state.env / "current", environment.name)
    copy = code.ensure(state)
    if not (state.node / "current").exists():
        say("Installing the proxy (once)")
    proxy.ensure(state)
    unpack.ensure(state.tools / "containers-common", ["golang-github-containers-common"])
    _images(state, config)
    pool.ensure(state, config)
    secrets.ensure(state, config, numbers)
    if config.login.method == "demo":
        accounts.ensure(state, numbers)
    folders.write_shared(state.config, config.model_dump_json(indent=1) + "\n")
    return Prepared(state, config, numbers, Path(sys.executable), copy)


def _images(state: State, config: Config) -> None:
    for name in dict.fromkeys(config.image_of(profile) for profile in config.profiles):
        with progress(f"Image {name}") as report:
            build(state, name, report)
