"""The registry's own authority, and what makes a machine's engine trust and find the registry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bcrypt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from skypanel.manage.keys import write_protected

CA, CERTIFICATE, KEY, USERS = "registry-ca.crt", "registry.crt", "registry-tls.key", "registry.htpasswd"
VALID = timedelta(days=3650)
CERTIFICATES = Path("/etc/docker/certs.d")
HOSTS = Path("/etc/hosts")
MARK = "# skypanel registry"


def ensure_registry_keys(directory: Path, *, host: str, user: str, password: str) -> None:
    """Made once and kept: an authority, a certificate for `host`, and the user of the registry."""
    if not all((directory / name).exists() for name in (CA, CERTIFICATE, KEY)):
        authority = _pair("SkyPanel registry authority", None, None, host)
        server = _pair(host, authority[0], authority[1], host)
        write_protected(directory / KEY, _pem(server[1]), gid=None)
        write_protected(directory / CERTIFICATE, server[0].public_bytes(serialization.Encoding.PEM), gid=None)
        write_protected(directory / CA, authority[0].public_bytes(serialization.Encoding.PEM), gid=None)
    if not (directory / USERS).exists():
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=5)).decode()  # the password is 256 random bits
        write_protected(directory / USERS, f"{user}:{hashed}\n".encode(), gid=None)


def _pair(
    name: str, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey | None, host: str
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(issuer_key or key, hashes.SHA256()), key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def trust_registry(
    address: str, authority: str, machines: Sequence[str], *, hosts: Path = HOSTS, certificates: Path = CERTIFICATES
) -> None:
    """On this machine: its engine trusts the authority for `address`, whose name leads to these machines. Engines read
    both when they need them, without a restart."""
    directory = certificates / address
    directory.mkdir(parents=True, exist_ok=True)
    known = directory / "ca.crt"
    if not known.exists() or known.read_text() != authority:
        known.write_text(authority)
    name = address.partition(":")[0]
    kept = [line for line in hosts.read_text().splitlines() if not line.endswith(MARK)]
    lines = [*kept, *(f"{machine} {name} {MARK}" for machine in machines)]
    _rewrite(hosts, "\n".join(lines) + "\n")


def _rewrite(path: Path, content: str) -> None:
    """In place: inside of containers and namespaces this file is a mount, which cannot be replaced."""
    if path.read_text() != content:
        with path.open("r+") as file:
            file.write(content)
            file.truncate()
            os.fsync(file.fileno())
