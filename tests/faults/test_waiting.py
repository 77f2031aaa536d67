"""Hub and proxy that start before the daemon has given this machine their addresses, as at boot, in a network namespace of their own."""

import subprocess
import sys

LATE = """
import subprocess, threading, time
from elabs.hub import waiting
waiting._TELL_SECONDS = 0.3
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
waits = threading.Thread(target=waiting.wait_for_address, args=("192.0.2.7", "elabs hub"))
waits.start()
time.sleep(1)
print("waits" if waits.is_alive() else "went on without its address", flush=True)
subprocess.run(["ip", "address", "add", "192.0.2.7/32", "dev", "lo"], check=True)
waits.join(10)
print("waits for ever" if waits.is_alive() else "goes on")
"""


def test_a_program_waits_for_its_address_and_says_so() -> None:
    done = subprocess.run(["unshare", "--net", sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["waits", "goes on"]
    lines = set(done.stderr.splitlines())
    assert lines == {"elabs hub: waiting for the runtime to make the address 192.0.2.7"}
