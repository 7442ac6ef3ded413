"""The platform's own keys: made at the first start, never shown, replaced by `skypanel rotate-keys`.

`keys/master.keys`: Fernet keys, one a line, the newest first; all of them decrypt, the first encrypts.
`keys/jwt.key`: 64 hex digits that sign sessions.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet

MASTER: str = "master.keys"
JWT: str = "jwt.key"
EDGE: str = "edge.key"


def ensure_keys(directory: Path, *, gid: int | None) -> None:
    """Makes what is missing; keys that are there stay. `gid`: the group that may read them (the server's)."""
    if not (directory / MASTER).exists():
        write_protected(directory / MASTER, Fernet.generate_key() + b"\n", gid=gid)
    if not (directory / JWT).exists():
        write_protected(directory / JWT, secrets.token_hex(32).encode() + b"\n", gid=gid)


def ensure_token(directory: Path, name: str, *, gid: int | None) -> str:
    """A random one that is made at the first time and kept."""
    if not (directory / name).exists():
        write_protected(directory / name, secrets.token_hex(32).encode() + b"\n", gid=gid)
    return (directory / name).read_text().strip()


def master_keys(directory: Path) -> list[str]:
    return (directory / MASTER).read_text().split()


def add_master_key(directory: Path, *, gid: int | None) -> list[str]:
    """Puts a new key in front of the others and returns all of them."""
    keys = [Fernet.generate_key().decode(), *master_keys(directory)]
    write_protected(directory / MASTER, "".join(f"{key}\n" for key in keys).encode(), gid=gid)
    return keys


def keep_first_master_key(directory: Path, *, gid: int | None) -> None:
    """Forgets the older keys: only after everything was encrypted anew with the first."""
    first = master_keys(directory)[0]
    write_protected(directory / MASTER, f"{first}\n".encode(), gid=gid)


def write_protected(path: Path, content: bytes, *, gid: int | None) -> None:
    """Written whole or not at all; readable for its owner, and for the group when one is given."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if gid is not None and os.geteuid() == 0:
            os.fchown(file.fileno(), 0, gid)
            os.fchmod(file.fileno(), 0o640)
    temporary.rename(path)
