"""Somebody with a fresh Debian and the README, from the first command to after a reboot. The tests run in this order, each on what the last left."""

import time

import pytest

from . import base
from .conftest import person
from .guest import Done, Guest
from .person import WORDS

HUB = "python3 -c 'import urllib.request as r; print(r.urlopen(\"http://127.0.0.1:8000/hub/login\", timeout=60).status)'"
KILL = "/etc/systemd/logind.conf.d/kill.conf"


def test_the_machine_is_a_stock_one(guest: Guest) -> None:
    assert guest.run("systemctl is-system-running --wait", timeout=600).output.strip() == "running"
    assert guest.run("cat /proc/1/comm").output.strip() == "systemd"
    assert guest.run("stat -f -c %T /sys/fs/cgroup").output.strip() == "cgroup2fs"
    assert {"cpu", "memory", "pids"} <= set(guest.run("cat /sys/fs/cgroup/cgroup.controllers").output.split())
    for program in ("python3", "runc", "node", "mmdebstrap", "btrfs"):
        assert guest.run(f"command -v {program}").status != 0, f"{program} is there before elabs"


def test_the_machine_reaches_its_mirror(guest: Guest, slowness: int) -> None:
    guest.run("apt-get -q update", timeout=120 * slowness).ok()


def test_the_first_command(guest: Guest, up: Done) -> None:
    up.ok()
    assert guest.run(HUB).ok().output.strip() == "200"


def test_a_second_up_says_that_it_runs(guest: Guest, running: None, checkout: str, slowness: int) -> None:
    done = guest.run(f"cd {checkout} && sudo ./elabs up --yes --detach", user=base.ACCOUNT, timeout=60 * slowness).ok()
    assert "already running" in done.output


def test_doctor_finds_nothing_missing(guest: Guest, running: None, checkout: str, slowness: int) -> None:
    guest.run(f"cd {checkout} && sudo ./elabs doctor", user=base.ACCOUNT, timeout=60 * slowness).ok()


@pytest.mark.parametrize(("kill", "sleep"), [("no", 90001), ("yes", 90002)], ids=["stock", "KillUserProcesses"])
def test_a_logout_ends_no_lab(guest: Guest, running: None, checkout: str, slowness: int, kill: str, sleep: int) -> None:
    """Brought up in a login that then ends; on a machine that ends all processes of a login with it, too."""
    guest.write(KILL, f"[Login]\nKillUserProcesses={kill}\n")
    guest.run(f"systemctl restart systemd-logind && cd {checkout} && ./elabs down", timeout=120 * slowness).ok()
    login = guest.session(base.ACCOUNT)
    try:
        assert login.stdin and login.stdout
        login.stdin.write(f"echo $XDG_SESSION_ID; sleep {sleep} </dev/null >/dev/null 2>&1 &\n".encode())
        login.stdin.flush()
        session = login.stdout.readline().decode().strip()
        login.stdin.write(f"cd {checkout} && sudo ./elabs up --yes --detach >/tmp/up.log 2>&1; echo $?\n".encode())
        login.stdin.flush()
        assert login.stdout.readline().decode().strip() == "0", guest.run("cat /tmp/up.log").output
        lab = person(guest, "begin", "colibri", slowness)
        guest.run(f"loginctl show-session {session}").ok()
    finally:
        login.kill()
        login.wait()
    deadline = time.monotonic() + 60 * slowness
    while guest.run(f"pgrep -u {base.ACCOUNT} sshd").status == 0:
        assert time.monotonic() < deadline, "the login does not end"
    if kill == "yes":
        while guest.run(f"pgrep -x -f 'sleep {sleep}'").status == 0:
            assert time.monotonic() < deadline, "this machine does not end the processes of a login, so the test proves nothing"
    after = person(guest, "look", "colibri", slowness)
    assert after["server"]
    assert after["pid"] == lab["pid"]
    assert after["kernels"] == {lab["kernel"]: WORDS}


def test_the_second_command(guest: Guest, running: None, checkout: str, slowness: int, image: str) -> None:
    """`./elabs test`, on cgroup v2 under systemd. Labs use the image that is there; emulated, the groups that depend on the machine are enough."""
    tests = f"{checkout}-tests"
    guest.run(f"cp -a {checkout} {tests} && cd {tests} && {{ [ ! -e elabs.yaml.stock ] || mv elabs.yaml.stock elabs.yaml; }}").ok()
    groups = [""] if guest.accelerator == "kvm" else ["--only isolation", "--only faults"]
    for group in groups:
        done = guest.run(f"cd {tests} && ELABS_TEST_IMAGE={image} ./elabs test --yes {group}", timeout=3600 * slowness)
        done.ok()
        assert " passed" in done.output


def test_a_reboot(guest: Guest, running: None, checkout: str, slowness: int) -> None:
    """As services: everything is back after a power cut, homes as they were, and the lab's end has its reason."""
    guest.run(f"cd {checkout} && ./elabs down && ./elabs service install --yes", timeout=300 * slowness).ok()
    guest.run("systemd-analyze verify /etc/systemd/system/elabs-*.service", timeout=60 * slowness).ok()
    before = person(guest, "begin", "lince", slowness)
    assert before["pid"]
    guest.reboot()
    deadline = time.monotonic() + 120 * slowness
    while guest.run(HUB).output.strip() != "200":
        assert time.monotonic() < deadline, "the hub does not answer after a reboot"
        time.sleep(1)
    after = person(guest, "look", "lince", slowness)
    assert after == {"server": False, "kernels": {}, "pid": None, "ended": "machine", "file": WORDS}
    again = person(guest, "begin", "lince", slowness)
    assert again["pid"]
    assert guest.run("systemctl is-system-running --wait", timeout=300 * slowness).output.strip() == "running"
