"""The router's directory: made, or mended, before the launcher starts.

router/
├── static.yml       what never changes while Traefik runs
├── dynamic/         platform.yml and app-<id>.yml: Traefik follows every change
├── staging/         files are written here and renamed into dynamic/: one event, never a half-written file
├── tls/             the self-signed certificate for hosts without a better one
├── secret           names the host under which the worker asks Traefik what it has loaded
└── access.log       one JSON line a request; the only file Traefik writes
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from skypanel.drivers.router.traefik.config import RouterConfig, platform_file, static_file
from skypanel.drivers.router.traefik.files import text

PRIVATE = 0o640  # root writes, the router's group reads
DIRECTORY = 0o750


def write(path: Path, content: str, *, staging: Path, gid: int | None, mode: int = PRIVATE) -> None:
    """Replaces `path` at once: written in `staging` (same file system), then renamed."""
    draft = staging / f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(content)
        _own(draft, gid=gid, mode=mode)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _own(path: Path, *, gid: int | None, mode: int) -> None:
    if gid is not None and os.geteuid() == 0:
        os.chown(path, 0, gid)
    path.chmod(mode)


def read_secret(directory: Path) -> str:
    return (directory / "secret").read_text(encoding="ascii").strip()


def prepare(config: RouterConfig, *, now: datetime) -> None:
    """Makes or mends the router's directory. Idempotent; keeps the secret, the applications' files and a certificate
    that is good for another month. Raises RouterFailed for a configuration that cannot be."""
    root = config.directory
    staging = root / "staging"
    for directory in (root, root / "dynamic", staging, root / "tls"):
        directory.mkdir(parents=True, exist_ok=True)
        _own(directory, gid=config.gid, mode=DIRECTORY)
    for draft in staging.iterdir():  # of a writer that was killed
        draft.unlink()
    if not (root / "secret").exists():
        write(root / "secret", secrets.token_hex(20), staging=staging, gid=config.gid)
    _certificate(config, now=now)
    log = root / "access.log"
    create_log(log, uid=config.uid, gid=config.gid)
    write(root / "static.yml", text(static_file(config)), staging=staging, gid=config.gid)
    write_platform(config)


def write_platform(config: RouterConfig) -> None:
    """The platform's own routes anew, in a directory that is prepared."""
    root = config.directory
    platform = text(platform_file(config, secret=read_secret(root)))
    write(root / "dynamic" / "platform.yml", platform, staging=root / "staging", gid=config.gid)


def create_log(path: Path, *, uid: int | None, gid: int | None) -> None:
    """An access log that exists already is kept; it belongs to Traefik's user."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, 0o640))
    if uid is not None and os.geteuid() == 0:
        os.chown(path, uid, gid if gid is not None else -1)


def _certificate(config: RouterConfig, *, now: datetime) -> None:
    certificate, key = config.directory / "tls" / "default.crt", config.directory / "tls" / "default.key"
    try:
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        if key.exists() and known.not_valid_after_utc > now + timedelta(days=30):
            return
    except (FileNotFoundError, ValueError):
        pass  # none yet, or none that can be read: a new one is made
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SkyPanel self-signed certificate")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=730))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(config.dashboard_host)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    staging = config.directory / "staging"
    write(key, pem.decode(), staging=staging, gid=config.gid)
    write(certificate, signed.public_bytes(serialization.Encoding.PEM).decode(), staging=staging, gid=config.gid)
