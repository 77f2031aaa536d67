"""One lab against another: homes, processes, ports."""

from collections.abc import Callable

from tests.isolation.conftest import CONNECT, Person
from tests.live import Live

Attack = Callable[..., str]


def test_a_home_of_ones_own_and_no_other(attack: Attack, victim: Person) -> None:
    victim.run("open('/home/lince/secret.txt', 'w').write('nest')")
    assert attack("import os; print(os.listdir('/home'))") == "['colibri']"
    assert "FileNotFoundError" in attack("open('/home/lince/secret.txt').read()")
    assert attack("import os; open('/home/colibri/mine.txt', 'w').write('x'); print(os.stat('/home/colibri/mine.txt').st_uid)") == "1000"


def test_no_way_to_anothers_home_through_mounts_or_processes(attack: Attack, victim: Person) -> None:
    victim.run("open('/home/lince/secret.txt', 'w').write('nest')")
    found = attack(
        """
        import os
        for root in ['/', '/proc/1/root/', '/proc/1/cwd/../', '/proc/self/root/']:
            for folder, folders, files in os.walk(root, followlinks=False):
                folders[:] = [name for name in folders if name not in ('usr', 'proc', 'sys', 'lib', 'opt')]
                if 'secret.txt' in files: print(os.path.join(folder, 'secret.txt'))
        print('lince' in open('/proc/self/mountinfo').read())
        """
    )
    assert found == "False"


def test_ids_of_two_people_differ_on_the_host(live: Live, attack: Attack, victim: Person) -> None:
    owners = {(live.state.homes / name).stat().st_uid for name in ("colibri", "lince")}
    assert len(owners) == 2
    assert min(owners) > 0x70000000


def test_others_processes_are_not_there(live: Live, attack: Attack, victim: Person) -> None:
    seen = attack(
        "import os; print([open(f'/proc/{p}/cmdline').read().split(chr(0))[0] for p in os.listdir('/proc') if p.isdigit() and open(f'/proc/{p}/cmdline').read()])"
    )
    assert "supervisor" not in seen and "node" not in seen
    count = int(attack("import os; print(sum(p.isdigit() for p in os.listdir('/proc')))"))
    assert count < 30
    theirs = live.pid("hub")
    assert "ProcessLookupError" in attack(f"import os; os.kill({theirs}, 9)")
    assert "PermissionError" in attack("import os; os.kill(1, 9); open('/proc/1/mem', 'rb').read(1)") or live.labs()["colibri"]["state"] == "running"
    assert victim.works()


def test_a_signal_to_everybody_ends_only_ones_own(attack: Attack, victim: Person, live: Live) -> None:
    try:
        attack("import os; os.kill(-1, 9)", 15)
    except Exception:
        pass
    assert victim.works()
    assert live.ask(verb="ping")["ok"]


def test_anothers_port_is_closed(live: Live, attack: Attack, victim: Person) -> None:
    labs = live.labs()
    theirs, own = labs["lince"]["address"], live.labs()["colibri"]["address"]
    assert attack(CONNECT + f"print(connect('{own}', 8888))") == "open"
    assert attack(CONNECT + f"print(connect('{theirs}', 8888))") == "closed"


def test_unix_sockets_of_others_are_not_there(live: Live, attack: Attack) -> None:
    assert attack(f"import os; print(os.path.exists('{live.state.socket}'))") == "False"
    sockets = attack("print([line.split()[-1] for line in open('/proc/net/unix').read().splitlines()[1:] if 'elabs' in line])")
    assert sockets == "[]"
