"""Other clusters as the hub sees them: which routes their proxies are to have, which kubeconfig is used, how long one is waited for."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elabs.config.model import Config
from elabs.hub.cluster import afar, clouds, routes
from elabs.hub.cluster.clouds import Cloud, Clouds, CloudSilent
from elabs.hub.spawner import LabRefused
from elabs.runtime.kubernetes import labs

SETTINGS: dict[str, Any] = {
    "site": {"url": "https://labs.example.org"},
    "profiles": {"p": {"title": "P", "clusters": ["home", "b"], "placement": "cheapest"}, "q": {"title": "Q", "clusters": ["home", "b"]}},
    "clusters": {
        "b": {
            "kubeconfig": "b", "namespace": "research", "release": "out", "url": "https://b.example.org", "proxy_api": "https://b.example.org:8001",
            "homes": "shared", "storage_class": "cephfs", "price": 1, "labs": 2,
        }
    },
    "kubernetes": {"price": 3, "labs": 1, "storage_class": "rbd"},
}  # fmt: skip
CONFIG = Config.model_validate(SETTINGS)


def cloud(homes: str = "shared", pods: tuple[str, ...] = ()) -> Cloud:
    """The cluster `b`, in which these pods were seen last; it does not answer now."""
    found = Cloud("b", CONFIG.clusters["b"].model_copy(update={"homes": homes}), Path("/nowhere"), Path("/nowhere"))
    if pods:
        watch: Any = SimpleNamespace(resources={f"research/{name}": {"metadata": {"name": name}} for name in pods})
        found._watches["pods"] = watch
    return found


@dataclass
class Lab:
    """A spawner, as routes look at it."""

    name: str
    cluster: str
    at: str | None
    ready: bool = True
    pending: str | None = None

    @property
    def proxy_spec(self) -> str:
        return f"/user/{self.name}/"

    @property
    def user(self) -> Any:
        return SimpleNamespace(name=self.name)

    def address(self) -> str | None:
        return self.at


def test_a_proxy_is_to_know_the_labs_of_its_cluster() -> None:
    labs_ = [
        Lab("a", "b", "10.0.0.1"),
        Lab("six", "b", "fd00::1"),
        Lab("home", "home", "10.0.0.2"),
        Lab("starts", "b", None, ready=False, pending="spawn"),
        Lab("unseen", "b", None),
        Lab("stopped", "b", None, ready=False),
    ]
    found = routes.wanted("b", labs_)
    assert found.routes == {"/user/a/": "http://10.0.0.1:8888", "/user/six/": "http://[fd00::1]:8888"}
    assert found.left == {"/user/starts/", "/user/unseen/"}


def test_only_what_differs_is_told() -> None:
    found = routes.Wanted(routes={"/user/a/": "http://1:8888", "/user/b/": "http://2:8888", "/user/c/": "http://3:8888"}, left={"/user/d/"})
    there = {"/user/a/": "http://1:8888", "/user/b/": "http://9:8888", "/user/d/": "http://4:8888", "/user/old/": "http://5:8888"}
    added, removed = routes.differences(found, {path: {"target": target} for path, target in there.items()})
    assert added == {"/user/b/": "http://2:8888", "/user/c/": "http://3:8888"}
    assert removed == ["/user/old/"]


@pytest.mark.parametrize(
    ("kubeconfig", "says"),
    [
        ([], "no mapping"),
        ({"clusters": [{"cluster": {"server": "http://x"}}]}, "does not verify"),
        ({"clusters": [{"cluster": {"server": "https://x", "insecure-skip-tls-verify": True}}]}, "does not verify"),
        ({"clusters": [{"cluster": {"server": "https://x"}}], "users": [{"user": {"exec": {"command": "aws"}}}]}, "calls a program"),
    ],
)
def test_a_kubeconfig_that_cannot_serve(kubeconfig: Any, says: str) -> None:
    assert says in str(clouds.wrong(kubeconfig))


def test_a_client_is_made_of_its_kubeconfig_alone(tmp_path: Path) -> None:
    from kubernetes_asyncio.client import Configuration

    before = Configuration.get_default_copy().host
    file = tmp_path / "kubeconfig"
    file.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: 'https://far.example.org:6443'}}],"
        " users: [{name: u, user: {token: abc}}], contexts: [{name: c, context: {cluster: c, user: u}}]}"
    )

    async def made() -> str:
        client = await clouds.client(file, tmp_path / "keys")
        await client.close()
        return str(client.configuration.host)

    assert asyncio.run(made()) == "https://far.example.org:6443"
    assert Configuration.get_default_copy().host == before
    file.write_text("current-context: nowhere\n")
    with pytest.raises(OSError, match="kubeconfig cannot be read"):
        asyncio.run(made())


def test_before_it_answers_nothing_is_known() -> None:
    with pytest.raises(CloudSilent):
        _ = cloud().core
    assert cloud().watch("pods") is None
    assert cloud().labs() == set()


def test_where_a_lab_is_tried_follows_prices_limits_and_refusals() -> None:
    both = Clouds([cloud()])
    assert afar.in_turn(both, CONFIG, "p", set()) == ["b", "home"]
    assert afar.in_turn(both, CONFIG, "q", set()) == ["home", "b"]
    assert afar.in_turn(both, CONFIG, "q", {"lab-x"}) == ["b"]
    assert afar.in_turn(Clouds([cloud(pods=("lab-x", "lab-y"))]), CONFIG, "p", set()) == ["home"]
    both.refuse("b")
    assert afar.in_turn(both, CONFIG, "p", set()) == ["home", "b"]
    assert afar.limit(CONFIG, "p") == CONFIG.labs.start_timeout + CONFIG.labs.next_cluster_after


def test_a_refusal_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Clouds([cloud()])
    both.refuse("b")
    monkeypatch.setattr(clouds, "REFUSED_SECONDS", 0.0)
    assert not both.refused("b")


def test_two_labs_of_a_person_never_write_the_same_home() -> None:
    """A cluster where the person's pod was seen last, and which does not answer now."""
    with pytest.raises(LabRefused) as refused:
        asyncio.run(afar.alone(Clouds([cloud("shared", ("lab-x",))]), "home", "lab-x"))
    assert refused.value.code == "still-elsewhere"
    for homes, pod, cluster in (("separate", "lab-x", "home"), ("shared", "lab-y", "home"), ("shared", "lab-x", "b")):
        asyncio.run(afar.alone(Clouds([cloud(homes, ("lab-x",))]), cluster, pod))


