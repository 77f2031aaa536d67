"""A lab's network: a namespace with one leg on this host, and one nftables table an instance that says who may talk to whom.

A lab reaches the hub's API and our DNS forwarder at the gateway address, and the public Internet. It does not reach other labs, the host, the proxy's API, or
private and link-local ranges that `labs.network.allow` does not name. Only the hub's and the proxy's uid reach a lab. Labs have no IPv6.
The gateway address stands on a bridge without ports (not every kernel has dummy interfaces); a lab's leg needs no address of its own on the host, since the
kernel answers ARP for all it has.
Names: interfaces `elab<k>` and `elab<k>-<n>`, table `inet elabs_<k>`, with the instance's number k. `close` takes all of it away.
"""

import ipaddress
from pathlib import Path

from elabs.runtime.protocol import HUB_PORT
from elabs.storage.ids import Instance
from elabs.storage.run import run

FORBIDDEN = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
"""Ranges that are not the public Internet: private, shared, link-local (metadata services), benchmarking (where labs are), multicast, reserved."""
FIRST_LAB = 16
"""The first address of the subnet that a lab may have; those below are the instance's own."""
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_FORWARD_WAS = Path("/etc/elabs/ip_forward")
"""What the switch said before the first instance turned it on; there while one runs."""


def gateway_interface(instance: Instance) -> str:
    """The interface with the gateway's addresses."""
    return f"elab{instance.number}"


def lab_interface(instance: Instance, index: int) -> str:
    """The host's leg of a lab, at most 15 characters."""
    return f"elab{instance.number}-{index}"


def lab_address(instance: Instance, index: int) -> str:
    """Address of the lab with number `index`, from FIRST_LAB on; IndexError past the subnet's end."""
    return str(ipaddress.ip_network(instance.subnet)[index])


def capacity(instance: Instance) -> int:
    """Labs that the subnet has addresses for."""
    return ipaddress.ip_network(instance.subnet).num_addresses - FIRST_LAB - 1


def ruleset(instance: Instance, allow: list[str]) -> str:
    """The instance's nftables table, replaced in one transaction."""
    table, legs, gate = f"inet elabs_{instance.number}", f'"elab{instance.number}-*"', instance.gateway
    own = f"{ipaddress.ip_network(instance.subnet)[0]}/28"
    allowed = "".join(f"    ip daddr {network} accept\n" for network in allow if ":" not in network)
    return f"""table {table}
delete table {table}
table {table} {{
  chain prerouting {{
    type filter hook prerouting priority -150; policy accept;
    iifname {legs} meta nfproto ipv6 drop
    iifname {legs} fib saddr . iif oif missing drop comment "no address but its own"
    iifname != {{ "lo", {legs} }} ip daddr {instance.subnet} ct state new drop comment "nobody else on the network"
  }}
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname {legs} jump from_lab
  }}
  chain from_lab {{
    ct state established,related accept
    ip daddr {gate} tcp dport {{ 53, {HUB_PORT} }} accept
    ip daddr {gate} udp dport 53 accept
    reject with icmpx type admin-prohibited
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    oifname {legs} ct state established,related accept
    oifname {legs} drop comment "lab to lab, and the network to a lab"
    iifname {legs} jump out_of_lab
  }}
  chain out_of_lab {{
    ip daddr {instance.subnet} reject with icmpx type admin-prohibited
{allowed}    ip daddr {{ {", ".join(FORBIDDEN)} }} reject with icmpx type admin-prohibited
    accept
  }}
  chain output {{
    type filter hook output priority -10; policy accept;
    oifname {legs} jump to_lab
    ip daddr {own} tcp dport != {{ 53, {HUB_PORT} }} meta skuid != {{ 0, {instance.hub_uid}, {instance.proxy_uid} }} ct state new reject
  }}
  chain to_lab {{
    ct state established,related accept
    meta skuid {{ {instance.hub_uid}, {instance.proxy_uid} }} accept
    reject with icmpx type admin-prohibited
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {instance.subnet} ip saddr != {own} oifname != {{ "lo", {legs} }} masquerade
  }}
}}
"""


def open_network(instance: Instance, allow: list[str]) -> None:
    """Gateway interface, table and forwarding; safe to repeat while labs run. StorageError in one line where the machine refuses."""
    gate = gateway_interface(instance)
    if not Path(f"/sys/class/net/{gate}").exists():
        run("ip", "link", "add", gate, "type", "bridge")
    for address in (instance.gateway, instance.api):
        run("ip", "address", "replace", f"{address}/32", "dev", gate)
    run("ip", "link", "set", gate, "up")
    run("nft", "-f", "-", stdin=ruleset(instance, allow))
    if not _FORWARD_WAS.exists():
        _FORWARD_WAS.parent.mkdir(exist_ok=True)
        _FORWARD_WAS.write_text(_FORWARD.read_text())
    _FORWARD.write_text("1\n")


def close_network(instance: Instance) -> None:
    """Take away what `open_network` and `connect` made; the last instance puts the forwarding switch back."""
    prefix = f"{gateway_interface(instance)}-"
    for interface in Path("/sys/class/net").iterdir():
        if interface.name.startswith(prefix) or interface.name == gateway_interface(instance):
            run("ip", "link", "delete", interface.name, accept=(0, 1))
    run("nft", "-f", "-", stdin=f"table inet elabs_{instance.number}\ndelete table inet elabs_{instance.number}\n")
    if "inet elabs_" not in run("nft", "list", "tables") and _FORWARD_WAS.exists():
        _FORWARD.write_text(_FORWARD_WAS.read_text())
        _FORWARD_WAS.unlink()


def connect(instance: Instance, index: int, pid: int) -> None:
    """Give the network namespace of process `pid` its leg and its address. StorageError where that fails."""
    leg, address = lab_interface(instance, index), lab_address(instance, index)
    disconnect(instance, index)
    run("ip", "link", "add", leg, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    inside = f"""link set lo up
address add {address}/32 dev eth0
link set eth0 up
route add {instance.gateway} dev eth0 scope link
route add default via {instance.gateway}
"""
    # /proc/sys/net shows the namespace of whoever reads it
    run("nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 || true; exec ip -batch -", stdin=inside)
    run("ip", "-batch", "-", stdin=f"link set {leg} up\nroute replace {address}/32 dev {leg} src {instance.gateway}\n")


def disconnect(instance: Instance, index: int) -> None:
    """Remove the leg of lab `index`, if it is still there; a lab's end takes it away by itself."""
    leg = lab_interface(instance, index)
    if Path(f"/sys/class/net/{leg}").exists():
        run("ip", "link", "delete", leg, accept=(0, 1))
