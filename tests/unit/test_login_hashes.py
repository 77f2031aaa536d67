"""Passwords of the demo directory."""

import pytest

from elabs.hub.login.hashes import hash_password, verify_password


@pytest.mark.parametrize("password", ["abcd-efgh", "", "contraseña 🔑", " with spaces ", "\ud800"])
def test_the_password_and_no_other(password: str) -> None:
    hashed = hash_password(password)
    assert verify_password(password, hashed)
    assert not verify_password(password + "x", hashed)
    assert password not in hashed or password == ""


def test_two_hashes_of_one_password_differ() -> None:
    assert hash_password("same") != hash_password("same")


def test_something_else_is_no_hash() -> None:
    with pytest.raises(ValueError):
        verify_password("x", "plain")
    with pytest.raises(ValueError):
        verify_password("x", "md5$1$1$1$aa$aa")
