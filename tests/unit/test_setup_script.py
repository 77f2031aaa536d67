"""The `elabs` script, with stand-ins for the system's programs: what it installs, asks, makes, and passes on."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A Python that knows `-I -c …` (which version), `-I -m venv FOLDER`, `-I -m pip …` and else prints what it was run with.
_PYTHON = """\
#!/bin/sh
case "$*" in
    '-I -c'*) echo "${FAKE_VERSION:-3.11}"; [ -z "${FAKE_OLD:-}" ] ;;
    *'-m venv '*) for last; do :; done; mkdir -p "$last/bin" "$last/lib/python3.11/site-packages"; cp "$0" "$last/bin/python" ;;
    *'-m pip '*) echo "pip $*" >>"$FAKE_LOG"; sleep "${FAKE_SLOW:-0}"; [ -z "${FAKE_FAILS:-}" ] || { echo 'ERROR: no such package'; exit 1; } ;;
    *) echo "run $*"; env | sort ;;
esac
"""


class Script:
    """A copy of the script in a folder of its own, where PATH holds the stand-ins first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.log = folder / "log"
        self.state = folder / "state"
        self.programs.mkdir()
        shutil.copytree(ROOT / "requirements", folder / "requirements")
        text = (ROOT / "elabs").read_text()
        assert text.count("\nPATH=/usr/sbin:") == 1 and text.count("\npython=/usr/bin/python3\n") == 1 and text.count(" PATH |") == 1
        text = text.replace("\nPATH=/usr/sbin:", f"\nPATH={self.programs}:/usr/sbin:").replace(
            "\npython=/usr/bin/python3\n", f"\npython={self.programs}/python3\n"
        )
        text = text.replace(" PATH |", " FAKE_* | PATH |").replace("/etc/os-release", f"{folder}/os-release")
        (folder / "elabs").write_text(text)
        (folder / "os-release").write_text("ID=debian\nVERSION_ID=12\n")
        self.program("python3", _PYTHON)
        self.program("id", "#!/bin/sh\necho ${FAKE_UID:-0}\n")
        self.program("dpkg-query", '#!/bin/sh\nshift 2\nfor name; do case " ${FAKE_MISSING:-} " in *" $name "*) ;; *) echo "installed $name" ;; esac; done\n')
        self.program("apt-get", '#!/bin/sh\necho "apt-get $* frontend=$DEBIAN_FRONTEND" >>"$FAKE_LOG"\n')

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        outer = {"PATH": "/nowhere", "HOME": str(self.folder / "home"), "FAKE_LOG": str(self.log)} | environment
        command = ["/bin/sh", str(self.folder / "elabs"), "--state", str(self.state), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=outer, stdin=subprocess.DEVNULL, cwd=self.folder, check=False)

    def logged(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def script(tmp_path: Path) -> Script:
    found = Script(tmp_path)
    if os.geteuid() != 0:
        # the script asks the shell who owns the state folder, and `id` who runs it
        found.state.mkdir()
    return found


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, (done.stdout, done.stderr)
    [line] = done.stderr.splitlines()
    assert line.startswith("elabs: ")
    return line.removeprefix("elabs: ")


def test_makes_the_environment_once_and_runs_the_command_line(script: Script) -> None:
    first = script.run("status")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("run -m elabs.cli --state")
    assert len(first.stderr.splitlines()) == 1 and "Installing" in first.stderr
    assert f"PYTHONPATH={script.folder}/src" in first.stdout
    [pip] = script.logged()
    for option in ("--no-deps", "--only-binary :all:", "--compile", "--quiet", "--no-input"):
        assert option in pip
    second = script.run("status")
    assert second.returncode == 0
    assert second.stderr == ""
    assert len(script.logged()) == 1


def test_a_changed_requirement_is_another_environment(script: Script) -> None:
    script.run("status")
    with (script.folder / "requirements" / "elabs.txt").open("a") as file:
        file.write("another==1.0\n")
    script.run("status")
    assert len(script.logged()) == 2
    assert len(list((script.state / "env").glob("*/complete"))) == 2


def test_an_interrupted_environment_is_made_again(script: Script) -> None:
    failed = script.run("status", FAKE_FAILS="1")
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-1].startswith("elabs: the Python environment could not be made: ERROR: no such package (all of it: ")
    assert not list((script.state / "env").glob("*/complete"))
    [left] = [path for path in (script.state / "env").iterdir() if path.is_dir()]
    (left / "half-made").touch()
    assert script.run("status").returncode == 0
    assert not (left / "half-made").exists()
    assert (left / "complete").exists()


