from __future__ import annotations

import pytest

from skypanel.settings import Settings
from skypanel.wiring.work import cache_settings, reachable_ports


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_containers_reach_no_port_of_a_router_that_listens_to_this_machine_alone(host: str) -> None:
    assert reachable_ports(Settings(host=host)) == ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "203.0.113.7", ""])
def test_containers_reach_a_public_router(host: str) -> None:
    assert reachable_ports(Settings(host=host, http_port=80, https_port=443)) == (80, 443)


def test_caches_follow_their_settings() -> None:
    made = cache_settings(Settings(buildpack_cache_ttl_hours=2, buildpack_cache_max_size_mb=16))
    assert (made.enabled, made.ttl_s, made.max_bytes) == (True, 7200, 16_000_000)
