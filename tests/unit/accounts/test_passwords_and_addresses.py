"""Passwords and e-mail addresses."""

from __future__ import annotations

import pytest

from skypanel.accounts.email import normalized
from skypanel.accounts.passwords import Passwords, check_password
from skypanel.accounts.policy import AuthPolicy
from skypanel.errors import Invalid
from skypanel.kit.secret import Secret

CHEAP = Passwords(memory_kib=8, passes=1)


def test_a_password_is_verified_by_its_argon2id_hash():
    stored = CHEAP.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert CHEAP.verify(stored, "correct horse")
    assert not CHEAP.verify(stored, "correct horse ")


def test_two_hashes_of_one_password_differ():
    assert CHEAP.hash("correct horse") != CHEAP.hash("correct horse")


def test_nobodys_password_is_never_right():
    assert not CHEAP.verify(None, "anything")


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$broken", "!"])
def test_a_damaged_hash_lets_nobody_in(stored):
    assert not CHEAP.verify(stored, "anything")


def test_a_hash_is_outdated_when_the_parameters_change():
    assert Passwords(memory_kib=16, passes=1).outdated(CHEAP.hash("x"))
    assert not CHEAP.outdated(CHEAP.hash("x"))


def test_the_default_cost_is_owasps_first_recommendation():
    assert "$m=19456,t=2,p=1$" in Passwords().hash("x")


@pytest.mark.parametrize("length", [10, 1024])
def test_a_password_of_allowed_length_is_taken(length):
    check_password("ü" * length)


@pytest.mark.parametrize("length", [0, 9, 1025])
def test_a_password_too_short_or_too_long_is_refused(length):
    with pytest.raises(Invalid) as refused:
        check_password("x" * length)
    assert refused.value.errors[0].field == "password"


@pytest.mark.parametrize("written", ["ada@example.com", " Ada@EXAMPLE.com\n", "ADA@example.COM"])
def test_an_address_has_one_form(written):
    assert normalized(written) == "ada@example.com"


@pytest.mark.parametrize(
    "wrong",
    ["", "ada", "@example.com", "ada@", "a@b@c", "a b@example.com", "a@exa mple.com", "a..b@example.com", ".a@b.com",
     "a.@b.com", "a@.com", "a@com.", "a\x00@b.com", "a@b.com\nBcc: x@y.z", "<a@b.com>", f"{'a' * 65}@b.com",
     f"a@{'b' * 250}"],
)  # fmt: skip
def test_what_is_no_address_is_refused(wrong):
    with pytest.raises(Invalid):
        normalized(wrong)


def test_a_short_signing_key_is_refused_at_start():
    with pytest.raises(ValueError, match="32"):
        AuthPolicy(jwt_key=Secret("short"), passwords=CHEAP)
