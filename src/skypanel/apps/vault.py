"""Encryption of what must not be readable in the database: variables, snapshots of them.

Fernet (AES-128-CBC with HMAC-SHA-256) under a list of keys, newest first: the first encrypts, every one decrypts, so
that a key is rotated by adding one in front, running `apps.rotation.rotate_keys`, and then removing the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from skypanel.errors import Unavailable


class Encrypts(Protocol):
    """What the verbs need of a vault."""

    def encrypt(self, plain: bytes, /) -> bytes: ...

    def decrypt(self, token: bytes, /) -> bytes: ...


class Undecryptable(Unavailable):
    """A stored value that no key opens: it was damaged, or its key is no longer in the key file."""

    code = "vault_undecryptable"

    def __init__(self) -> None:
        super().__init__(
            "A stored value cannot be decrypted: it is damaged, or the key it was written with is missing from the "
            "platform's key file. The operator has to put the old key back; setting the variable again also helps."
        )


@final
class Vault:
    """Prints nothing of its keys. `keys` are URL-safe base64 of 32 bytes each, as `new_key` makes them."""

    __slots__ = ("_fernet",)

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises ValueError when there is no key or one is malformed; the message never shows a key."""
        if not keys:
            raise ValueError("the vault needs at least one key")
        fernets = []
        for place, key in enumerate(keys, start=1):
            try:
                fernets.append(Fernet(key.strip()))
            except ValueError:
                raise ValueError(f"key {place} of the vault is not 32 bytes in URL-safe base64") from None
        self._fernet = MultiFernet(fernets)

    def __repr__(self) -> str:
        return "Vault([REDACTED])"

    def encrypt(self, plain: bytes) -> bytes:
        return self._fernet.encrypt(plain)

    def decrypt(self, token: bytes) -> bytes:
        """Raises Undecryptable."""
        try:
            return self._fernet.decrypt(token)
        except InvalidToken:
            raise Undecryptable from None

    def rotate(self, token: bytes) -> bytes:
        """The same content under the newest key. Raises Undecryptable."""
        try:
            return self._fernet.rotate(token)
        except InvalidToken:
            raise Undecryptable from None


def new_key() -> str:
    return Fernet.generate_key().decode()
