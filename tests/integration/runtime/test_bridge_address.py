"""Containers learn the hardware address of their way out once; it must not change under them."""

from __future__ import annotations

from pathlib import Path

import pytest

from skypanel.drivers.runtime.oci.subnet import bridge_mac, bridge_name

pytestmark = pytest.mark.root


def test_the_bridge_keeps_its_hardware_address_while_containers_come_and_go(platform) -> None:
    address = Path("/sys/class/net") / bridge_name(platform.instance) / "address"
    seen = {address.read_text().strip()}
    for _ in range(5):  # a bridge left alone takes the lowest of random addresses: five links would show it
        platform.serve()
        seen.add(address.read_text().strip())
    assert seen == {bridge_mac(platform.instance)}
