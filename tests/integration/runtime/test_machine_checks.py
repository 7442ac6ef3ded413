"""What `doctor` says of machines that are not as they should be; and one real look at this one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skypanel.drivers.runtime.oci import doctor
from skypanel.drivers.runtime.port import RuntimeFailed


@pytest.fixture
def good(tmp_path: Path) -> doctor.Machine:
    class All:
        def has(self, controller: str) -> bool:
            return True

    control = tmp_path / "loop-control"
    control.touch()
    return doctor.Machine(
        uid=0, kernel="6.1.0-18-amd64", which=lambda name: f"/usr/bin/{name}", filesystems="nodev\toverlay\n",
        loop_control=control, cgroups=All(), forward=lambda: "-P FORWARD ACCEPT\n",
    )  # fmt: skip


def found(machine: doctor.Machine) -> dict[str, str]:
    return {problem.check: problem.remedy for problem in doctor.check(machine, bridge="skyabcdef")}


def test_a_good_machine_has_no_problem(good: doctor.Machine) -> None:
    assert found(good) == {}


def test_each_missing_thing_is_named_with_its_remedy(good: doctor.Machine, tmp_path: Path) -> None:
    assert "SKYPANEL_RUNTIME=process" in found(replace(good, uid=1000))["root"]
    assert "5.10" in found(replace(good, kernel="4.18.0-el8"))["kernel"]
    assert (
        found(replace(good, which=lambda name: None if name == "conmon" else name))["conmon"]
        == "apt-get install conmon"
    )
    assert found(replace(good, which=lambda name: None if name == "nft" else name))["nft"] == "apt-get install nftables"
    assert "loop" in found(replace(good, loop_control=tmp_path / "none"))
    assert "cgroups" in found(replace(good, cgroups=None))
    docker = replace(good, forward=lambda: "-P FORWARD DROP\n-N DOCKER-USER\n")
    assert "-i skyabcdef" in found(docker)["forward"]
    mended = replace(good, forward=lambda: "-P FORWARD DROP\n-A DOCKER-USER -i skyabcdef ! -o skyabcdef -j ACCEPT\n")
    assert found(mended) == {}


def test_what_fails_on_the_way_out_is_told_apart() -> None:
    def probe(code: int, output: str) -> str | None:
        problem = doctor.egress(lambda _: (code, output), host="example.org", port=443, bridge="skyabcdef")
        return problem and problem.message

    assert probe(0, "fine\n") is None
    assert probe(1, "dns\n") == "containers cannot look up example.org"
    assert probe(1, "tcp\n") == "containers cannot connect to example.org:443"

    def broken(_: list[str]) -> tuple[int, str]:
        raise RuntimeFailed("runc said no")

    problem = doctor.egress(broken, host="example.org", port=443, bridge="skyabcdef")
    assert problem is not None
    assert "runc said no" in problem.message


FORWARD = """
import subprocess
from ipaddress import IPv4Network
from skypanel.drivers.runtime.oci.firewall import Firewall, Policy
def rules(chain): return subprocess.run(["iptables", "-S", chain], capture_output=True, text=True).stdout
firewall = Firewall(Policy("abcdef01", IPv4Network("10.210.0.0/20"), ()))
firewall.prepare(); print(rules("FORWARD").count("skyabcdef"))
subprocess.run(["iptables", "-P", "FORWARD", "DROP"], check=True)
firewall.prepare(); firewall.prepare(); print(rules("FORWARD").count("-A FORWARD"))
subprocess.run(["iptables", "-N", "DOCKER-USER"], check=True)
firewall.prepare(); firewall.prepare(); print(rules("DOCKER-USER").count("-A DOCKER-USER"))
firewall.destroy(); print(rules("DOCKER-USER").count("-A") + rules("FORWARD").count("-A"))
"""


@pytest.mark.root
def test_a_firewall_that_drops_forwarded_packets_lets_ours_through(tmp_path: Path) -> None:
    """In a network namespace of its own: the policy of this machine stays as it is."""
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", FORWARD], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.split() == ["0", "2", "2", "0"], done.stderr


@pytest.mark.root
def test_a_real_look_connects_from_inside_a_container(make_platform, neighbour) -> None:
    from ipaddress import IPv4Network

    reaching = make_platform(
        probe=(neighbour.address, neighbour.port), allowed_private=[IPv4Network(f"{neighbour.address}/32")]
    )
    assert [problem.check for problem in reaching.runtime.diagnose()] == []
    blocked = make_platform(probe=(neighbour.address, neighbour.port))
    assert [problem.check for problem in blocked.runtime.diagnose()] == ["egress"]
    assert list(blocked.runtime.list()) == []
