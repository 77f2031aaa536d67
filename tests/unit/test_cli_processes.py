"""The programs' command lines and users, and what supervisord and systemd are told, word by word."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from elabs.cli.processes import programs as module
from elabs.cli.processes import supervisor, units
from elabs.cli.processes.programs import Program, programs
from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage.ids import Instance

STATE = State(Path("/srv/e"))
INSTANCE = Instance(3, "/srv/e", 0x70000000, "198.18.48.0/20")
PYTHON, CODE = Path("/srv/e/env/abc/bin/python"), Path("/srv/e/code/def")
HUB, PROXY = "1879048193", "1879048194"


def test_commands() -> None:
    runtime, proxy, hub = programs(STATE, Config(), INSTANCE, PYTHON, CODE, with_parent=True)
    assert runtime.command == ("/usr/bin/setpriv", "--pdeathsig", "TERM", "--", "/srv/e/env/abc/bin/python", "-m", "elabs.runtime.local")
    bind = "-all,+net_bind_service"
    assert proxy.command == (
        "/usr/bin/setpriv",
        "--reuid",
        PROXY,
        "--regid",
        PROXY,
        "--clear-groups",
        "--no-new-privs",
        f"--inh-caps={bind}",
        f"--ambient-caps={bind}",
        f"--bounding-set={bind}",
        "--pdeathsig",
        "TERM",
        "--",
        "/srv/e/env/abc/bin/python",
        "-m",
        "elabs.hub.proxy",
    )
    assert hub.command == (
        "/usr/bin/setpriv",
        "--reuid",
        HUB,
        "--regid",
        HUB,
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "--bounding-set=-all",
        "--pdeathsig",
        "TERM",
        "--",
        "/srv/e/env/abc/bin/python",
        "-m",
        "elabs.hub",
    )


def test_environments_hold_the_state_folder_and_no_secret() -> None:
    runtime, proxy, hub = programs(STATE, Config(), INSTANCE, PYTHON, CODE, with_parent=False)
    common = {
        "ELABS_STATE": "/srv/e",
        "LANG": "C.UTF-8",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": "/srv/e/code/def/src",
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    assert runtime.environment == common | {"ELABS_EXAMPLES": "/srv/e/code/def/examples", "HOME": "/root", "USER": "root"}
    assert proxy.environment == common | {"HOME": "/srv/e/proxy", "USER": "elabs-proxy"}
    assert hub.environment == common | {"HOME": "/srv/e/hub", "USER": "elabs-hub"}
    assert "--pdeathsig" not in hub.command + runtime.command + proxy.command


def test_only_pam_lets_the_hub_read_the_machines_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_shadow", lambda: 42)
    config = Config.model_validate({"login": {"method": "pam"}})
    hub = programs(STATE, config, INSTANCE, PYTHON, CODE, with_parent=False)[2]
    assert hub.command[5:7] == ("--groups", "42")
    assert "--clear-groups" not in hub.command


def test_supervisord() -> None:
    shown = [
        Program("runtime", "labs' runtime", ("setpriv", "--", "py thon"), {"B": "100%", "A": "1"}, Path("/")),
        Program("hub", "hub", ("hub",), {}, Path("/srv/e/hub")),
    ]
    assert supervisor.configuration(STATE, shown) == (
        "[supervisord]\n"
        "logfile=/srv/e/log/supervisord.log\n"
        "logfile_maxbytes=10485760\n"
        "logfile_backups=1\n"
        "pidfile=/srv/e/run/supervisor.pid\n"
        "childlogdir=/srv/e/log\n"
        "directory=/\n"
        "umask=022\n"
        "user=root\n"
        "\n"
        "[unix_http_server]\n"
        "file=/srv/e/run/supervisor.sock\n"
        "chmod=0700\n"
        "\n"
        "[supervisorctl]\n"
        "serverurl=unix:///srv/e/run/supervisor.sock\n"
        "\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        "\n"
        "[program:runtime]\n"
        "command=setpriv -- 'py thon'\n"
        'environment=A="1",B="100%%"\n'
        "directory=/\n"
        "autostart=false\n"
        "autorestart=unexpected\n"
        "exitcodes=0\n"
        "startsecs=1\n"
        "startretries=100\n"
        "stopwaitsecs=30\n"
        "redirect_stderr=true\n"
        "stdout_logfile=/srv/e/log/runtime.log\n"
        "stdout_logfile_maxbytes=10485760\n"
        "stdout_logfile_backups=3\n"
        "\n"
        "[program:hub]\n"
        "command=hub\n"
        "environment=\n"
        "directory=/srv/e/hub\n"
        "autostart=false\n"
        "autorestart=true\n"
        "startsecs=1\n"
        "startretries=100\n"
        "stopwaitsecs=30\n"
        "redirect_stderr=true\n"
        "stdout_logfile=/srv/e/log/hub.log\n"
        "stdout_logfile_maxbytes=10485760\n"
        "stdout_logfile_backups=3\n"
    )


def test_a_unit() -> None:
    program = Program("hub", "hub", ("/usr/bin/setpriv", "a b", "100%", "$x"), {"HOME": "/srv/my hub"}, Path("/srv/e/hub"), (Path("/srv/e"),))
    assert units.files(STATE, INSTANCE, [program]) == {
        "elabs-3-hub.service": (
            "[Unit]\n"
            "Description=elabs: hub (/srv/e)\n"
            "Wants=elabs-3-runtime.service elabs-3-proxy.service\n"
            "After=elabs-3-runtime.service elabs-3-proxy.service\n"
            "StartLimitIntervalSec=0\n"
            "\n"
            "[Service]\n"
            'ExecStart=/usr/bin/setpriv "a b" 100%% $$x\n'
            'Environment="HOME=/srv/my hub"\n'
            "WorkingDirectory=/srv/e/hub\n"
            "Restart=always\n"
            "RestartSec=1\n"
            "Slice=elabs.slice\n"
            "KillMode=mixed\n"
            "UMask=0022\n"
            "NoNewPrivileges=yes\n"
            "ProtectSystem=strict\n"
            "PrivateDevices=yes\n"
            "ProtectKernelTunables=yes\n"
            "ProtectKernelModules=yes\n"
            "ProtectKernelLogs=yes\n"
            "ProtectControlGroups=yes\n"
            "ProtectClock=yes\n"
            "ProtectHostname=yes\n"
            "RestrictNamespaces=yes\n"
            "RestrictRealtime=yes\n"
            "RestrictSUIDSGID=yes\n"
            "LockPersonality=yes\n"
            "SystemCallArchitectures=native\n"
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
            "PrivateTmp=yes\n"
            "ProtectHome=yes\n"
            "ReadWritePaths=/srv/e/hub\n"
            "\n"
            "[Install]\n"
            "WantedBy=multi-user.target\n"
        )
    }


def test_the_runtimes_unit_keeps_the_hosts_mounts() -> None:
    """A private view of the host's mounts would hide the homes, which the runtime mounts, from everybody else."""
    program = programs(STATE, Config(), INSTANCE, PYTHON, CODE, with_parent=False)[0]
    text = units.files(STATE, INSTANCE, [program])["elabs-3-runtime.service"]
    for setting in ("Protect", "Private", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths"):
        assert setting not in text


@pytest.mark.parametrize(
    ("root", "snippets", "hidden"),
    [
        ("/srv/e", None, ["PrivateTmp=yes", "ProtectHome=yes"]),
        ("/home/me/e", None, ["PrivateTmp=yes"]),
        ("/var/tmp/e", None, ["ProtectHome=yes"]),
        ("/srv/e", "/root/snippets", ["PrivateTmp=yes"]),
    ],
)
def test_a_unit_hides_nothing_that_its_program_needs(root: str, snippets: str | None, hidden: list[str]) -> None:
    config = Config.model_validate({"hub": {"snippets": snippets}} if snippets else {})
    hub = programs(State(Path(root)), config, INSTANCE, PYTHON, CODE, with_parent=False)[2]
    text = units.files(State(Path(root)), INSTANCE, [hub])["elabs-3-hub.service"]
    assert [line for line in text.splitlines() if line.startswith(("PrivateTmp", "ProtectHome"))] == hidden


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("root", ["/srv/elabs", "/home/some one/100% elabs"])
def test_systemd_accepts_the_units(tmp_path: Path, root: str) -> None:
    state = State(Path(root))
    texts = units.files(
        state,
        INSTANCE,
        [replace(program, folder=tmp_path) for program in programs(state, Config(), INSTANCE, Path("/usr/bin/python3"), CODE, with_parent=False)],
    )
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in texts)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if str(tmp_path) in line or "elabs-3" in line], done.stderr
