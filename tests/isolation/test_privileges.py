"""What a lab may ask of the kernel: nothing that an ordinary process without capabilities could not, and less."""

import json
from collections.abc import Callable

from tests.live import Live

Attack = Callable[..., str]

CALLS = """
import ctypes, errno, json, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments])
    return 'done' if result >= 0 else errno.errorcode[ctypes.get_errno()]
text = lambda value: ctypes.c_char_p(value)
tried = {
    'unshare user': call(272, 0x10000000), 'unshare mount': call(272, 0x00020000), 'clone user namespace': call(56, 0x10000000 | 17, 0, 0, 0, 0), 'setns': call(308, 0, 0),
    'mount': call(165, text(b'x'), text(b'/tmp'), text(b'tmpfs'), 0, 0), 'umount': call(166, text(b'/home'), 0), 'pivot_root': call(155, text(b'/tmp'), text(b'/tmp')),
    'fsopen': call(430, text(b'tmpfs'), 0), 'open_tree': call(428, -100 & (2**64 - 1), text(b'/'), 1), 'chroot': call(161, text(b'/tmp')), 'ptrace': call(101, 16, 1, 0, 0),
    'process_vm_readv': call(310, 1, 0, 0, 0, 0, 0), 'init_module': call(175, 0, 0, text(b'')), 'finit_module': call(313, 0, text(b''), 0), 'delete_module': call(176, text(b'x'), 0),
    'bpf': call(321, 0, 0, 0), 'perf_event_open': call(298, 0, 0, 0, 0, 0), 'userfaultfd': call(323, 0), 'io_uring_setup': call(425, 1, 0), 'keyctl': call(250, 0, 0, 0, 0, 0),
    'add_key': call(248, text(b'user'), text(b'x'), text(b'y'), 1, -3 & (2**64 - 1)), 'kexec_load': call(246, 0, 0, 0, 0), 'reboot': call(169, 0, 0, 0, 0), 'swapon': call(167, text(b'/tmp/x'), 0),
    'sethostname': call(170, text(b'x'), 1), 'settimeofday': call(164, 0, 0), 'syslog': call(103, 3, 0, 0), 'setuid 0': call(105, 0), 'setgid 0': call(106, 0),
    'mknod': call(133, text(b'/tmp/device'), 0o020666, 0x0101), 'open_by_handle_at': call(304, 0, 0, 0), 'iopl': call(172, 3), 'acct': call(163, 0), 'quotactl': call(179, 0, 0, 0, 0),
}
print(json.dumps(tried))
"""


def test_every_privileged_call_is_refused(attack: Attack) -> None:
    tried = json.loads(attack(CALLS).splitlines()[-1])
    assert {name: answer for name, answer in tried.items() if answer not in ("EPERM", "ENOSYS")} == {}


def test_an_ordinary_call_is_not(attack: Attack) -> None:
    assert (
        attack(
            "import os, threading; r, w = os.pipe(); threading.Thread(target=lambda: os.write(w, b'x')).start(); print(os.read(r, 1)); import subprocess; print(subprocess.run(['id', '-u'], capture_output=True, text=True).stdout)"
        )
        == "b'x'\n1000"
    )


def test_no_capability_no_new_privileges_a_filter(attack: Attack) -> None:
    status = attack("print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {name: int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0
    )
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert fields["Uid"].split() == ["1000"] * 4
    assert fields["Groups"].strip() == ""


def test_setuid_programs_gain_nothing(attack: Attack) -> None:
    found = attack(
        "import subprocess; print(subprocess.run(['sh', '-c', 'cp /bin/sh /tmp/s; chmod 4755 /tmp/s; /tmp/s -c id; su -c id root </dev/null; mount -t tmpfs x /tmp'], capture_output=True, text=True).stdout)"
    )
    assert "uid=0" not in found


def test_the_image_and_the_kernels_switches_are_read_only(attack: Attack) -> None:
    paths = ["/etc/passwd", "/usr/bin/x", "/x", "/opt/elabs/x", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/kernel/x", "/proc/sys/vm/drop_caches"]
    code = f"""
    for path in {paths!r}:
        try:
            open(path, 'w').write('x'); print('wrote', path)
        except OSError: pass
    """
    assert attack(code) == ""


def test_devices(attack: Attack) -> None:
    devices = set(attack("import os; print(*sorted(os.listdir('/dev')))").split())
    assert devices <= {"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero", "console"}
    # masked where the kernel has it
    assert attack("import os; print(os.path.exists('/proc/kcore') and open('/proc/kcore', 'rb').read(1))") in ("False", "b''")


def test_nothing_of_the_hosts_is_open_in_a_lab(live: Live, attack: Attack) -> None:
    """Descriptors that a lab inherits are the ones it was given: its input, and the pipe that its output goes to, which it cannot open again."""
    code = "import json, os; print(json.dumps(sorted({os.readlink(f'/proc/1/fd/{n}').split(':')[0] for n in os.listdir('/proc/1/fd')})))"
    assert set(json.loads(attack(code))) <= {"pipe", "/dev/null", str(live.state.run / "labs/colibri/output")}
    assert "PermissionError" in attack("open('/proc/1/fd/1', 'wb')")


def test_no_secret_on_a_command_line(attack: Attack) -> None:
    token = attack("import os; print(os.environ.get('JUPYTERHUB_API_TOKEN', ''))")
    lines = attack("import os; print([open(f'/proc/{p}/cmdline').read() for p in os.listdir('/proc') if p.isdigit()])")
    assert token == "" or token not in lines
