"""What a person may pick."""

import pytest

from elabs.config.model import Config
from elabs.hub import profiles

LDAP = {"ldap": {"server": "ldap.example.org", "search_base": "dc=example,dc=org"}}
CONFIG = Config.model_validate(
    {
        "login": LDAP,
        "profiles": {
            "small": {"title": "Small & <quick>", "size": "small"},
            "large": {"title": "Large", "description": "For <maps>", "size": "large", "groups": ["Ecology", "physics"]},
        },
    }
)
ALONE = Config.model_validate({"login": LDAP, "profiles": {"gpu": {"title": "GPU", "groups": ["physics"]}}})
EVERYBODY: set[str] = set()


@pytest.mark.parametrize(
    ("groups", "names"), [(EVERYBODY, ["small"]), ({"ecology"}, ["small", "large"]), ({"PHYSICS", "x"}, ["small", "large"]), ({"eco"}, ["small"])]
)
def test_groups_select_profiles(groups: set[str], names: list[str]) -> None:
    assert profiles.allowed(CONFIG, groups) == names


@pytest.mark.parametrize(
    ("config", "groups", "wanted", "got"),
    [
        (CONFIG, EVERYBODY, None, "small"),
        # what was wanted once and may not be had any more keeps nobody out
        (CONFIG, EVERYBODY, "large", "small"),
        (CONFIG, {"ecology"}, None, "small"),
        (CONFIG, {"ecology"}, "large", "large"),
        (CONFIG, {"ecology"}, "nonsense", None),
        (CONFIG, {"ecology"}, ["large"], None),
        (CONFIG, {"ecology"}, {"large": 1}, None),
        (ALONE, EVERYBODY, None, None),
        (ALONE, EVERYBODY, "gpu", None),
        (ALONE, {"physics"}, None, "gpu"),
    ],
)
def test_a_start_gets_what_may_be_had(config: Config, groups: set[str], wanted: object, got: str | None) -> None:
    assert profiles.choose(config, groups, wanted) == got


def test_nobody_is_asked_where_there_is_one() -> None:
    assert profiles.form(CONFIG, EVERYBODY, None) == ""


def test_the_form_escapes_and_remembers() -> None:
    html = profiles.form(CONFIG, {"ecology"}, "large")
    assert "Small &amp; &lt;quick&gt;" in html
    assert "For &lt;maps&gt;" in html
    assert "8G of memory, 4 CPU" in html
    assert [choice for choice in html.split("<input") if "checked" in choice and 'value="large"' in choice]
    assert html.count(" checked") == 1


def test_the_first_is_checked_where_nothing_is_remembered() -> None:
    for last in (None, "gone", ["large"]):
        html = profiles.form(CONFIG, {"ecology"}, last)
        assert [choice for choice in html.split("<input") if " checked" in choice and 'value="small"' in choice]