def test_patience_counts_from_the_last_moment_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(afar.time, "monotonic", lambda: now[0])
    some, endless = afar.Patience(5), afar.Patience(None)
    for at, waits, over in ((4, True, False), (5.5, True, True), (6, False, False), (10, True, False), (11.5, True, True)):
        now[0] = at
        assert some.is_over(waits) is over
        assert not endless.is_over(waits)


def test_what_is_made_there_is_the_outposts() -> None:
    release = cloud().release
    assert (release.name, release.namespace, release.priority_class) == ("out", "research", "research-out-lab")
    assert labs.common_labels(release)["app.kubernetes.io/instance"] == "out"
    assert labs.home(CONFIG, "b")["storage_class"] == "cephfs"
    assert labs.home(CONFIG)["storage_class"] == "rbd"


def test_labs_get_the_institutes_own_authorities() -> None:
    found = labs.traits(CONFIG, cloud().release, "p", "lince", authorities="PEM")
    assert found["extra_annotations"]["elabs.lab/authorities"] == "PEM"
    mount = found["volume_mounts"][-1]
    assert mount == {"name": "accounts", "mountPath": "/etc/elabs/authorities.pem", "subPath": "authorities", "readOnly": True}
    assert found["environment"]["ELABS_AUTHORITIES"] == mount["mountPath"]
