from pathlib import Path

import pytest

from skypanel.manage.launch import environment_of, trusted_certificates


def test_builds_trust_what_the_machine_trusts(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    known = [tmp_path / "missing.crt", bundle]
    both = {"SSL_CERT_FILE": str(bundle), "NODE_EXTRA_CA_CERTS": str(bundle)}
    assert trusted_certificates({}, known=known) == both
    assert trusted_certificates({}, known=known[:1]) == {}


def test_a_bundle_the_operator_names_wins(tmp_path: Path) -> None:
    chosen = trusted_certificates({"SSL_CERT_FILE": "/own.crt"}, known=[tmp_path])
    assert chosen == {"SSL_CERT_FILE": "/own.crt", "NODE_EXTRA_CA_CERTS": "/own.crt"}


def test_the_operators_own_values_reach_the_worker_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/own.crt")
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/node.crt")
    environment = environment_of("worker")
    assert (environment["SSL_CERT_FILE"], environment["NODE_EXTRA_CA_CERTS"]) == ("/own.crt", "/node.crt")
