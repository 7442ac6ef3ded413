"""Variables over HTTP. Whatever happens, no value comes back."""

from __future__ import annotations

import io
import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from skypanel.activity.models import Activity
from skypanel.apps.env import read_all
from skypanel.db import Base
from skypanel.jobs import Job

if TYPE_CHECKING:
    from conftest import World

CANARY = "canary-91c7e2"
PATH = "/api/paas/apps/shop/env"


def stored(world: World, app_id: str) -> dict[str, str]:
    with world.database.reading() as session:
        return read_all(session, world.vault, app_id)


def test_values_arrive_byte_for_byte_and_only_names_come_back(world: World) -> None:
    app_id = world.app()
    variables = {"A": f"  {CANARY} \n", "B": "", "C": "ü🙂"}
    answer = world.client().put(PATH, json={"vars": variables})
    assert answer.status_code == 200
    assert stored(world, app_id) == variables
    listed = world.client("acme", "viewer").get(PATH).json()
    assert [item["name"] for item in listed["items"]] == ["A", "B", "C"]
    assert set(listed["items"][0]) == {"name", "created_at", "updated_at"}
    assert CANARY not in answer.text


def test_a_change_of_a_running_application_makes_a_release_and_the_same_again_does_not(world: World) -> None:
    app_id = world.app()
    world.release(app_id, version=3)
    client = world.client()
    first = client.put(PATH, json={"vars": {"A": "1"}}).json()
    assert (first["deployment"]["kind"], first["deployment"]["version"]) == ("env", 4)
    assert first["job_id"] == first["deployment"]["job_id"]
    same = client.put(PATH, json={"vars": {"A": "1", "GONE": None}}).json()
    assert (same["deployment"], same["changed"]["unchanged"]) == (None, ["A"])
    held = client.put(f"{PATH}?deploy=false", json={"vars": {"A": "2"}}).json()
    assert (held["deployment"], held["changed"]["updated"]) == (None, ["A"])
    assert client.delete(f"{PATH}/A?deploy=false").json()["deployment"] is None
    assert client.delete(f"{PATH}/A").json()["code"] == "env_not_found"
    again = client.put(PATH, json={"vars": {"B": "1"}}).json()
    assert again["deployment"]["version"] == 5
    assert client.delete(f"{PATH}/B").json()["deployment"]["version"] == 6


def test_an_application_that_never_ran_or_is_stopped_gets_no_release(world: World) -> None:
    app_id = world.app()
    client = world.client()
    assert client.put(PATH, json={"vars": {"A": "1"}}).json()["deployment"] is None
    world.release(app_id)
    client.post("/api/paas/apps/shop/stop")
    assert client.put(PATH, json={"vars": {"A": "2"}}).json()["deployment"] is None


def test_a_file_is_imported_as_json_or_as_it_is(world: World) -> None:
    app_id = world.app()
    client = world.client()
    file = f"# mine\nexport A='{CANARY}'\nPORT=80\nnonsense\n"
    answer = client.post(f"{PATH}/import", json={"content": file})
    assert answer.status_code == 200
    assert answer.json()["changed"]["added"] == ["A"]
    assert [(line["line"], line["name"]) for line in answer.json()["ignored"]] == [(3, "PORT"), (4, None)]
    plain = client.post(
        f"{PATH}/import", content="B=2\r\nA=3\r\n", headers={"content-type": "text/plain; charset=utf-8"}
    )
    assert (plain.json()["changed"]["added"], plain.json()["changed"]["updated"]) == (["B"], ["A"])
    assert stored(world, app_id) == {"A": "3", "B": "2"}


def test_an_export_has_names_and_nothing_else(world: World) -> None:
    world.app()
    client = world.client()
    client.put(PATH, json={"vars": {"B": CANARY, "A": CANARY}})
    text = client.get(f"{PATH}/export")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text.splitlines()[1:] == ["A=***", "B=***"]
    assert client.get(f"{PATH}/export?format=json").json() == {"A": "***", "B": "***"}
    again = client.post(f"{PATH}/import", content=text.text, headers={"content-type": "text/plain"})
    assert again.json()["changed"] == {"added": [], "updated": [], "removed": [], "unchanged": []}


