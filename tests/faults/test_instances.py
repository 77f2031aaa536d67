"""Two instances on one machine share nothing but the machine; and a person who is deleted keeps the home."""

import subprocess
from pathlib import Path

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
    assert {"nodes.dmp", "names.dmp", "arbol.ipynb", "arbol_r.ipynb"} <= {path.name for path in (home / "taxonomy").iterdir()}
    subprocess.run(["rm", "-rf", str(home / "taxonomy")], check=True)
    worker.visit.stop()
    worker.visit.start()
    assert not (home / "taxonomy").exists(), "what a person threw away came back"
    worker.visit.stop()
