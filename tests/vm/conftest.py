"""The guest as fixtures, each a step of the story: a stock machine, the checkout on it, elabs brought up by the README's first command."""

import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import base, settings
from .guest import Done, Guest
from .qemu import Unfit

CHECKOUT = "/opt/project"
PYTHON = f"cd {CHECKOUT} && PYTHONPATH=src:. PYTHONDONTWRITEBYTECODE=1 /var/lib/elabs/env/current/bin/python"
EMULATED = "./elabs test --only vm emulates the processor, which takes an hour"
SLOWNESS = {"kvm": 1, "tcg": 10}


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """A stock Debian, just booted; gone with the tests. ELABS_TEST_VM_DEBIAN chooses the release: 13, or 12."""
    reason = settings.why_not()
    if reason:
        pytest.skip(reason)
    refused = settings.kvm_refused()
    if refused and not settings.emulate():
        pytest.skip(f"{refused}; {EMULATED}")
    made = base.find_or_make(os.environ.get("ELABS_TEST_VM_DEBIAN", "13"))
    folder = Path(tempfile.mkdtemp(prefix="elabs-vm-", dir="/var/tmp"))
    try:
        booted = boot(made, folder, refused)
        yield booted
        booted.stop()
    finally:
        shutil.rmtree(folder)


def boot(made: base.Base, folder: Path, refused: str | None) -> Guest:
    """With KVM, else emulated where that was asked for, else skipped with the reason."""
    if not refused:
        try:
            return Guest(made, folder, "kvm")
        except Unfit as error:
            if not settings.emulate():
                pytest.skip(f"/dev/kvm opens, but cannot run Debian's kernel ({error}); {EMULATED}")
    return Guest(made, folder, "tcg")


@pytest.fixture(scope="session")
def slowness(guest: Guest) -> int:
    """What every time limit is multiplied by."""
    return SLOWNESS[guest.accelerator]


@pytest.fixture(scope="session")
def image(guest: Guest) -> str:
    """The image of the labs: the stock one; where the processor is emulated, the small one, which is a change to the stock elabs.yaml."""
    return "full" if guest.accelerator == "kvm" else "small"


@pytest.fixture(scope="session")
def checkout(guest: Guest, image: str) -> str:
    """The project's files, as root unpacked them: root obeys no elabs.yaml of somebody else."""
    guest.push_checkout(CHECKOUT)
    if image != "full":
        guest.run(f"sed -i.stock 's/^image: .*/image: {image}/; s/^apps: .*/apps: []/' {CHECKOUT}/elabs.yaml").ok()
    return CHECKOUT


@pytest.fixture(scope="session")
def up(guest: Guest, checkout: str, slowness: int) -> Done:
    """The README's first command, by an ordinary account that may become root."""
    return guest.run(f"cd {checkout} && sudo ./elabs up --yes --detach", user=base.ACCOUNT, timeout=2400 * slowness)


@pytest.fixture
def running(up: Done) -> None:
    """What the first command promised; without it, nothing after it means anything."""
    up.ok()


def person(guest: Guest, what: str, name: str, slowness: int) -> dict[str, Any]:
    """See person.py."""
    done = guest.run(f"{PYTHON} -m tests.vm.person {what} {name}", timeout=300 * slowness).ok()
    answer: dict[str, Any] = json.loads(done.output.splitlines()[-1])
    return answer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the guest said last."""
    report = yield
    guest = getattr(item, "funcargs", {}).get("guest")
    if report.failed and isinstance(guest, Guest):
        report.sections.append(("guest", guest.story()))
        for command in (
            "systemctl --failed --no-legend; journalctl -b -p warning -n 60 --no-pager",
            "journalctl -b -u 'elabs-*' -n 80 --no-pager",
            "tail -n 40 /var/lib/elabs/log/*.log",
        ):
            report.sections.append((f"guest: {command}", guest.run(command, timeout=60).output[-8000:]))
    return report
