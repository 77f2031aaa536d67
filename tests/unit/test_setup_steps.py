"""The `ensure` steps: whole or not at all, done once, private where they hold secrets."""

import os
from pathlib import Path

import pytest

from elabs.cli.setup import accounts, code, folders, proxy, secrets
from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage.ids import Instance


@pytest.fixture
def me() -> Instance:
    """An instance whose programs are this very user, so that an ordinary one can make their files."""

    class Mine(Instance):
        hub_uid = os.geteuid()  # type: ignore[assignment]
        proxy_uid = os.geteuid()  # type: ignore[assignment]

    return Mine(0, "/x", 0x70000000, "198.18.0.0/20")


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "thing"
    calls = []

    def breaks(partial: Path) -> None:
        calls.append("breaks")
        (partial / "half").touch()
        raise OSError("no space")

    def works(partial: Path) -> None:
        calls.append("works")
        (partial / "whole").touch()

    with pytest.raises(OSError, match="no space"):
        folders.ensure_whole(folder, breaks)
    assert not folder.exists()
    assert folders.ensure_whole(folder, works) == folder
    assert [path.name for path in folder.iterdir()] == ["whole"]
    folders.ensure_whole(folder, works)
    assert calls == ["breaks", "works"]
    assert [path.name for path in folder.parent.iterdir()] == ["thing"]


def test_a_link_is_replaced_in_one_step(tmp_path: Path) -> None:
    link = tmp_path / "current"
    for target in ("one", "one", "two"):
        folders.point(link, target)
        assert os.readlink(link) == target
    assert [path.name for path in tmp_path.iterdir()] == ["current"]


def test_a_private_file_is_private_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    seen = []
    real = os.fchmod
    monkeypatch.setattr(os, "fchmod", lambda fd, mode: (seen.append(os.fstat(fd).st_mode & 0o777), real(fd, mode)))
    folders.write_private(path, "word", owner=os.geteuid(), mode=0o400)
    assert seen == [0o600]
    assert path.stat().st_mode & 0o777 == 0o400
    folders.write_private(path, "other", owner=os.geteuid())
    assert path.read_text() == "other"


def test_tokens_are_made_once_and_copied(tmp_path: Path, me: Instance) -> None:
    state = State(tmp_path)
    secrets.ensure(state, Config(), me)
    first = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert sorted(map(str, first)) == [
        "hub/secrets/proxy_token",
        "hub/secrets/status_token",
        "proxy/secrets/proxy_token",
        "secrets/proxy_token",
        "secrets/status_token",
    ]
    assert first[Path("hub/secrets/proxy_token")] == first[Path("secrets/proxy_token")] == first[Path("proxy/secrets/proxy_token")]
    assert first[Path("secrets/proxy_token")] != first[Path("secrets/status_token")]
    assert len(first[Path("secrets/proxy_token")].strip()) == 64
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    secrets.ensure(state, Config(), me)
    assert {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == first


def test_secrets_follow_the_settings_and_leave_with_them(tmp_path: Path, me: Instance) -> None:
    state = State(tmp_path / "state")
    state.root.mkdir()
    for name in ("cert", "key", "password"):
        (tmp_path / name).write_text(f"{name} text")
    ldap = {"server": "x", "search_base": "dc=x", "search_user": "cn=x", "search_password_file": str(tmp_path / "password")}
    config = Config.model_validate({"site": {"tls": {"certificate": str(tmp_path / "cert"), "key": str(tmp_path / "key")}}, "login": {"ldap": ldap}})
    secrets.ensure(state, config, me)
    assert (state.proxy / "key.pem").read_text() == "key text"
    assert (state.proxy / "certificate.pem").read_text() == "cert text"
    assert (state.hub / "secrets" / "ldap_password").read_text() == "password text"
    assert (state.proxy / "key.pem").stat().st_mode & 0o777 == 0o400
    secrets.ensure(state, Config(), me)
    assert not (state.proxy / "key.pem").exists()
    assert not (state.hub / "secrets" / "ldap_password").exists()


def test_demo_accounts_keep_their_passwords(tmp_path: Path, me: Instance) -> None:
    state = State(tmp_path)
    state.hub.mkdir()
    accounts.ensure(state, me)
    first = accounts.read(state)
    assert [account.name for account in first] == ["colibri", "lince", "admin"]
    assert len({account.password for account in first}) == 3
    assert all(len(account.password) == 14 for account in first)
    assert state.demo_accounts.stat().st_mode & 0o777 == 0o600
    hashed = (state.hub / "demo.json").read_text()
    assert not any(account.password in hashed for account in first)
    accounts.ensure(state, me)
    assert accounts.read(state) == first
    assert (state.hub / "demo.json").read_text() == hashed


def test_the_programs_code_is_a_copy_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, state = tmp_path / "project", State(tmp_path / "state")
    (project / "src/elabs/__pycache__").mkdir(parents=True)
    (project / "src/elabs/__init__.py").write_text("x = 1\n")
    (project / "src/elabs/__pycache__/old.pyc").write_text("")
    (project / "examples").mkdir()
    (project / "examples/a.txt").write_text("a")
    monkeypatch.setattr(code, "ROOT", project)
    first = code.ensure(state)
    assert (first / "src/elabs/__init__.py").read_text() == "x = 1\n"
    assert (first / "examples/a.txt").stat().st_mode & 0o777 == 0o644
    compiled = [path.name for path in first.rglob("*.pyc")]
    assert compiled == [f"__init__.{compiled[0].split('.')[1]}.pyc"]
    assert code.ensure(state) == first
    (project / "src/elabs/__init__.py").write_text("x = 2\n")
    second = code.ensure(state)
    assert second != first
    assert (first / "src/elabs/__init__.py").read_text() == "x = 1\n"


def test_npm_runs_with_our_node_and_nothing_else() -> None:
    outer = {
        "PATH": "/root/.pyenv/shims:/usr/bin",
        "HOME": "/root",
        "NODE_OPTIONS": "x",
        "https_proxy": "p",
        "NODE_EXTRA_CA_CERTS": "c",
        "npm_config_registry": "r",
        "NVM_DIR": "n",
    }
    assert proxy.environment(Path("/s"), outer) == {
        "PATH": "/s/bin:/usr/bin:/bin",
        "HOME": "/s",
        "LANG": "C.UTF-8",
        "npm_config_cache": "/s/.npm",
        "https_proxy": "p",
        "NODE_EXTRA_CA_CERTS": "c",
        "npm_config_registry": "r",
    }
