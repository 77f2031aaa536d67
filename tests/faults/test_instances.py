"""Two instances on one machine share nothing but the machine; https on 443; and a person who is deleted keeps the home."""

import re
import subprocess
from pathlib import Path

import pytest
import requests

from tests.conftest import start_live
from tests.faults.conftest import Worker, healthy
from tests.live import Live


def test_two_instances_side_by_side(live: Live, worker: Worker) -> None:
    two = start_live("small", name="two")
    try:
        assert two.instance.number != live.instance.number
        assert two.instance.subnet != live.instance.subnet
        assert two.passwords() != live.passwords()
        visit = two.visit("colibri")
        visit.start()
        visit.enter()
        kernel = visit.kernel()
        here, there = two.labs()["colibri"]["address"], live.labs()["colibri"]["address"]
        assert here != there
        connect = "import socket\ntry: socket.create_connection(({!r}, 8888), 3); print('open')\nexcept OSError: print('closed')"
        assert visit.run(kernel, connect.format(there)).text.strip() == "closed"
        assert worker.visit.run(worker.kernel, connect.format(here)).text.strip() == "closed"
        assert visit.run(kernel, connect.format(here)).text.strip() == "open"
        homes = {(each.state.homes / "colibri").stat().st_uid for each in (live, two)}
        assert len(homes) == 2
    finally:
        two.down()
    assert healthy(live)
    assert worker.remembers()
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1", "the first instance's labs lost the Internet"


def test_https_on_443_without_a_program_on_the_web_that_is_root(live: Live, tmp_path: Path) -> None:
    address, key, certificate = "127.77.7.7", tmp_path / "key.pem", tmp_path / "chain.pem"
    names = ["-subj", "/CN=labs", "-addext", f"subjectAltName=IP:{address}"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    two = start_live("small", name="two", listen=f"{address}:443", site=f"  tls: {{certificate: {certificate}, key: {key}}}\n")
    try:
        assert two.base == f"https://{address}:443"
        for program in ("proxy", "hub"):
            status = Path(f"/proc/{two.pid(program)}/status").read_text()
            assert not re.search(r"^Uid:.*\t0\b", status, re.MULTILINE), program
        with pytest.raises(requests.exceptions.SSLError):
            two.visit("colibri")
        visit = two.visit("colibri", ca=certificate)
        assert all(cookie.secure for cookie in visit.session.cookies if cookie.path == "/hub/")
        visit.start()
        visit.enter()
        assert visit.run(visit.kernel(), "print(6 * 7)").text.strip() == "42"
        visit.stop()
        assert key.read_text().split()[5] not in "".join(path.read_text(errors="replace") for path in two.state.logs.rglob("*.log"))
    finally:
        two.down()


def test_a_deleted_person_keeps_the_home(live: Live) -> None:
    visit = live.visit("lince")
    visit.start()
    visit.enter()
    visit.run(visit.kernel(), "open('/home/lince/egg.txt', 'w').write('blue')")
    visit.stop()
    admin = live.visit("admin")
    assert admin.hub("DELETE", "users/lince").status_code == 204
    assert (live.state.homes / "lince" / "egg.txt").read_text() == "blue"
    again = live.visit("lince")
    again.start()
    again.enter()
    assert again.run(again.kernel(), "print(open('/home/lince/egg.txt').read())").text.strip() == "blue"
    again.stop()


def test_an_administrator_does_not_enter_a_lab(live: Live, worker: Worker) -> None:
    """Privacy is the default: who administrates may stop a lab, not look into it."""
    admin = live.visit("admin")
    assert admin.get("user/colibri/lab").status_code in (403, 404)
    assert admin.get("user/colibri/api/contents").status_code in (403, 404)


def test_new_homes_get_the_example_once(live: Live, worker: Worker) -> None:
    home = live.state.homes / "colibri"
    worker.visit.stop()
    subprocess.run(["btrfs", "subvolume", "delete", home], check=True, capture_output=True)  # earlier tests, and earlier runs, were at home there
    worker.visit.start()
    assert {"nodes.dmp", "names.dmp", "arbol.ipynb", "arbol_r.ipynb"} <= {path.name for path in (home / "taxonomy").iterdir()}
    subprocess.run(["rm", "-rf", str(home / "taxonomy")], check=True)
    worker.visit.stop()
    worker.visit.start()
    assert not (home / "taxonomy").exists(), "what a person threw away came back"
    worker.visit.stop()
