"""What a lab may use. While one takes all it can, another works and the hub answers."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.isolation.conftest import Person
from tests.live import Live

Attack = Callable[..., str]


@contextmanager
def others_go_on(live: Live, victim: Person) -> Iterator[None]:
    """Meanwhile, all the time, the login page answers and the victim's cells run."""
    done, failures, rounds = threading.Event(), [], 0

    def watch() -> None:
        nonlocal rounds
        while not done.is_set():
            try:
                assert requests.get(f"{live.base}/hub/login", timeout=20).status_code == 200
                assert victim.works()
                rounds += 1
            except Exception as error:
                failures.append(repr(error))
            done.wait(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        while not rounds and not failures:
            time.sleep(0.1)
        done.set()
        watcher.join()
    assert failures == []
    assert rounds > 0


def test_memory(live: Live, attack: Attack, hostile: Person, victim: Person) -> None:
    limit = live.labs()["colibri"]["memory_limit_bytes"]
    with others_go_on(live, victim), pytest.raises(Exception, match=r"died|closed|did not end"):
        attack(f"kept = []\nfor _ in range({limit * 2} // 2**24): kept.append(b'x' * 2**24)\nprint('got it')", 30)
    assert live.ask(verb="stats", lab="colibri")["ok"]["oom_kills"] >= 1
    assert "lince" in live.labs()


def test_processes(live: Live, attack: Attack, victim: Person) -> None:
    bomb = """
    import os, time, warnings
    warnings.simplefilter('ignore')
    children = []
    try:
        while True:
            child = os.fork()
            if child == 0: time.sleep(30); os._exit(0)
            children.append(child)
    except OSError as error:
        print(len(children), error.errno)
    for child in children: os.kill(child, 9); os.waitpid(child, 0)
    """
    with others_go_on(live, victim):
        count, number = attack(bomb).split()
    assert int(number) == 11  # EAGAIN
    assert int(count) < 200


def test_a_real_fork_bomb(live: Live, hostile: Person, attack: Attack, victim: Person) -> None:
    with others_go_on(live, victim):
        try:
            attack("import subprocess; subprocess.run(['bash', '-c', 'b() { b | b & }; b; sleep 8'], timeout=10)", 20)
        except Exception:
            pass
    assert live.ask(verb="stats", lab="colibri")["ok"]["pids"] <= 200
    hostile.visit.stop()
    assert "colibri" not in live.labs()


def test_cpu(live: Live, attack: Attack, victim: Person) -> None:
    burn = """
    import os, time, warnings
    warnings.simplefilter('ignore')
    end = time.time() + 6
    for _ in range(7):
        if os.fork() == 0:
            while time.time() < end: pass
            os._exit(0)
    while time.time() < end: pass
    for _ in range(7): os.wait()
    """
    before, begin = live.ask(verb="stats", lab="colibri")["ok"]["cpu_seconds"], time.monotonic()
    with others_go_on(live, victim):
        attack(burn)
    used, passed = live.ask(verb="stats", lab="colibri")["ok"]["cpu_seconds"] - before, time.monotonic() - begin
    assert used / passed < 1.25  # the limit is one CPU, and the machine has two or more
    if (os.cpu_count() or 1) > 1:
        assert used > 2


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/run/lab"])
def test_memory_file_systems(live: Live, attack: Attack, victim: Person, folder: str) -> None:
    fill = f"""
    import os
    written = 0
    try:
        with open('{folder}/fill', 'wb', 0) as file:
            while written < 2**30: written += file.write(b'x' * 2**20)
    except OSError as error:
        print(error.errno)
    os.remove('{folder}/fill')
    print(written <= 64 * 2**20)
    """
    with others_go_on(live, victim):
        assert attack(fill).split() == ["28", "True"]


def whole(pool: Path) -> bool:
    """Whether no byte of the homes' file is left for others to take, nor was one taken beyond it."""
    file = pool.stat()
    return file.st_size <= file.st_blocks * 512 < file.st_size + 2**20


def test_a_home_ends_at_its_quota_and_still_starts(live: Live, attack: Attack, hostile: Person, victim: Person) -> None:
    fill = """
    import os
    written = 0
    try:
        with open('/home/colibri/fill', 'wb', 0) as file:
            while written < 2**30:
                written += file.write(os.urandom(2**20))
    except OSError as error:
        print(error.strerror, written < 100 * 2**20)
    try:
        with open('/home/colibri/fill2', 'wb', 0) as file:
            while True: file.write(os.urandom(2**12))
    except OSError: pass
    os.sync()
    """
    try:
        with others_go_on(live, victim):
            assert attack(fill) == "Disk quota exceeded True"
        assert victim.run("print(open('/home/lince/other', 'wb').write(b'x' * 2**20))") == str(2**20)
        assert not live.state.pool.exists() or whole(live.state.pool)
        hostile.visit.stop()
        hostile.visit.start()
        hostile.visit.enter()
        hostile.kernel = hostile.visit.kernel()
        assert hostile.works()
    finally:
        for name in ("fill", "fill2"):
            (live.state.homes / "colibri" / name).unlink(missing_ok=True)


def test_what_homes_free_stays_theirs(live: Live) -> None:
    """The host's other programs cannot take the room that a deleted file had: it is never handed back."""
    if not live.state.pool.exists():
        pytest.skip("homes are on the host's own btrfs")
    options = subprocess.run(["findmnt", "--noheadings", "--output", "OPTIONS", live.state.homes], capture_output=True, text=True, check=True).stdout
    assert not any(option.startswith("discard") for option in options.strip().split(","))
    assert whole(live.state.pool)


def test_many_small_files_end_too(attack: Attack, hostile: Person) -> None:
    many = """
    import os, shutil
    os.makedirs('/home/colibri/many', exist_ok=True)
    try:
        for number in range(400000): open(f'/home/colibri/many/{number}', 'w').write('x' * 3000)
        print('all of them')
    except OSError as error:
        print(error.strerror)
    shutil.rmtree('/home/colibri/many')
    """
    assert attack(many, 300) == "Disk quota exceeded"


def test_a_flood_of_output_fills_no_disk(live: Live, attack: Attack, victim: Person) -> None:
    """The server's own output, which the host keeps, is what a person can reach through a terminal or a program started by the server."""
    flood = """
    import os, time
    # the lab's first process has the pipe that the host reads; the kernel can write there where it inherited it
    targets = [n for n in range(3)]
    end, written = time.time() + 5, 0
    while time.time() < end:
        for number in targets:
            try: written += os.write(number, b'flood ' * 1000)
            except OSError: pass
    """
    with others_go_on(live, victim):
        try:
            attack(flood, 60)
        except Exception:
            pass
    assert sum(path.stat().st_size for path in (live.state.logs / "labs").iterdir()) < 12 * 2**20
