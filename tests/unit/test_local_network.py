"""The rules between labs, host and world, as text; what they do is tried in tests/isolation."""

from elabs.runtime.local import network
from elabs.storage.ids import Instance

INSTANCE = Instance(3, "/s", 1879048192, "198.18.48.0/20")


def test_names_and_addresses_of_an_instance() -> None:
    assert network.lab_interface(INSTANCE, 4094) == "elab3-4094"
    assert len(network.lab_interface(Instance(31, "/s", 0, "198.19.240.0/20"), 4094)) <= 15
    assert network.lab_address(INSTANCE, network.FIRST_LAB) == "198.18.48.16"
    assert network.capacity(INSTANCE) == 4079
    assert network.lab_address(INSTANCE, network.FIRST_LAB + network.capacity(INSTANCE) - 1) == "198.18.63.254"


def test_allowed_networks_come_before_the_forbidden_ones() -> None:
    rules = network.ruleset(INSTANCE, ["10.1.0.0/16", "192.168.7.0/24"])
    out = rules[rules.index("chain out_of_lab") :]
    assert (
        out.index("ip daddr 198.18.48.0/20 reject")
        < out.index("ip daddr 10.1.0.0/16 accept")
        < out.index("ip daddr 192.168.7.0/24 accept")
        < out.index("10.0.0.0/8")
    )


def test_only_hub_and_proxy_reach_a_lab() -> None:
    rules = network.ruleset(INSTANCE, [])
    chain = rules[rules.index("chain to_lab") :]
    assert "meta skuid { 1879048193, 1879048194 } accept\n    reject" in chain


def test_every_forbidden_range_is_in_the_rules() -> None:
    for forbidden in network.FORBIDDEN:
        assert forbidden in network.ruleset(INSTANCE, [])
