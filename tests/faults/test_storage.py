"""The file that holds the homes, as a mount of its own on this machine."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage import pool


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A state folder that holds nothing, and nothing mounted in it afterwards."""
    state = State(tmp_path)
    yield state
    if state.homes.exists():
        pool.close(state)


def sized(size: str) -> Config:
    """A configuration with a pool of that size."""
    return Config.model_validate({"storage": {"pool": size}})


def allocated(state: State) -> int:
    """Bytes that the file has on the disk."""
    return state.pool.stat().st_blocks * 512


def test_a_file_with_holes_is_filled_again(state: State) -> None:
    """As trimming leaves them, or restoring a backup: what is promised to homes is theirs again before they are used."""
    pool.ensure(state, sized("256M"))
    (state.homes / "kept").write_text("kept")
    subprocess.run(["fstrim", str(state.homes)], check=True)
    pool.close(state)
    assert allocated(state) < 200 * 2**20
    pool.ensure(state, sized("256M"))
    assert allocated(state) >= 256 * 2**20
    assert (state.homes / "kept").read_text() == "kept"


def test_a_pool_grows_while_it_is_in_use_and_never_shrinks(state: State) -> None:
    pool.ensure(state, sized("256M"))
    before = os.statvfs(state.homes).f_blocks
    pool.ensure(state, sized("320M"))
    grown = os.statvfs(state.homes).f_blocks
    assert grown > before and allocated(state) >= 320 * 2**20
    pool.ensure(state, sized("256M"))
    assert os.statvfs(state.homes).f_blocks == grown