def test_two_at_once_make_it_once(script: Script) -> None:
    outer = {"PATH": "/nowhere", "HOME": str(script.folder), "FAKE_LOG": str(script.log), "FAKE_SLOW": "1"}
    command = ["/bin/sh", str(script.folder / "elabs"), "--state", str(script.state), "status"]
    both = [subprocess.Popen(command, env=outer, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(script.logged()) == 1
    assert sorted("Installing" in text for text in said) == [False, True]


def test_the_tests_have_an_environment_on_top(script: Script) -> None:
    assert script.run("test", "--quick").returncode == 0
    assert [Path(line.split()[-1]).name for line in script.logged()] == ["elabs.txt", "test.txt"]
    [base] = (script.state / "env").glob("*/lib/python3.11/site-packages/base.pth")
    assert Path(base.read_text().strip()).is_dir()
    assert Path(base.read_text().strip()) != base.parent


def test_missing_packages_are_installed_with_yes(script: Script) -> None:
    done = script.run("up", "--yes", FAKE_MISSING="runc btrfs-progs")
    assert done.returncode == 0, done.stderr
    common = "apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install"
    assert [line for line in script.logged() if line.startswith("apt-get")] == [
        f"{common} --simulate --no-install-recommends runc btrfs-progs frontend=noninteractive",
        f"{common} --yes --no-install-recommends runc btrfs-progs frontend=noninteractive",
    ]


def test_lists_are_updated_only_where_a_package_is_not_known(script: Script) -> None:
    script.program("apt-get", '#!/bin/sh\necho "$*" >>"$FAKE_LOG"\ncase "$*" in *--simulate*) exit 100 ;; esac\n')
    assert script.run("up", "--yes", FAKE_MISSING="runc").returncode == 0
    assert [line.split()[5] for line in script.logged() if line.startswith("-q")] == ["install", "update", "install"]


def test_without_a_terminal_it_names_the_command(script: Script) -> None:
    line = one_line(script.run("up", "--detach", FAKE_MISSING="runc nftables"))
    assert line == "Debian packages are missing; give --yes, or run: apt-get install --no-install-recommends runc nftables"
    assert script.logged() == []


def test_a_command_that_runs_no_labs_needs_no_packages_for_them(script: Script) -> None:
    assert script.run("config", "check", FAKE_MISSING="runc chromium").returncode == 0
    assert script.run("test", "--quick", FAKE_MISSING="runc chromium").returncode == 0
    assert "chromium" in one_line(script.run("test", "--only", "browser", FAKE_MISSING="runc chromium qemu-system-x86"))
    assert "qemu" not in one_line(script.run("test", "--only=isolation", FAKE_MISSING="runc chromium qemu-system-x86"))
    assert "qemu" in one_line(script.run("test", FAKE_MISSING="runc chromium qemu-system-x86"))


def test_an_ordinary_user(script: Script) -> None:
    for command in ("up", "down", "demo", "service", "test"):
        assert "root" in one_line(script.run(command, FAKE_UID="1000"))
    assert not list(script.state.glob("env/*"))
    for arguments in (("test", "--quick"), ("config", "check"), ("up", "--help"), ("doctor",)):
        assert script.run(*arguments, FAKE_UID="1000").returncode == 0, arguments
    assert list((script.folder / "home/.cache/elabs/env").glob("*/complete"))
    assert not list(script.state.glob("env/*"))


def test_an_old_system(script: Script) -> None:
    (script.folder / "os-release").write_text("ID=debian\nVERSION_ID=11\n")
    assert one_line(script.run("up", "--yes")) == "this system is not supported; labs run on Debian 12 or newer"
    line = one_line(script.run("status", FAKE_OLD="1", FAKE_VERSION="3.9"))
    assert "3.11" in line and "3.9" in line


def test_only_the_administrators_settings_are_passed_on(script: Script) -> None:
    kept = {
        "PIP_INDEX_URL": "a",
        "https_proxy": "b",
        "SSL_CERT_FILE": "c",
        "NODE_EXTRA_CA_CERTS": "d",
        "npm_config_registry": "e",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
    }
    lost = {
        "PYTHONHOME": "x",
        "PYTHONPATH": "x",
        "NODE_OPTIONS": "x",
        "npm_config_prefix": "x",
        "PYENV_VERSION": "x",
        "VIRTUAL_ENV": "x",
        "LD_PRELOAD": "",
        "PIP_TARGET": "x",
        "BASH_ENV": "x",
    }
    shown = script.run("status", **kept, **lost).stdout.splitlines()
    for name, value in kept.items():
        assert f"{name}={value}" in shown
    for name in lost:
        assert f"{name}=x" not in shown
    assert any(line.startswith("PATH=") and "/usr/sbin:/usr/bin:/sbin:/bin" in line and "nowhere" not in line for line in shown)


def test_the_state_folder_is_read_wherever_it_is_written(script: Script) -> None:
    command = ["/bin/sh", str(script.folder / "elabs"), "status", "--state=elsewhere"]
    done = subprocess.run(command, capture_output=True, text=True, env={"HOME": "/", "FAKE_LOG": str(script.log)}, cwd=script.folder, check=False)
    assert done.returncode == 0
    assert list((script.folder / "elsewhere" / "env").glob("*/complete"))


def test_it_is_posix_sh() -> None:
    shell = shutil.which("dash") or "/bin/sh"
    subprocess.run([shell, "-n", str(ROOT / "elabs")], check=True)
    assert (ROOT / "elabs").read_text().startswith("#!/bin/sh\n")
    assert os.access(ROOT / "elabs", os.X_OK)


def test_a_terminal_is_asked_once(script: Script) -> None:
    helper = textwrap.dedent(
        """
        import os, pty, sys
        def read(fd):
            data = os.read(fd, 1024)
            if b"[Y/n]" in data:
                os.write(fd, sys.argv[1].encode() + b"\\n")
            return data
        sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[2:], read)))
        """
    )
    outer = {"PATH": "/nowhere", "HOME": str(script.folder), "FAKE_LOG": str(script.log), "FAKE_MISSING": "runc"}
    command = ["/bin/sh", str(script.folder / "elabs"), "--state", str(script.state), "up"]

    def ask(answer: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", helper, answer, *command], env=outer, capture_output=True, timeout=60, stdin=subprocess.DEVNULL, check=False
        )

    no = ask("n")
    assert no.returncode == 2 and no.stdout.count(b"[Y/n]") == 1, no.stdout
    assert not [line for line in script.logged() if "install --yes" in line]
    yes = ask("y")
    assert yes.returncode == 0 and yes.stdout.count(b"[Y/n]") == 1, yes.stdout
    assert len([line for line in script.logged() if "install --yes" in line]) == 1
