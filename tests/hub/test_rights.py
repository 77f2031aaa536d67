"""Who may do what through the hub's API."""

import json

import pytest

from tests.hub.world import World


@pytest.fixture
def token(world: World) -> str:
    """A running lab's own token."""
    visit = world.visit("colibri")
    visit.start()
    yield world.daemon.environment("colibri")["JUPYTERHUB_API_TOKEN"]
    if visit.server():
        visit.stop()


def test_a_labs_token_says_who_and_that_it_is_active_and_nothing_else(world: World, token: str) -> None:
    assert world.api("GET", "user", token).json()["name"] == "colibri"
    activity = {"servers": {"": {"last_activity": "2020-01-01T00:00:00Z"}}}
    assert world.api("POST", "users/colibri/activity", token, json=activity).status_code == 200
    tries = [
        ("GET", "users"), ("GET", "users/lince"), ("GET", "users/colibri"), ("GET", "info"), ("GET", "proxy"), ("GET", "groups"), ("GET", "services"),
        ("POST", "users/spider"), ("PATCH", "users/colibri"), ("DELETE", "users/lince"), ("POST", "users/colibri/server"), ("DELETE", "users/colibri/server"),
        ("POST", "users/lince/server"), ("POST", "users/colibri/tokens"), ("POST", "users/lince/tokens"), ("POST", "users/admin/tokens"), ("POST", "shutdown"),
        ("POST", "users/lince/activity"), ("GET", "users/colibri/tokens"), ("POST", "proxy"), ("GET", "shares/lince"),
    ]  # fmt: skip
    answers = {f"{method} {path}": world.api(method, path, token, data=json.dumps({})).status_code for method, path in tries}
    # whoever asks for themselves learns what `user` says already
    assert answers.pop("GET users/colibri") in (200, 403, 404)
    assert {what: status for what, status in answers.items() if status not in (403, 404)} == {}


def test_a_labs_token_ends_with_it(world: World, token: str) -> None:
    world.visit("colibri").stop()
    assert world.api("GET", "user", token).status_code == 403


def test_the_status_token_looks_and_does_nothing(world: World) -> None:
    token = world.status_token
    found = world.api("GET", "users?state=active", token)
    assert found.status_code == 200
    assert all("auth_state" not in user for user in found.json())
    for method, path in (
        ("POST", "users/lince/server"),
        ("DELETE", "users/lince/server"),
        ("POST", "users/lince/tokens"),
        ("DELETE", "users/lince"),
        ("POST", "shutdown"),
        ("GET", "proxy"),
    ):
        assert world.api(method, path, token).status_code in (403, 404), (method, path)


def test_an_administrator_starts_and_stops_and_is_nobody_else(world: World) -> None:
    admin = world.visit("admin")
    world.visit("lince")
    assert "lince" in [user["name"] for user in admin.hub("GET", "users").json()]
    assert admin.hub("POST", "users/lince/server").status_code == 201
    assert admin.get("/user/lince/").status_code == 403
    assert admin.hub("DELETE", "users/lince/server").status_code == 204
    for method, path, body in (
        ("POST", "users/lince/tokens", {}),
        ("PATCH", "users/admin", {"admin": True}),
        ("POST", "users", {"usernames": ["spider"], "admin": True}),
        ("POST", "users/admin/tokens", {"scopes": ["access:servers"]}),
        ("POST", "groups/elabs-administrators/users", {"users": ["lince"]}),
        ("POST", "shutdown", {}),
        ("GET", "services", None),
    ):
        status = admin.hub(method, path, json=body).status_code
        assert status in (400, 403, 404), (method, path, status)


def test_people_administrate_nothing(world: World) -> None:
    visit = world.visit("lince")
    for method, path in (
        ("GET", "users"),
        ("POST", "users/colibri/server"),
        ("DELETE", "users/colibri/server"),
        ("GET", "users/colibri"),
        ("POST", "users/colibri/tokens"),
        ("GET", "proxy"),
    ):
        assert visit.hub(method, path).status_code in (403, 404), (method, path)
