"""Variables in the database: encrypted, snapshotted, rotated; on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from skypanel.activity.models import Activity
from skypanel.apps.env import (
    EnvChange,
    delete_variable,
    read_all,
    read_snapshot,
    restore_snapshot,
    rows_of,
    set_variables,
    snapshot,
)
from skypanel.apps.models import App, EnvSnapshot, EnvVar
from skypanel.apps.rotation import rotate_keys
from skypanel.apps.vault import Undecryptable, Vault, new_key
from skypanel.errors import Invalid, NotFound

if TYPE_CHECKING:
    from conftest import World

CANARY = "canary-77ab"


def put(world: World, app_id: str, later: int = 0, **changes: str | None) -> EnvChange:
    with world.database.transaction() as session:
        app = session.get_one(App, app_id)
        now = world.now + timedelta(seconds=later)
        return set_variables(session, app=app, changes=changes, vault=world.vault, by=world.viewer().actor, now=now)


def values(world: World, app_id: str) -> dict[str, str]:
    with world.database.reading() as session:
        return read_all(session, world.vault, app_id)


def test_values_arrive_byte_for_byte_and_are_stored_encrypted(either_world: World) -> None:
    world = either_world
    app_id = world.app()
    odd = {"A": " a \n", "B": "", "C": "ü🙂'\"$(id)\\", "D": "x" * 65_536, "E": f"{CANARY}\r\n\t"}
    put(world, app_id, **odd)
    assert values(world, app_id) == odd
    with world.database.reading() as session:
        assert all(CANARY.encode() not in row.value for row in rows_of(session, app_id))


def test_a_change_says_what_differs_and_null_removes(either_world: World) -> None:
    world = either_world
    app_id = world.app()
    assert put(world, app_id, A="1", B="2", C="3").added == ("A", "B", "C")
    change = put(world, app_id, later=5, A="1", B="two", C=None, GONE=None)
    assert (change.updated, change.removed, change.unchanged, change.added) == (("B",), ("C",), ("A",), ())
    assert not put(world, app_id, later=9, A="1", B="two", GONE=None)
    assert values(world, app_id) == {"A": "1", "B": "two"}
    with world.database.reading() as session:
        times = {row.name: (row.updated_at - world.now).seconds for row in rows_of(session, app_id)}
        assert times == {"A": 0, "B": 5}
        assert session.scalar(sa.select(sa.func.count()).where(Activity.verb == "env.changed")) == 2


def test_one_bad_variable_and_nothing_is_changed(world: World) -> None:
    app_id = world.app()
    with pytest.raises(Invalid):
        put(world, app_id, A="1", PORT="80")
    assert values(world, app_id) == {}


def test_all_variables_together_have_a_limit_that_removals_count_for(world: World) -> None:
    app_id = world.app()
    put(world, app_id, **dict.fromkeys("ABCD", "x" * 60_000))
    with pytest.raises(Invalid) as refused:
        put(world, app_id, E="x" * 60_000)
    assert refused.value.code == "env_too_large"
    put(world, app_id, E="x" * 60_000, A=None)


def test_one_variable_is_deleted_by_name(either_world: World) -> None:
    world = either_world
    app_id = world.app()
    put(world, app_id, A="1")
    with world.database.transaction() as session:
        app = session.get_one(App, app_id)
        assert delete_variable(session, app=app, name="A", by=world.viewer().actor, now=world.now).removed == ("A",)
        for name in ("A", "a\0b", "' OR 1=1", "\ud800"):
            with pytest.raises(NotFound):
                delete_variable(session, app=app, name=name, by=world.viewer().actor, now=world.now)


def test_a_snapshot_keeps_what_a_release_got_and_can_be_restored(either_world: World) -> None:
    world = either_world
    app_id, other = world.app(), world.app("Other")
    put(world, app_id, A="1", B="ü\n")
    with world.database.transaction() as session:
        kept = snapshot(session, app=session.get_one(App, app_id), vault=world.vault, now=world.now)
        assert kept.names == ["A", "B"]
        assert b"\\u00fc" not in kept.content
    put(world, app_id, A="2", B=None, C="3")
    with world.database.transaction() as session:
        assert read_snapshot(session, world.vault, kept.id) == {"A": "1", "B": "ü\n"}
        change = restore_snapshot(
            session, app=session.get_one(App, app_id), vault=world.vault, snapshot_id=kept.id, now=world.now
        )
        assert (change.added, change.updated, change.removed) == (("B",), ("A",), ("C",))
        stranger = session.get_one(App, other)
        with pytest.raises(NotFound):
            restore_snapshot(session, app=stranger, vault=world.vault, snapshot_id=kept.id, now=world.now)
        with pytest.raises(NotFound):
            read_snapshot(session, world.vault, "nope")
    assert values(world, app_id) == {"A": "1", "B": "ü\n"}


def test_rotation_makes_the_old_key_dispensable(either_world: World) -> None:
    world = either_world
    app_id = world.app()
    put(world, app_id, **{f"V{number:02}": str(number) for number in range(23)})
    with world.database.transaction() as session:
        kept = snapshot(session, app=session.get_one(App, app_id), vault=world.vault, now=world.now)
    newest = new_key()
    with world.database.transaction() as session:
        old = session.scalars(sa.select(EnvVar.value).limit(1)).one()
        both = _with_both(world.vault, newest)
        assert rotate_keys(session, both, batch=5) == 24
    only_new = Vault([newest])
    with pytest.raises(Undecryptable):
        only_new.decrypt(old)
    with world.database.reading() as session:
        assert len(read_all(session, only_new, app_id)) == 23
        assert read_snapshot(session, only_new, kept.id)["V07"] == "7"


def _with_both(old: Vault, newest: str) -> Vault:
    class Both:
        """A vault of the new key in front of an existing one, whose keys a test does not know."""

        def rotate(self, token: bytes) -> bytes:
            return Vault([newest]).encrypt(old.decrypt(token))

    return Both()  # type: ignore[return-value]


def test_a_damaged_value_is_an_error_to_read_and_can_be_set_again(world: World) -> None:
    app_id = world.app()
    put(world, app_id, A=CANARY, B="fine")
    with world.database.transaction() as session:
        session.get_one(EnvVar, (app_id, "A")).value = b"damaged"
    with pytest.raises(Undecryptable):
        values(world, app_id)
    assert put(world, app_id, A=CANARY).updated == ("A",)
    assert values(world, app_id) == {"A": CANARY, "B": "fine"}


def test_no_value_reaches_the_feed_or_a_representation(world: World) -> None:
    app_id = world.app()
    put(world, app_id, A=CANARY)
    put(world, app_id, A=CANARY + "2", B=CANARY)
    put(world, app_id, A=None)
    with world.database.transaction() as session:
        kept = snapshot(session, app=session.get_one(App, app_id), vault=world.vault, now=world.now)
        rows = session.scalars(sa.select(Activity)).all()
        shown = [repr((row.message, row.detail, row.object_name)) for row in rows]
        shown += [repr(row) for row in rows_of(session, app_id)] + [repr(kept), repr(vars(kept))]
    assert CANARY not in "".join(shown)
    assert any("A, B" in text for text in shown)


def test_two_that_set_the_same_new_variable_at_once_both_succeed(either_world: World) -> None:
    world = either_world
    app_id = world.app()

    def set_it(number: int) -> None:
        put(world, app_id, SAME=str(number), **{f"OWN_{number}": "x"})

    threads = [threading.Thread(target=set_it, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(values(world, app_id)) == 7


def test_snapshots_of_one_application_do_not_hold_anothers_variables(world: World) -> None:
    mine, other = world.app(), world.app("Other", organization="rival")
    put(world, mine, A="1")
    with world.database.transaction() as session:
        kept = snapshot(session, app=session.get_one(App, other), vault=world.vault, now=world.now)
        assert session.get_one(EnvSnapshot, kept.id).names == []
