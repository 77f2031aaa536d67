"""The register of ids: once, stored, shared by all instances, never given again."""

import json
from multiprocessing import Process
from pathlib import Path

import pytest

from elabs.config.state import State
from elabs.storage import ids
from elabs.storage.ids import BLOCK, FIRST_ID, LAST_ID, IdsError, Instance, claim_instance, claim_person

RANGE = "198.18.0.0/15"


def state(tmp_path: Path, name: str) -> State:
    (tmp_path / name).mkdir(exist_ok=True)
    return State(tmp_path / name)


def test_an_instance_is_the_same_every_time(tmp_path: Path) -> None:
    register, one = tmp_path / "ids", state(tmp_path, "one")
    first = claim_instance(one, RANGE, register)
    assert claim_instance(one, RANGE, register) == first == Instance.load(one)
    assert (first.number, first.block, first.subnet, first.gateway, first.api) == (0, FIRST_ID, "198.18.0.0/20", "198.18.0.1", "198.18.0.2")
    assert len({first.hub_uid, first.proxy_uid, first.dns_uid}) == 3


def test_two_instances_share_nothing(tmp_path: Path) -> None:
    register = tmp_path / "ids"
    one, two = (claim_instance(state(tmp_path, name), RANGE, register) for name in ("one", "two"))
    assert one.number != two.number
    assert one.block != two.block
    assert one.subnet != two.subnet


def test_a_removed_instance_leaves_its_number_and_not_its_ids(tmp_path: Path) -> None:
    register, gone = tmp_path / "ids", state(tmp_path, "gone")
    old = claim_instance(gone, RANGE, register)
    ana = claim_person(old, "ana", register)
    gone.instance.unlink()
    new = claim_instance(gone, RANGE, register)
    assert new.number == old.number
    assert new.block > ana
    assert claim_person(new, "ana", register) > new.block


def test_a_person_has_one_block_for_ever(tmp_path: Path) -> None:
    register = tmp_path / "ids"
    one, two = (claim_instance(state(tmp_path, name), RANGE, register) for name in ("one", "two"))
    blocks = [claim_person(instance, person, register) for instance in (one, two) for person in ("ana", "Ana", "", "../../etc", "🦜")]
    assert len(set(blocks)) == len(blocks)
    assert claim_person(one, "ana", register) == blocks[0]
    assert all((block - FIRST_ID) % BLOCK == 0 for block in blocks)


def _claim_many(instance: Instance, register: Path, prefix: str) -> None:
    for number in range(20):
        claim_person(instance, f"{prefix}{number}", register)


def test_many_at_once_never_get_the_same(tmp_path: Path) -> None:
    register = tmp_path / "ids"
    instance = claim_instance(state(tmp_path, "one"), RANGE, register)
    workers = [Process(target=_claim_many, args=(instance, register, prefix)) for prefix in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    blocks = [json.loads(line)["block"] for line in register.read_text().splitlines()]
    assert len(blocks) == len(set(blocks)) == 81


def test_half_a_line_of_a_crash_is_overwritten(tmp_path: Path) -> None:
    register = tmp_path / "ids"
    instance = claim_instance(state(tmp_path, "one"), RANGE, register)
    with register.open("a") as file:
        file.write('{"instance": 1, "per')
    block = claim_person(instance, "ana", register)
    assert claim_person(instance, "ana", register) == block
    assert [json.loads(line) for line in register.read_text().splitlines()]


def test_the_end_of_the_ids_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register = tmp_path / "ids"
    instance = claim_instance(state(tmp_path, "one"), RANGE, register)
    monkeypatch.setattr(ids, "LAST_ID", FIRST_ID + BLOCK - 1)
    with pytest.raises(IdsError, match="blocks of ids on this machine are given"):
        claim_person(instance, "ana", register)


def test_a_range_with_no_room_is_one_line(tmp_path: Path) -> None:
    register = tmp_path / "ids"
    claim_instance(state(tmp_path, "one"), "198.18.0.0/20", register)
    with pytest.raises(IdsError, match="room for 1 instances"):
        claim_instance(state(tmp_path, "two"), "198.18.0.0/20", register)


def test_blocks_lie_where_nobody_else_gives_ids() -> None:
    assert FIRST_ID > 1879048191  # the last that systemd gives containers
    assert LAST_ID < 2147352576  # the first of systemd's foreign ids
