"""A booted guest, used as a person uses a server: by ssh. Each command is a login of its own, through PAM and logind, so that its end is a real logout.

What a command prints goes to a log as it comes, so that a test that hangs in the guest can be watched from here.
"""

import os
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .base import Base
from .qemu import Qemu, Unfit

BOOT_SECONDS = {"kvm": 180, "tcg": 900}
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """A command that ended in the guest. `output` is what it printed, both streams as they came; `seconds` is how long it took."""

    command: str
    status: int
    output: str
    seconds: float

    def ok(self) -> "Done":
        """Itself, where the command succeeded; else AssertionError with the end of what it printed."""
        assert self.status == 0, f"in the guest, `{self.command}` ended with {self.status} after {self.seconds:.0f} s:\n{self.output[-6000:]}"
        return self


class Guest:
    """One guest, from power on to power off. Its files live in a folder that the caller removes."""

    def __init__(self, base: Base, folder: Path, accelerator: str) -> None:
        self.folder = folder
        self.accelerator = accelerator
        self._qemu = Qemu(base, folder, accelerator)
        # Copies, since a newer base may take the place of this one while the guest runs.
        key, known_hosts = (shutil.copy2(file, folder) for file in (base.key, base.known_hosts))
        self._ssh_options = [
            *("-F", "none", "-p", str(self._qemu.port), "-i", str(key), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={known_hosts}", "-o", "HostKeyAlias=guest", "-o", "StrictHostKeyChecking=yes"),
            *("-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8", "-o", "LogLevel=ERROR"),
        ]
        try:
            self.wait_for_login()
        except BaseException:
            self.stop()
            raise

    def wait_for_login(self, other_boot_than: str = "") -> str:
        """Waits until root may log in, after a reboot until the machine is another boot than before. Returns the boot's id; TimeoutError, `qemu.Unfit`."""
        seconds = BOOT_SECONDS[self.accelerator]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._qemu.check()
            boot = self.run("cat /proc/sys/kernel/random/boot_id", timeout=30)
            if boot.status == 0 and boot.output.strip() != other_boot_than:
                return boot.output.strip()
            time.sleep(0.5)
        if self.accelerator == "kvm" and "systemd[1]" not in self._console():
            raise Unfit(f"its kernel did not come up within {seconds} s")
        raise TimeoutError(f"the guest let nobody in within {seconds:.0f} s; {self.story()}")

    def run(self, command: str, *, user: str = "root", timeout: float = 120) -> Done:
        """Runs a shell command in a login session of its own. One that takes longer than `timeout` seconds is cut off and has status 124."""
        log = self.folder / "commands.log"
        started = time.monotonic()
        with log.open("ab") as out:
            out.write(f"\n$ [{user}] {command}\n".encode())
            out.flush()
            start = out.tell()
            try:
                status = subprocess.run(self._ssh(user, command), stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=timeout).returncode
            except subprocess.TimeoutExpired:
                status = 124
        with log.open("rb") as printed:
            printed.seek(start)
            return Done(command, status, printed.read().decode(errors="replace"), time.monotonic() - started)

    def session(self, user: str) -> subprocess.Popen[bytes]:
        """A login that stays: a shell that reads commands from the returned process's stdin. Who asked for it ends it."""
        return subprocess.Popen(self._ssh(user, "exec sh"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def write(self, path: str, content: str) -> None:
        """Writes a file in the guest, as root."""
        command = f"mkdir -p $(dirname {shlex.quote(path)}) && cat > {shlex.quote(path)}"
        subprocess.run(self._ssh("root", command), input=content.encode(), check=True, timeout=60)

    def push_checkout(self, path: str) -> None:
        """Unpacks this checkout into a folder of the guest: the files that belong to the project, without git's own."""
        listed = subprocess.run(["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True)
        if listed.returncode == 0:
            names = b"\0".join(name for name in listed.stdout.split(b"\0") if os.path.lexists(REPOSITORY / os.fsdecode(name)) and name)
        else:
            names = b"."  # Not a git checkout: an unpacked archive is pushed as it is.
        archive = subprocess.run(["tar", "-C", str(REPOSITORY), "--null", "-T", "-", "-cf", "-"], input=names, capture_output=True, check=True).stdout
        command = f"mkdir -p {shlex.quote(path)} && tar -C {shlex.quote(path)} --no-same-owner -xf -"
        subprocess.run(self._ssh("root", command), input=archive, check=True, timeout=120)

    def reboot(self) -> None:
        """Reboots as an administrator does, and returns when one can log in again."""
        before = self.run("cat /proc/sys/kernel/random/boot_id").ok().output.strip()
        self.run("systemctl reboot", timeout=60)  # Its status says nothing: the connection may end first.
        self.wait_for_login(other_boot_than=before)

    def story(self) -> str:
        """What the guest's console and QEMU last said, for a failed test."""
        return f"QEMU said: {self._qemu.said()[-1000:] or 'nothing'}\nthe console ends:\n{self._console()[-4000:]}"

    def _console(self) -> str:
        return self._qemu.console.read_text(errors="replace") if self._qemu.console.exists() else ""

    def stop(self) -> None:
        """Ends the guest, and only it."""
        self._qemu.stop()

    def _ssh(self, user: str, command: str) -> list[str]:
        return ["ssh", *self._ssh_options, f"{user}@127.0.0.1", command]
