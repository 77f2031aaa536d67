"""What a lab reaches, and who reaches a lab. Every refusal stands beside something that is open, so that a network that is simply dead passes nothing."""

import subprocess
from collections.abc import Callable

import pytest

from tests.isolation.conftest import CONNECT, Person
from tests.live import Live

Attack = Callable[..., str]
_TRY = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 4); print('open')"


def from_host(uid: int, address: str, port: int) -> bool:
    """Whether an account of the host reaches a port."""
    command = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "/usr/bin/python3", "-c", _TRY, address, str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "open"


def test_the_world_outside(attack: Attack, world: dict[str, str]) -> None:
    reached = {name: attack(CONNECT + f"print(connect('{address}'))") for name, address in world.items()}
    assert reached == {"private": "closed", "allowed": "open hello", "metadata": "closed", "shared": "closed", "public": "open hello"}


def test_the_hubs_api_is_all_of_the_host(live: Live, attack: Attack) -> None:
    gateway, api = live.instance.gateway, live.instance.api
    port = int(live.base.rpartition(":")[2])
    host = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    others = [address for address in host if ":" not in address and not address.startswith("198.18.")]
    assert attack(CONNECT + f"print(connect('{gateway}', 8081))") == "open"
    targets = [(api, 8001), (api, 8081), (gateway, port), (gateway, 8001), (gateway, 22), *((address, port) for address in others)]
    assert {target: attack(CONNECT + f"print(connect('{target[0]}', {target[1]}))") for target in targets} == dict.fromkeys(targets, "closed")


@pytest.fixture
def service(live: Live):  # type: ignore[no-untyped-def]
    """A service of the host that listens on every address."""
    code = "import socket; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True)\nwhile True: s.accept()[0].close()"
    process = subprocess.Popen(["/usr/bin/python3", "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield int(process.stdout.readline())
    process.terminate()
    process.wait()


def test_a_service_of_the_host_that_listens_everywhere(live: Live, attack: Attack, service: int) -> None:
    assert from_host(0, "127.0.0.1", service)
    for address in (live.instance.gateway, live.instance.api, "192.88.99.1"):
        assert attack(CONNECT + f"print(connect('{address}', {service}))") == "closed"


def test_udp_reaches_nothing_of_the_host_but_dns(live: Live, attack: Attack) -> None:
    ask = """
    import socket, struct
    def dns(address):
        query = struct.pack('>6H', 7, 0x100, 1, 0, 0, 0) + b'\\x07version\\x04bind\\x00' + struct.pack('>2H', 16, 3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(3)
            try:
                line.sendto(query, (address, 53)); return b'dnsmasq' in line.recv(500)
            except OSError as error: return False
    """
    assert attack(f"{ask}\n    print(dns('{live.instance.gateway}'), dns('{live.instance.api}'))") == "True False"


def test_no_ipv6(attack: Attack) -> None:
    assert attack("print(open('/proc/net/if_inet6').read().strip() == '')") == "True"


def test_no_address_but_its_own(live: Live, attack: Attack, victim: Person) -> None:
    theirs = live.labs()["lince"]["address"]
    assert "OSError" in attack(f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('{theirs}', 0))")
    assert "PermissionError" in attack("import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)")
    assert "PermissionError" in attack("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)")


def test_a_forged_address_goes_nowhere(live: Live, victim: Person, hostile: Person) -> None:
    """With the powers of the host's root inside the hostile lab's network, a packet from the victim's address still reaches nobody."""
    labs = live.labs()
    record = live.state.run / "labs" / "colibri" / "pid"
    enter = ["nsenter", f"--net=/proc/{record.read_text()}/ns/net"]
    theirs = labs["lince"]["address"]
    subprocess.run([*enter, "ip", "address", "add", f"{theirs}/32", "dev", "eth0"], check=True)
    try:
        code = f"import socket; socket.create_connection(('{live.instance.gateway}', 8081), 3, ('SOURCE', 0)); print('open')"
        reached = {}
        for source in (labs["colibri"]["address"], theirs):
            done = subprocess.run([*enter, "/usr/bin/python3", "-c", code.replace("SOURCE", source)], capture_output=True, text=True, check=False)
            reached[source] = done.stdout.strip()
        assert reached == {labs["colibri"]["address"]: "open", theirs: ""}
    finally:
        subprocess.run([*enter, "ip", "address", "delete", f"{theirs}/32", "dev", "eth0"], check=True)


def test_only_the_hubs_and_the_proxys_uid_reach_a_lab(live: Live, victim: Person) -> None:
    address = live.labs()["lince"]["address"]
    instance = live.instance
    reached = {uid: from_host(uid, address, 8888) for uid in (instance.hub_uid, instance.proxy_uid, instance.dns_uid, 65534, 1000, 0)}
    assert reached == {instance.hub_uid: True, instance.proxy_uid: True, instance.dns_uid: False, 65534: False, 1000: False, 0: False}


def test_an_account_of_the_host_does_not_reach_the_proxys_api(live: Live) -> None:
    assert from_host(live.instance.hub_uid, live.instance.api, 8001)
    assert not from_host(65534, live.instance.api, 8001)


def test_the_network_does_not_reach_a_lab(live: Live, victim: Person, world: dict[str, str]) -> None:
    address = live.labs()["lince"]["address"]
    command = ["ip", "netns", "exec", "elabs-test-world", "/usr/bin/python3", "-c", _TRY]
    assert subprocess.run([*command, address, "8888"], capture_output=True, text=True, check=False).stdout == ""
    assert subprocess.run([*command, live.instance.gateway, "8081"], capture_output=True, text=True, check=False).stdout == ""
