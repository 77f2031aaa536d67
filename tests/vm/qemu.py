"""One QEMU process: a machine of two processors whose only way in is a port of this machine's loopback address.

QEMU itself picks the port, so no other program can take it in between, and QMP (QEMU's control socket, one JSON object a line) tells which. The process dies
with whoever started it, so that an interrupted test run leaves nothing behind.
"""

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from . import settings
from .base import Base

MEMORY_MB = 8192
PROCESSORS = 2
# Emulated, a processor is quicker the less it can; this one has what NumPy's wheels ask for. One thread for both: with a thread each, QEMU 7.2 may run the one
# over code that the other's kernel is just patching, and the guest panics (int3).
_ACCELERATORS = {
    "kvm": ("-machine", "q35", "-accel", "kvm", "-cpu", "host"),
    "tcg": ("-machine", "q35", "-accel", "tcg,thread=single,tb-size=1024", "-cpu", "Nehalem"),
}
# Guards against what the other tenants of a real processor might see; an emulated one has no use for them.
_KERNEL_ARGUMENTS = {"kvm": "", "tcg": " mitigations=off nopti"}


class Unfit(RuntimeError):
    """KVM opened, and then took not even the processor's settings, or could not run the guest's kernel: a hypervisor below that emulates only what it was made for. The message says what QEMU saw."""


class Qemu:
    """A running machine on a base's disk, with its own overlay, console log and control socket in a folder of its own."""

    def __init__(self, base: Base, folder: Path, accelerator: str, memory_mb: int = MEMORY_MB) -> None:
        self.console = folder / "console.log"
        self._errors = folder / "qemu.log"
        overlay, control = folder / "overlay.qcow2", folder / "qmp.sock"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base.disk), str(overlay)], check=True)
        command = [
            *("setpriv", "--pdeathsig", "KILL"),
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
            *_ACCELERATORS[accelerator],
            *("-smp", str(PROCESSORS), "-m", str(memory_mb)),
            *("-kernel", str(base.kernel), "-initrd", str(base.initrd), "-append", f"root=/dev/vda ro console=ttyS0{_KERNEL_ARGUMENTS[accelerator]}"),
            # The disk lives as long as the tests: what the guest flushes need not reach this machine's disk.
            *("-drive", f"file={overlay},format=qcow2,if=none,id=disk,cache=unsafe,discard=unmap", "-device", "virtio-blk-pci,drive=disk"),
            *("-netdev", "user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22", "-device", "virtio-net-pci,netdev=net,addr=0x3"),
            *("-device", "virtio-rng-pci", "-smbios", f"type=1,product={settings.GUEST_NAME}"),
            *("-serial", f"file:{self.console}", "-qmp", f"unix:{control},server=on,wait=off"),
        ]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        try:
            self._control = self._connect(control, accelerator)
            self.port = self._ssh_port()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raises Unfit where the processor gave up under the guest, RuntimeError where QEMU is gone."""
        if not self.alive:
            raise RuntimeError(f"QEMU ended: {self.said().strip()[:500]}")
        if self._ask("query-status")["status"] == "internal-error":
            raise Unfit(self.said().strip().splitlines()[0])

    def said(self) -> str:
        """What QEMU itself wrote: its own errors, not the guest's."""
        return self._errors.read_text()

    def stop(self) -> None:
        """Pulls the plug, and returns when the process is gone."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _connect(self, path: Path, accelerator: str) -> socket.socket:
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(30)
        while self.alive:
            try:
                control.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.1)
        else:
            said = self.said().strip()
            if accelerator == "kvm" and "kvm" in said:
                raise Unfit(said.splitlines()[0])
            raise RuntimeError(f"QEMU did not start: {said}")
        self._lines = control.makefile("rw", encoding="utf-8")
        json.loads(self._lines.readline())  # The greeting.
        self._ask("qmp_capabilities")
        return control

    def _ask(self, command: str, **arguments: Any) -> Any:
        print(json.dumps({"execute": command, "arguments": arguments}), file=self._lines, flush=True)
        while True:
            answer = json.loads(self._lines.readline())
            if "error" in answer:
                raise RuntimeError(f"QEMU refused {command}: {answer['error']['desc']}")
            if "return" in answer:  # Anything else is an event.
                return answer["return"]

    def _ssh_port(self) -> int:
        # Of user networking QMP tells only what a person at the console would read: "TCP[HOST_FORWARD]  12  127.0.0.1 40001  10.0.2.15 22".
        table = self._ask("human-monitor-command", **{"command-line": "info usernet"})
        found = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s", table)
        if not found:
            raise RuntimeError(f"QEMU forwards no port: {table}")
        return int(found[1])
