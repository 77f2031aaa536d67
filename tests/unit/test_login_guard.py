"""What stands before every authenticator, with an authenticator that knows one person."""

from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.auth import Authenticator
from tornado.web import HTTPError

from elabs.hub.login.attempts import Attempts
from elabs.hub.login.guard import DirectoryDown, NotAllowed, guarded


class One(Authenticator):
    asked: list[str] = []

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Any:
        self.asked.append(data["username"])
        if data["username"] == "down":
            raise DirectoryDown("nobody answers")
        if data["username"] == "stranger":
            raise NotAllowed("not in the group")
        return data["username"] if data["password"] == "right" else None


def made(form: bool = True, limit: int = 3) -> Any:
    One.asked = []
    return guarded(One, Attempts(limit, 60), lambda handler: "203.0.113.7", form=form)(allow_all=True)


async def log_in(authenticator: Any, name: str, password: str = "right") -> Any:
    return await authenticator.get_authenticated_user(SimpleNamespace(), {"username": name, "password": password})


async def refused(authenticator: Any, name: str, password: str = "right") -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        await log_in(authenticator, name, password)
    return caught.value


async def test_the_directory_is_asked_for_the_normal_name() -> None:
    authenticator = made()
    found = await log_in(authenticator, "  ＬINCE ")
    assert found["name"] == "lince"
    assert One.asked == ["lince"]


@pytest.mark.parametrize("name", ["", "../../etc", "x" * 300, "a\x00b"])
async def test_a_wrong_name_is_refused_in_words_and_no_directory_is_asked(name: str) -> None:
    error = await refused(made(), name)
    assert error.status_code == 400
    assert "user name" in error.jupyterhub_message
    assert One.asked == []


async def test_missing_fields_are_a_wrong_name() -> None:
    with pytest.raises(HTTPError) as caught:
        await made().authenticate(SimpleNamespace(), {})
    assert caught.value.status_code == 400


async def test_too_many_failures_wait() -> None:
    authenticator = made()
    for _ in range(3):
        assert await log_in(authenticator, "lince", "wrong") is None
    error = await refused(authenticator, "Lince")
    assert error.status_code == 429
    assert 0 < int(error.headers["Retry-After"]) <= 60
    assert error.headers["Retry-After"] in error.jupyterhub_message
    assert len(One.asked) == 3


async def test_a_directory_that_is_down_says_so_and_costs_no_attempt() -> None:
    authenticator = made()
    for _ in range(10):
        error = await refused(authenticator, "down")
        assert error.status_code == 503
        assert "does not answer" in error.jupyterhub_message
        assert "nobody answers" not in error.jupyterhub_message


async def test_a_stranger_is_told_so_and_costs_no_attempt() -> None:
    authenticator = made()
    for _ in range(10):
        assert (await refused(authenticator, "stranger")).status_code == 403


async def test_an_endless_password_is_not_hashed() -> None:
    assert await log_in(made(), "lince", "x" * 5000) is None
    assert One.asked == []


async def test_where_another_site_checks_the_password_names_with_another_spelling_are_refused() -> None:
    authenticator = made(form=False)
    assert (await log_in(authenticator, "fin"))["name"] == "fin"
    # the ligature: another account over there, and it would be the same person here
    assert await log_in(authenticator, "\ufb01n") is None
    assert await log_in(authenticator, "a\x00b") is None


@pytest.mark.parametrize(
    ("asker", "reason"),
    [
        (SimpleNamespace(name="lince", kind="user"), "asked"),
        (SimpleNamespace(name="admin", kind="user"), "administrator"),
        (SimpleNamespace(name="culler", kind="service"), "idle"),
        (SimpleNamespace(name="culler", kind="user"), "administrator"),
    ],
)
async def test_who_asks_for_a_stop_is_noted(asker: Any, reason: str) -> None:
    user = SimpleNamespace(name="lince", spawner=SimpleNamespace(stop_reason="asked"))
    assert await made().refresh_user(user, SimpleNamespace(current_user=asker)) is True
    assert user.spawner.stop_reason == reason
