"""What a build takes from the host, and what it must leave there."""

from pathlib import Path

import pytest

from elabs.runtime.images import host


def test_of_apts_settings_only_what_reaches_the_mirror():
    dump = (
        'APT::Install-Recommends "1";\nAcquire::http::Proxy "http://proxy.example:3128";\nAcquire::http::Proxy::mirror.example "DIRECT";\n'
        'Acquire::https::Timeout "30";\nAcquire::http::Proxy-Auto-Detect "/usr/bin/run-me";\nDpkg::Pre-Invoke:: "rm -rf /";\nAcquire::http::Proxy "";\n'
    )
    kept = host.apt_settings(dump)
    assert 'Acquire::http::Proxy "http://proxy.example:3128";' in kept
    assert 'Acquire::http::Proxy::mirror.example "DIRECT";' in kept
    assert 'Acquire::https::Timeout "30";' in kept
    assert not [line for line in kept if "Invoke" in line or "Recommends" in line or "run-me" in line or 'Proxy ""' in line]


def test_of_pips_settings_only_network_addresses(tmp_path: Path):
    (tmp_path / "first").write_text("[global]\nindex-url = https://old.example/simple\ncert = /etc/ca.crt\nfind-links = /opt/wheels\nno-cache-dir = true\n")
    (tmp_path / "second").write_text(
        "[global]\nindex-url = https://index.example/simple\nextra-index-url = file:///opt/simple https://more.example/simple\n[install]\ntrusted-host = index.example\n"
    )
    found = host.pip_settings([tmp_path / "first", tmp_path / "none", tmp_path / "second"])
    assert found == "[global]\nindex-url = https://index.example/simple\nextra-index-url = https://more.example/simple\ntrusted-host = index.example\n"


def test_secrets_of_the_hosts_environment_stay_there(monkeypatch: pytest.MonkeyPatch):
    given = {
        "https_proxy": "http://proxy.example",
        "PIP_INDEX_URL": "https://index.example",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PIP_FIND_LINKS": "/opt",
        "LD_PRELOAD": "x",
        "PYTHONPATH": "/x",
    }
    found = host.environment(given)
    assert found["https_proxy"] == "http://proxy.example"
    assert found["PIP_INDEX_URL"] == "https://index.example"
    assert not {"AWS_SECRET_ACCESS_KEY", "PIP_FIND_LINKS", "LD_PRELOAD", "PYTHONPATH"} & set(found)


def test_the_folder_lent_to_the_build_is_made_anew(tmp_path: Path):
    (tmp_path / "first.txt").write_text("a==1\n")
    (tmp_path / "second.txt").write_text("b==2\n")
    (tmp_path / "input").mkdir()
    (tmp_path / "input/left").write_text("")
    host.prepare(tmp_path / "input", [tmp_path / "first.txt", tmp_path / "second.txt"])
    assert {path.name for path in (tmp_path / "input").iterdir()} - {"ca.crt"} == {"apt-host.conf", "apt.conf", "pip.conf", "npmrc", "requirements.txt"}
    assert (tmp_path / "input/requirements.txt").read_text() == "a==1\nb==2\n"
    assert (tmp_path / "input/npmrc").stat().st_mode & 0o777 == 0o600
