"""`elabs test`: the project's own tests, with what they need, in a state folder of their own so that an instance in use is not touched.

A group is a folder of `tests/`. Finished images of the ordinary state folder are used where they are there: they never change, and building one takes minutes.
"""

import os
import sys
from pathlib import Path

import click

from elabs.cli.errors import Problem
from elabs.cli.options import ROOT, Options, pass_options
from elabs.config.state import DEFAULT_STATE, State

TESTS = ROOT / "tests"
FIRST = ("unit", "homes", "hub", "isolation", "faults", "browser", "vm")
"""Order of the groups: what fails soonest comes first; others follow by name."""
QUICK = ("unit",)
"""Those that take less than a minute."""
ROOTLESS = ("unit", "homes", "hub")
"""Those that need neither root nor an image."""


def groups() -> list[str]:
    """Names of the groups, in the order in which they run."""
    found = {path.name for path in TESTS.iterdir() if path.is_dir() and any(path.glob("test_*.py"))}
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST))


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--quick", is_flag=True, help="Those that need neither root nor an image; under a minute.")
@click.option("--only", metavar="NAME", help="One group: a folder of tests/.")
@click.option("--yes", "-y", is_flag=True, help="Install missing Debian packages without a question.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
@pass_options
def test_(options: Options, quick: bool, only: str | None, yes: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Run the tests. Further arguments go to pytest: `elabs test --only unit -- -k slugs`."""
    del yes  # the question comes before Python runs
    there = groups()
    if only is not None and only not in there:
        raise Problem(f"there is no group of tests {only!r}; there are {', '.join(there)}")
    chosen = [only] if only else [name for name in there if not quick or name in QUICK]
    state = options.state if options.state_given else State(DEFAULT_STATE.with_name(f"{DEFAULT_STATE.name}-test"))
    if set(chosen) - set(ROOTLESS):
        if os.geteuid() != 0:
            raise Problem(f"elabs test needs root for {', '.join(name for name in chosen if name not in ROOTLESS)}; elabs test --quick does not")
        share_images(State(DEFAULT_STATE), state)
    kept = state.root / "test" if os.geteuid() == 0 else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "elabs" / "test"
    environment = os.environ | {
        "ELABS_TEST_STATE": str(state.root),
        "ELABS_TOOLS": str(kept / "tools"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(kept / "hypothesis"),
        "MYPY_CACHE_DIR": str(kept / "mypy"),
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
    }
    if only == "vm":
        # asked for by name, the guest runs even where its processor has to be emulated, which takes an hour
        environment.setdefault("ELABS_TEST_VM_TCG", "1")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *pytest_arguments, *(str(TESTS / name) for name in chosen)]
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execve(sys.executable, command, environment)


def share_images(source: State, target: State) -> None:
    """Let `target` use the finished images of `source`; what it builds itself stays its own. Root only."""
    if source.root == target.root or target.images.is_symlink():
        return
    target.images.mkdir(mode=0o755, parents=True, exist_ok=True)
    for image in source.images.glob("*-*/image.json") if source.images.is_dir() else ():
        link = target.images / image.parent.name
        if not image.parent.name.startswith(".") and not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(image.parent)
