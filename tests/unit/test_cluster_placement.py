"""In which clusters a lab is tried, in which order."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elabs.config.clusters import HOME, Strategy
from elabs.hub.cluster.placement import Candidate, order

STRATEGIES = get_args(Strategy)
DEAR, CHEAP, AT_HOME = Candidate("dear", price=9, labs=2), Candidate("cheap", price=1), Candidate(HOME, price=4)


def full(name: str, price: float = 0) -> Candidate:
    return Candidate(name, price=price, labs=3, most=3)


def refused(name: str, price: float = 0) -> Candidate:
    return Candidate(name, price=price, refused=True)


@pytest.mark.parametrize(
    ("strategy", "candidates", "tried"),
    [
        ("first-fit", [DEAR, AT_HOME, CHEAP], ["dear", HOME, "cheap"]),
        ("spill-over", [DEAR, AT_HOME, CHEAP], [HOME, "dear", "cheap"]),
        ("cheapest", [DEAR, AT_HOME, CHEAP], ["cheap", HOME, "dear"]),
        # of equal prices the first
        ("cheapest", [DEAR, Candidate("b", price=1), CHEAP], ["b", "cheap", "dear"]),
        # what is full is not tried, what refused a moment ago is tried last
        ("first-fit", [full("a"), AT_HOME], [HOME]),
        ("spill-over", [full(HOME), DEAR, CHEAP], ["dear", "cheap"]),
        ("cheapest", [full("a", 1), DEAR, AT_HOME], [HOME, "dear"]),
        ("first-fit", [refused("a"), DEAR, AT_HOME], ["dear", HOME, "a"]),
        ("spill-over", [refused(HOME), DEAR], ["dear", HOME]),
        ("cheapest", [refused("a", 1), DEAR, AT_HOME], [HOME, "dear", "a"]),
        # and in the strategy's order where all did
        ("cheapest", [refused("a", 2), refused("b", 1)], ["b", "a"]),
        # one less than the most is not full
        ("first-fit", [Candidate("a", labs=2, most=3)], ["a"]),
        ("first-fit", [full("a"), full(HOME)], []),
        ("spill-over", [], []),
    ],
)
def test_the_order(strategy: Strategy, candidates: list[Candidate], tried: list[str]) -> None:
    assert order(strategy, candidates) == tried


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from([HOME, "a", "b", "c"]),
        price=st.sampled_from([0.0, 1.0, 2.5]),
        labs=st.integers(0, 4),
        most=st.none() | st.integers(1, 4),
        refused=st.booleans(),
    ),
    unique_by=lambda one: one.name,
)


@given(strategy=st.sampled_from(STRATEGIES), candidates=CANDIDATES)
def test_each_cluster_with_room_is_tried_once_and_no_other(strategy: Strategy, candidates: list[Candidate]) -> None:
    tried = order(strategy, candidates)
    assert sorted(tried) == sorted(one.name for one in candidates if one.most is None or one.labs < one.most)
    by_name = {one.name: one for one in candidates}
    late = [by_name[name].refused for name in tried]
    assert late == sorted(late)
    for half in (False, True):
        part = [by_name[name] for name in tried if by_name[name].refused is half]
        if strategy == "cheapest":
            assert [one.price for one in part] == sorted(one.price for one in part)
        if strategy == "first-fit":
            assert part == [one for one in candidates if one in part]
        if strategy == "spill-over":
            assert HOME not in [one.name for one in part[1:]]
