"""Further clusters in the settings: what does not go together is one line, at the setting that is to be changed."""

from pathlib import Path

import pytest

from elabs.config.cluster import lacks
from elabs.config.load import ConfigError, load

SITE = "site: {url: https://labs.example.org}\n"
OTHER = "clusters:\n  b: {kubeconfig: b, namespace: elabs, url: https://b.example.org, proxy_api: 'https://b.example.org:8001', homes: shared, price: 1}\n"


def wrong(folder: Path, text: str) -> list[str]:
    file = folder / "elabs.yaml"
    file.write_text(text)
    try:
        load(file)
    except ConfigError as error:
        return [problem.split("elabs.yaml:", 1)[1] for problem in error.problems]
    return []


def profile(clusters: str, placement: str = "first-fit") -> str:
    return f"profiles:\n  p: {{title: P, clusters: {clusters}, placement: {placement}}}\n"


def test_what_goes_together(tmp_path: Path) -> None:
    assert wrong(tmp_path, SITE + OTHER + profile("[home, b]", "spill-over")) == []
    assert wrong(tmp_path, SITE + OTHER + profile("[b, home]", "cheapest") + "kubernetes: {price: 2}\n") == []
    # with one, there is nothing to compare
    assert wrong(tmp_path, profile("[home]", "cheapest")) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SITE + OTHER + profile("[home, c]"), "5: profiles.p.clusters[1]: 'c' is not one of the clusters: home, b"),
        (SITE + OTHER + profile("[]"), "5: profiles.p.clusters: give one cluster at least, or remove the line, which means home"),
        (SITE + OTHER + profile("[b, b]"), "5: profiles.p.clusters: 'b' stands there 2 times"),
        (SITE + OTHER + profile("[b]", "spill-over"), "5: profiles.p.placement: spill-over fills home first, which is not one of its clusters"),
        (SITE + OTHER + profile("[home, b]", "cheapest"), "5: profiles.p.placement: cheapest compares prices, and these are missing: kubernetes.price"),
        (SITE + OTHER.replace(", price: 1", "") + profile("[home, b]", "cheapest") + "kubernetes: {price: 2}\n", "5: profiles.p.placement: cheapest compares prices, and these are missing: clusters.b.price"),
        (OTHER, "1: clusters: needs site.url: labs in other clusters reach the hub by it"),
        ("site: {url: http://labs.example.org}\n" + OTHER, "1: site.url: labs in other clusters reach the hub by it, and their tokens would be read on the way; write https://NAME"),
        (SITE + OTHER.replace("  b:", "  home:"), "3: clusters.home: home is the hub's own cluster and is there without an entry; its settings are those of kubernetes"),
        (SITE + OTHER.replace("url: https://b", "url: http://b"), "3: clusters.b.url: 'http://b.example.org' is not encrypted: the tokens of labs would be read on the way; write https://NAME"),
        (SITE + OTHER.replace("'https://b", "'http://b"), "3: clusters.b.proxy_api: 'http://b.example.org:8001' is not encrypted"),
        (SITE + OTHER.replace(", homes: shared", ""), "3: clusters.b.homes: "),
        (SITE + OTHER.replace("price", "prise"), "3: clusters.b.prise: unknown key; did you mean price?"),
    ],
)  # fmt: skip
def test_what_does_not_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    assert wrong(tmp_path, text)[0].startswith(line)


def test_an_outpost_has_https_and_neither_clusters_nor_a_rule_for_a_name(tmp_path: Path) -> None:
    (tmp_path / "elabs.yaml").write_text(SITE + OTHER + "kubernetes:\n  outpost: {hub: https://labs.example.org}\n  ingress: {ingress_class: nginx}\n")
    assert [where for where, _ in lacks(load(tmp_path / "elabs.yaml"))] == [("clusters",), ("kubernetes", "outpost"), ("kubernetes", "ingress")]
    (tmp_path / "elabs.yaml").write_text("kubernetes: {}\n")
    assert lacks(load(tmp_path / "elabs.yaml")) == []


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    (line,) = wrong(tmp_path, "kubernetes: {ca: ca.pem}\n")
    assert line.startswith("1: kubernetes.ca: ")
    assert line.endswith("holds no certificate in PEM form")
