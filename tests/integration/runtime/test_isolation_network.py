from __future__ import annotations

import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from containers import eventually
from pyroute2 import IPRoute

from skypanel.drivers.runtime.oci.subnet import bridge_name, gateway, link_prefix
from skypanel.drivers.runtime.port import Container

pytestmark = pytest.mark.root


def answers(container: Container) -> bool:
    try:
        with urllib.request.urlopen(f"http://{container.address}:{container.port}/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def machine_address() -> str:
    """This machine's own address towards the world."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))
        return str(probe.getsockname()[0])


@pytest.fixture
def service() -> Iterator[socket.socket]:
    """Something else on this machine, bound to every address, as databases sometimes are."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        yield listener


def test_replicas_cannot_reach_each_other_while_the_machine_reaches_both(platform) -> None:
    first, second = platform.serve(), platform.serve(organization_id="org-2", app_id="app-2")
    eventually(lambda: answers(first) and answers(second))
    for other in (first, second):
        assert platform.reachable(f"{other.address}:5000") == set()
    # Where the kernel shows bridged packets to the firewall, that refuses too; elsewhere this alone does.
    for link in links(platform.instance):
        assert isolated(link)


def test_a_replica_that_answers_is_reachable_from_itself(platform) -> None:
    script = (
        "/usr/bin/python3 -m http.server 5000 >/dev/null 2>&1 & "
        "for i in $(seq 50); do sleep 0.1; exec 3<>/dev/tcp/127.0.0.1/5000 && echo open && break; done; kill %1"
    )
    assert "open" in platform.shell(script)[1]


def test_services_of_the_machine_are_out_of_reach(platform, service: socket.socket) -> None:
    port = service.getsockname()[1]
    targets = [f"{address}:{port}" for address in (gateway(platform.subnet), machine_address(), "127.0.0.1")]
    assert platform.reachable(*targets) == set()
    service.setblocking(False)
    with pytest.raises(BlockingIOError):
        service.accept()


def test_ports_of_the_machine_that_are_allowed_can_be_reached(make_platform, service: socket.socket) -> None:
    port = service.getsockname()[1]
    platform = make_platform(host_ports=[port])
    target = f"{machine_address()}:{port}"
    assert platform.reachable(target) == {target}


def test_metadata_and_private_networks_are_out_of_reach(platform, neighbour) -> None:
    targets = [f"{neighbour.address}:{neighbour.port}", f"{neighbour.metadata}:{neighbour.port}"]
    for target in targets:
        eventually(lambda target=target: can_connect(target))
    assert platform.reachable(*targets) == set()


def test_private_addresses_that_are_allowed_can_be_reached(make_platform, neighbour) -> None:
    platform = make_platform(allowed_private=[IPv4Network(f"{neighbour.address}/32")])
    target = f"{neighbour.address}:{neighbour.port}"
    eventually(lambda: can_connect(target))
    assert platform.reachable(target, f"{neighbour.metadata}:{neighbour.port}") == {target}


def test_a_name_server_is_reached_on_its_port_only(make_platform, neighbour) -> None:
    from ipaddress import IPv4Address

    platform = make_platform(resolvers=[IPv4Address(neighbour.address)])
    eventually(lambda: can_connect(f"{neighbour.address}:{neighbour.port}"))
    assert platform.reachable(f"{neighbour.address}:{neighbour.port}") == set()
    _, output = platform.shell("cat /etc/resolv.conf")
    assert output == f"nameserver {neighbour.address}\n"


def test_nobody_else_on_the_network_reaches_a_replica_past_the_router(platform, neighbour) -> None:
    container = platform.serve()
    eventually(lambda: answers(container))
    name = neighbour.netns
    subprocess.run(["ip", "-n", name, "route", "add", "default", "via", neighbour.gateway], check=True)
    script = f"import socket; socket.create_connection(('{container.address}', 5000), timeout=1)"
    done = subprocess.run(["ip", "netns", "exec", name, "/usr/bin/python3", "-c", script], capture_output=True)
    assert done.returncode != 0


def test_a_container_cannot_take_another_address(platform) -> None:
    container = platform.serve()
    pid = int((platform.data_dir / "containers" / container.id / "pid").read_text())
    inside = ["nsenter", "-t", str(pid), "-n"]
    spoofed = str(platform.subnet.network_address + 9)
    assert container.address != spoofed
    host = str(gateway(platform.subnet))
    # Even somebody who got all capabilities inside could not pretend to be another container.
    subprocess.run([*inside, "ip", "addr", "add", f"{spoofed}/20", "dev", "eth0"], check=True)
    assert echo(inside, source=str(container.address), target=host)
    assert not echo(inside, source=spoofed, target=host)


def test_a_container_has_no_ipv6_address(platform) -> None:
    assert platform.shell("cat /proc/net/if_inet6")[1] == ""


def test_two_platforms_side_by_side_do_not_meet(make_platform) -> None:
    first, second = make_platform(), make_platform()
    assert not first.subnet.overlaps(second.subnet)
    ours, theirs = first.serve(), second.serve()
    eventually(lambda: answers(ours) and answers(theirs))
    assert first.reachable(f"{theirs.address}:5000") == set()
    assert second.reachable(f"{ours.address}:5000") == set()
    assert [container.id for container in first.runtime.list()] == [ours.id]
    first.runtime.destroy()
    assert answers(theirs)
    second.runtime.prepare()
    assert answers(theirs)


@pytest.mark.parametrize("damage", ["rules", "tables", "identity", "isolation", "address", "down", "forward", "member"])
def test_prepare_mends_what_was_changed_by_hand(platform, neighbour, damage: str) -> None:
    first, second = platform.serve(), platform.serve()
    eventually(lambda: answers(first) and answers(second))
    bridge, table = bridge_name(platform.instance), f"skypanel_{platform.instance}"
    link = links(platform.instance)[0]
    commands = {
        "rules": f"nft flush chain inet {table} from_container",
        "tables": f"nft delete table inet {table}",
        "identity": f"nft delete table bridge {table}",
        "isolation": f"bridge link set dev {link} isolated off",
        "address": f"ip addr flush dev {bridge}",
        "down": f"ip link set {bridge} down",
        "forward": "sysctl -q net.ipv4.ip_forward=0",
        "member": f"ip link set {link} nomaster",
    }
    subprocess.run(commands[damage].split(), check=True)
    platform.runtime.prepare()
    assert answers(first)
    assert answers(second)
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
    listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert listed.count(table) == 2
    assert platform.reachable(f"{neighbour.address}:{neighbour.port}", f"{first.address}:5000") == set()
    assert isolated(link)


def links(instance: str) -> list[str]:
    with IPRoute() as ip:
        names = [str(link.get_attr("IFLA_IFNAME")) for link in ip.get_links()]
    return [name for name in names if name.startswith(link_prefix(instance))]


def isolated(link: str) -> bool:
    detail = subprocess.run(["bridge", "-d", "link", "show", "dev", link], capture_output=True, text=True, check=True)
    return "isolated on" in detail.stdout


def can_connect(target: str) -> bool:
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


ECHO = """
import socket, struct, sys
source, target = sys.argv[1:]
def total(data):
    value = sum(struct.unpack("!4H", data)); value = (value >> 16) + (value & 0xffff)
    return ~(value + (value >> 16)) & 0xffff
plain = struct.pack("!BBHHH", 8, 0, 0, 77, 1)
packet = struct.pack("!BBHHH", 8, 0, total(plain), 77, 1)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
raw.bind((source, 0)); raw.settimeout(1)
for attempt in range(3):
    raw.sendto(packet, (target, 0))
    try:
        while True:
            answer, sender = raw.recvfrom(1500)
            if answer[20] == 0 and sender[0] == target: sys.exit(0)
    except TimeoutError: pass
sys.exit(1)
"""


def echo(inside: list[str], *, source: str, target: str) -> bool:
    return subprocess.run([*inside, "/usr/bin/python3", "-c", ECHO, source, target]).returncode == 0
