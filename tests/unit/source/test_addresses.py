from __future__ import annotations

import pytest

from skypanel.drivers.source.addresses import is_public, pinned
from skypanel.drivers.source.command import ssh_environment, transport_config
from skypanel.drivers.source.port import Credentials, FetchFailed
from skypanel.drivers.source.urls import parse
from skypanel.kit.secret import Secret


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "240.0.0.1", "::",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_known(address: str) -> None:
    assert not is_public(address)


def test_public_addresses_pass() -> None:
    assert is_public("140.82.121.4")
    assert is_public("2606:50c0:8000::154")


def test_one_private_answer_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(FetchFailed) as refused:
        pinned("evil.example", 443, allowed=(), resolve=lambda *_: ["140.82.121.4", "127.0.0.1"])

    assert refused.value.code == "git_refused"


@pytest.mark.parametrize("allowed", ["git.internal", "GIT.internal", "10.1.2.3", "10.0.0.0/8"])
def test_an_operator_can_allow_a_private_host_by_name_address_or_network(allowed: str) -> None:
    assert pinned("git.internal", 443, allowed=(allowed,), resolve=lambda *_: ["10.1.2.3"]) == "10.1.2.3"


def test_an_unknown_host_is_unreachable() -> None:
    def fail(*_: object) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(FetchFailed) as failed:
        pinned("nowhere.example", 443, allowed=(), resolve=fail)

    assert failed.value.code == "git_unreachable"


def test_git_connects_to_the_checked_address_and_to_no_other_transport() -> None:
    config = transport_config(parse("https://host.example/x"), "140.82.121.4", None)

    assert config["http.curloptResolve"] == "host.example:443:140.82.121.4"
    assert config["protocol.https.allow"] == "always"
    assert not any(key.startswith("protocol.") and key != "protocol.https.allow" for key in config)


def test_a_token_travels_as_a_secret_header_for_that_host_alone() -> None:
    credentials = Credentials(username="ada", token=Secret("t0ken-value"))
    config = transport_config(parse("https://host.example/x"), "140.82.121.4", credentials)

    header = config["http.https://host.example/.extraHeader"]
    assert isinstance(header, Secret)
    assert header.reveal() == "Authorization: Basic YWRhOnQwa2VuLXZhbHVl"
    assert "t0ken" not in repr(config)


def test_ssh_goes_to_the_checked_address_under_the_hosts_own_key() -> None:
    command = ssh_environment(parse("git@host.example:a/b"), "140.82.121.4", key="key")["GIT_SSH_COMMAND"]

    assert "-o HostName=140.82.121.4" in command
    assert "-o HostKeyAlias=host.example" in command
    assert "-F none" in command
    assert "-i key" in command
