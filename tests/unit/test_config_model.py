"""What the model itself promises to the parts that read it."""

from importlib.metadata import entry_points

import pytest
from pydantic import ValidationError

from elabs.config.model import OAUTH_CLASSES, Config, Size
from elabs.config.section import listen_address


def test_settings_in_force_survive_json() -> None:
    config = Config.model_validate(
        {
            "labs": {"idle": {"after": "90m"}, "start_timeout": "45s"},
            "sizes": {"odd": {"memory": 1500000000, "tmp": "1000000k"}},
            "login": {"ldap": {"server": "x", "search_base": "y"}},
        }
    )
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert config.labs.start_timeout == 45
    assert config.sizes["odd"].memory == 1500000000


def test_values_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Config().site.name = "x"  # type: ignore[misc]


def test_sizes_that_are_given_are_added_to_those_that_are_there() -> None:
    config = Config.model_validate({"sizes": {"medium": {"memory": "4G"}, "huge": {"memory": "32G", "cpu": 8}}})
    assert config.sizes["medium"] == Size.model_validate({"memory": "4G", "cpu": 2.0, "pids": 512})
    assert config.sizes["large"] == Config().sizes["large"]
    assert config.sizes["huge"].cpu == 8.0


def test_tmp_is_half_of_the_memory_and_never_more_than_all() -> None:
    assert Size.model_validate({"memory": "512M"}).tmp == 2**28
    assert Size.model_validate({"memory": "64G"}).tmp == 2**30
    with pytest.raises(ValidationError, match="more than the lab's memory"):
        Size.model_validate({"memory": "512M", "tmp": "1G"})


def test_a_profile_takes_what_it_does_not_say_from_the_file() -> None:
    config = Config.model_validate({"image": "small", "profiles": {"a": {"title": "A"}, "b": {"title": "B", "image": "full", "size": "large"}}})
    assert [config.image_of(name) for name in ("a", "b")] == ["small", "full"]
    assert [config.size_of(name).memory for name in ("a", "b")] == [2**31, 2**33]


def test_the_method_of_login_follows_what_is_given() -> None:
    ldap = {"server": "x", "search_base": "y"}
    oauth = {"class": "github", "client_id": "x"}
    for given, method in (
        ({}, "demo"),
        ({"ldap": ldap}, "ldap"),
        ({"oauth": oauth}, "oauth"),
        ({"ldap": ldap, "method": "demo"}, "demo"),
        ({"method": "pam"}, "pam"),
    ):
        assert Config.model_validate({"login": given}).login.method == method
    with pytest.raises(ValidationError, match="say which is in force"):
        Config.model_validate({"login": {"ldap": ldap, "oauth": oauth}})


def test_the_known_oauth_classes_are_those_of_oauthenticator() -> None:
    names = {found.name for found in entry_points(group="jupyterhub.authenticators") if found.value.startswith("oauthenticator.")}
    assert set(OAUTH_CLASSES) == {name for name in names if not name.startswith("local-")}


def test_addresses_to_listen_on() -> None:
    assert listen_address("127.0.0.1:8000") == ("127.0.0.1", 8000)
    assert listen_address("[::]:443") == ("::", 443)
    for wrong in (
        "",
        "8000",
        ":8000",
        "localhost:8000",
        "0.0.0.0",
        "0.0.0.0:0",
        "0.0.0.0:70000",
        ":::443",
        "[1.2.3.4]:5",
        "[::1]",
        "1.2.3.4:٣",
        "1.2.3.4: 5",
        8000,
        None,
    ):
        with pytest.raises(ValidationError):
            Config.model_validate({"site": {"listen": wrong}})
