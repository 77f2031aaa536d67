"""What the operator types, rightly and wrongly: one line, exit status 2, nothing half done."""

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Worker, healthy
from tests.live import COMMAND, Live, eventually, free_port


def fails(command: list[str], *words: str, cwd: Path | None = None) -> str:
    """The one line of a command that must fail with status 2."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, cwd=cwd, check=False)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


@pytest.fixture
def fresh(live: Live, tmp_path: Path) -> Path:
    """A state folder where nothing ran yet, but for the Python environment."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "env").symlink_to(live.state.env)
    return state


def test_a_second_up_says_so(live: Live) -> None:
    done = live.run("up", "--yes", "--detach", timeout=60)
    assert done.returncode == 0
    assert "already" in done.stdout + done.stderr


def test_status(live: Live, worker: Worker) -> None:
    shown = json.loads(live.run("status", "--json").stdout)
    [lab] = [lab for lab in shown["labs"] if lab["person"] == "colibri"]
    assert lab["size"] == "medium"
    assert 2**24 < lab["memory_bytes"] < lab["memory_limit_bytes"] == 768 * 2**20
    assert "colibri" in live.run("status").stdout


def test_passwords_never_go_to_redirected_output(live: Live) -> None:
    done = live.run("demo")
    for password in live.passwords().values():
        assert password not in done.stdout + done.stderr
    assert str(live.state.demo_accounts) in done.stdout + done.stderr
    assert live.state.demo_accounts.stat().st_mode & 0o077 == 0


def test_secrets_are_on_no_command_line_and_in_no_log(live: Live, worker: Worker) -> None:
    secrets = [path.read_text().strip() for path in live.state.secrets.rglob("*") if path.is_file()] + list(live.passwords().values())
    secrets = [secret for secret in secrets if len(secret) >= 8]
    assert secrets
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_text())
        except OSError:
            continue
    logs = [path.read_text(errors="replace") for path in live.state.logs.rglob("*") if path.is_file()]
    for secret in secrets:
        assert not any(secret in line for line in lines)
        assert not any(secret in log for log in logs)


def test_hub_and_proxy_are_not_root(live: Live) -> None:
    for program, uid in (("hub", live.instance.hub_uid), ("proxy", live.instance.proxy_uid)):
        status = Path(f"/proc/{live.pid(program)}/status").read_text()
        assert re.search(rf"^Uid:\t{uid}\t{uid}\t{uid}\t{uid}$", status, re.MULTILINE), program
        assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
        effective = int(re.search(r"^CapEff:\t(\w+)$", status, re.MULTILINE)[1], 16)  # type: ignore[index]
        assert effective in ((0,) if program == "hub" else (0, 1 << 10))


def test_a_port_in_use(fresh: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "elabs.yaml"
        config.write_text(f"site: {{listen: '127.0.0.1:{taken.getsockname()[1]}'}}\nimage: small\n")
        fails([str(COMMAND), "--state", str(fresh), "--config", str(config), "up", "--yes", "--detach"], str(taken.getsockname()[1]))


def test_an_unknown_key(fresh: Path, tmp_path: Path) -> None:
    config = tmp_path / "elabs.yaml"
    config.write_text("labs:\n  idle:\n    aftr: 1h\n")
    fails([str(COMMAND), "--state", str(fresh), "--config", str(config), "up", "--yes", "--detach"], "elabs.yaml:3", "aftr", "after")


def test_a_directory_that_does_not_answer(fresh: Path, tmp_path: Path) -> None:
    config = tmp_path / "elabs.yaml"
    config.write_text(
        f"site: {{listen: '127.0.0.1:{free_port()}'}}\nimage: small\nlogin: {{method: ldap, ldap: {{server: 127.0.0.1, port: {free_port()}, security: none, search_base: 'dc=x'}}}}\n"
    )
    fails([str(COMMAND), "--state", str(fresh), "--config", str(config), "up", "--yes", "--detach"], "127.0.0.1")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")
def test_not_root(live: Live) -> None:
    done = subprocess.run(
        [str(COMMAND), "up", "--yes", "--detach"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        user=65534,
        group=65534,
        extra_groups=[],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        check=False,
    )
    assert done.returncode == 2
    assert "root" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_home_of_somebody_else_is_not_given(live: Live) -> None:
    visit = live.visit("lince")
    if visit.server() is None:
        visit.start()
    visit.stop()
    home = live.state.homes / "lince"
    owner = home.stat().st_uid
    os.chown(home, 12345, 12345)
    try:
        with pytest.raises(Exception, match="lince"):
            visit.start()
        assert live.ask(verb="ended", person="lince")["ok"]["reason"] == "no-home"
    finally:
        os.chown(home, owner, owner)
    visit.start()
    visit.stop()


def test_strange_people_at_the_daemons_door(live: Live) -> None:
    environment = {"JUPYTERHUB_API_TOKEN": "a" * 32, "JUPYTERHUB_SERVICE_PREFIX": "/user/x/"}
    for person in ("../../etc", "", "x" * 300):
        assert live.ask(verb="start", person=person, profile="default", environment=environment)["error"]["code"] == "bad-person"
    for person in ("root", "🦜", "Ana María", ".", ".."):
        answer = live.ask(verb="start", person=person, profile="default", environment={**environment, "JUPYTERHUB_USER": person})
        assert "ok" in answer, (person, answer)
        lab = answer["ok"]["lab"]
        assert re.fullmatch(r"[a-z][a-z0-9-]*---[0-9a-f]{12}", lab)
        assert (live.state.homes / lab).is_dir()
        assert live.ask(verb="stop", lab=lab) == {"ok": {}}
    assert not any(path.name in ("root", "etc", "..") for path in live.state.homes.iterdir())


def _environments() -> list[str]:
    """The environment of every process that lets itself be read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return found


def test_down_leaves_nothing_and_up_is_quick(live: Live, worker: Worker) -> None:
    (live.state.homes / "colibri" / "kept.txt").write_text("kept")
    number = live.instance.number
    live.down()
    assert not os.path.exists(f"/proc/{worker.pid}")
    assert not os.path.ismount(live.state.homes)
    assert f"elab{number}" not in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert f"elabs_{number}" not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    assert not [path for path in Path("/sys/fs/cgroup").rglob(f"elabs-{number}/*") if path.is_dir()]
    assert str(live.state.root) not in Path("/proc/mounts").read_text()
    assert not [text for text in _environments() if f"ELABS_STATE={live.state.root}\0" in text]
    begin = time.monotonic()
    live.up()
    seconds = time.monotonic() - begin
    print(f"second up: {seconds:.1f} s")
    assert (live.state.homes / "colibri" / "kept.txt").read_text() == "kept"
    eventually("a login works", lambda: healthy(live))
