from __future__ import annotations

import pytest

from skypanel.apps.vault import Undecryptable, Vault, new_key


def test_what_was_encrypted_is_read_again() -> None:
    vault = Vault([new_key()])
    token = vault.encrypt(b"s3cret")
    assert b"s3cret" not in token
    assert vault.decrypt(token) == b"s3cret"


def test_an_old_key_still_decrypts_and_rotation_makes_it_dispensable() -> None:
    old, new = new_key(), new_key()
    token = Vault([old]).encrypt(b"s3cret")
    both = Vault([new, old])
    assert both.decrypt(token) == b"s3cret"
    assert Vault([new]).decrypt(both.rotate(token)) == b"s3cret"


def test_an_unknown_key_and_a_damaged_value_are_clear_errors() -> None:
    token = Vault([new_key()]).encrypt(b"s3cret")
    vault = Vault([new_key()])
    for damaged in (token, b"", b"garbage", vault.encrypt(b"x")[:-4]):
        with pytest.raises(Undecryptable) as refused:
            vault.decrypt(damaged)
        assert refused.value.status == 503
        assert "key" in refused.value.detail


def test_a_malformed_key_is_refused_without_being_shown() -> None:
    for keys in ([], ["not-a-key"], [new_key(), "tooshort"]):
        with pytest.raises(ValueError, match="vault") as refused:
            Vault(keys)
        assert "not-a-key" not in str(refused.value)
        assert "tooshort" not in str(refused.value)


def test_a_vault_prints_no_keys() -> None:
    key = new_key()
    assert key not in repr(Vault([key]))