RAW: list[tuple[str, str, bytes, str]] = [
    ("PUT", "", json.dumps({"vars": {"A": [CANARY]}}).encode(), "application/json"),
    ("PUT", "", json.dumps({"vars": {"A": {"x": CANARY}, "B": 7}}).encode(), "application/json"),
    ("PUT", "", json.dumps({"vars": CANARY}).encode(), "application/json"),
    ("PUT", "", json.dumps({CANARY: 1}).encode()[:-1], "application/json"),
    ("PUT", "", json.dumps({"vars": {"A": CANARY}, "deploy": CANARY}).encode(), "application/json"),
    ("PUT", "", json.dumps({"vars": {"A": CANARY, "PORT": CANARY}}).encode(), "application/json"),
    ("PUT", "", json.dumps({"vars": {"A": CANARY + "\0"}}).encode(), "application/json"),
    ("PUT", "", json.dumps({"vars": {"A": CANARY + "\ud800"}}).encode(), "application/json"),
    ("PUT", "", json.dumps({"vars": {"A": CANARY * 9000}}).encode(), "application/json"),
    ("PUT", "", json.dumps({"vars": {f"A={CANARY}": "x"}}).encode(), "application/json"),
    ("POST", "/import", f"A='{CANARY}\n{CANARY}=1".encode(), "text/plain"),
    ("POST", "/import", CANARY.encode() + b"=\xff\xfe", "text/plain"),
    ("POST", "/import", json.dumps({"content": [CANARY]}).encode(), "application/json"),
    ("POST", "/import", f'{{"content": "{CANARY}'.encode(), "application/json"),
    ("POST", "/import", json.dumps({"content": "A=b", CANARY: 1}).encode(), "application/json"),
    ("POST", "/import", f"A={CANARY}".encode(), "application/json"),
]


@pytest.mark.parametrize(("method", "suffix", "content", "kind"), RAW)
def test_no_error_repeats_a_value(
    world: World, method: str, suffix: str, content: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    app_id = world.app()
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), caplog.at_level(logging.DEBUG):
        answer = world.client().request(method, PATH + suffix, content=content, headers={"content-type": kind})
    assert answer.status_code == 422, answer.text
    assert CANARY not in answer.text + printed.getvalue() + caplog.text
    assert stored(world, app_id) == {}


def test_no_value_is_found_anywhere_after_everything(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Every answer of every route, the feed, the queue and the log, after values were set, changed and released."""
    app_id = world.app()
    world.release(app_id)
    client, seen = world.client(), []
    printed = io.StringIO()

    def ask(method: str, path: str, **given: Any) -> None:
        seen.append(client.request(method, path, **given).text)

    with redirect_stdout(printed), redirect_stderr(printed), caplog.at_level(logging.DEBUG):
        ask("PUT", PATH, json={"vars": {"A": CANARY, "B": f"{CANARY}\n{CANARY}"}}, headers={"Idempotency-Key": "k"})
        ask("PUT", PATH, json={"vars": {"A": CANARY + "2"}})
        ask("POST", f"{PATH}/import", json={"content": f"C={CANARY}\nPS={CANARY}"}, headers={"Idempotency-Key": "i"})
        ask("POST", f"{PATH}/import", json={"content": f"C={CANARY}\nPS={CANARY}"}, headers={"Idempotency-Key": "i"})
        ask("DELETE", f"{PATH}/B")
        for path in ("", "/env", "/env/export", "/env/export?format=json", "/deployments", "/replicas"):
            ask("GET", f"/api/paas/apps/shop{path}")
        ask("GET", "/api/paas/apps")
        organization = world.viewer().organization_id
        ask("GET", f"/api/organizations/{organization}/activity")
    with world.database.reading() as session:
        feed = [repr((row.message, row.detail)) for row in session.scalars(sa.select(Activity))]
        queue = [repr((row.args, row.error)) for row in session.scalars(sa.select(Job))]
    assert len(feed) >= 5
    assert CANARY not in "".join([*seen, *feed, *queue, printed.getvalue(), caplog.text])
    assert CANARY.encode() not in _on_disk(world), "in clear on disk"


def _on_disk(world: World) -> bytes:
    """SQLite's files; of PostgreSQL every row as text."""
    if world.database.dialect == "sqlite":
        file = Path(world.database.url.removeprefix("sqlite:///"))
        return b"".join(path.read_bytes() for path in sorted(file.parent.glob("test.db*")))
    with world.database.reading() as session:
        tables = [table.name for table in Base.metadata.sorted_tables]
        rows = [str(row) for name in tables for row in session.execute(sa.text(f"SELECT t::text FROM {name} t"))]
    return "".join(rows).encode()
