"""What money looks like: usage down to the seconds, the wallet, prices before actions, running dry."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from money_world import hours_pass, leaves_at, organization, running, set_balance
from stripe_double import KEY, WEBHOOK_SECRET, StripeDouble

from skypanel.apps.models import App, PlanPeriod
from skypanel.billing.csv_rows import COLUMNS
from skypanel.billing.models import LedgerJournal
from skypanel.builds.models import Slug
from skypanel.drivers.payments.stripe import StripePayments
from skypanel.jobs import Job
from skypanel.kit.secret import Secret
from skypanel.orgs.models import Organization

if TYPE_CHECKING:
    from conftest import Browser

OWNER = "owner@acme.example"
ROLES = ("owner", "admin", "developer", "viewer")
Open = Callable[..., "Browser"]


def plain(text: str) -> str:
    """What a person reads."""
    text = re.sub(r"<[^>]+>", " ", text.partition("<main")[2].partition(">")[2].partition("</main>")[0])
    return " ".join(unescape(text).replace("\N{NO-BREAK SPACE}", " ").split())


def banner(text: str) -> str:
    found = re.search(r'id="wallet-banner" data-live="[0-9a-f]*">(.*?)</div>\s*(?:</div>|<)', text, re.DOTALL)
    assert found is not None
    return plain(f"<main>{found[1]}")


def jobs(world: Any, kind: str) -> int:
    with world.database.reading() as session:
        return len(list(session.scalars(sa.select(Job.kind).where(Job.kind == kind))))


# --- usage


def test_usage_shows_each_application_and_what_it_costs(world: Any, person: Open) -> None:
    running(world, "Shop")
    running(world, "Blog", plan="pro")
    running(world, "Theirs", organization="rival")
    hours_pass(world, 2)
    page = person()
    text = plain(page.go("/usage"))
    assert re.search(r"Blog pro 2 2\.00 0\.1388 0\.00 0\.00 0\.1388 0\.0694", text), text
    assert re.search(r"Shop hobby 2 2\.00 0\.0138 0\.00 0\.00 0\.0138 0\.0069", text)
    assert re.search(r"Total 4\.00 0\.1526 0\.00 0\.00 0\.1526 0\.0763", text)
    assert "Theirs" not in text
    text = plain(page.go("/usage?plan=pro"))
    assert "Blog" in text
    assert "Shop hobby" not in text


def test_usage_of_a_time(world: Any, person: Open) -> None:
    running(world)
    hours_pass(world, 1)
    page = person()
    for query, there in (
        ("range=month", True), ("range=last-month", False), ("range=7d", True), ("range=nonsense", True),
        ("range=custom&from=2026-05-01&to=2026-05-01", True), ("range=custom&from=2026-05-02&to=2026-05-03", False),
    ):  # fmt: skip
        assert ("0.0069" in plain(page.go(f"/usage?{query}")).partition("Application")[2]) is there, query
    for query in ("range=custom", "range=custom&from=2026-05-02&to=2026-05-01", "range=custom&from=x&to=0001-01-01"):
        assert "Choose a first and a last day" in plain(page.go(f"/usage?{query}")), query
    world.clock.advance(timedelta(days=31))
    page = person()
    assert "Nothing was used in this time" in plain(page.go("/usage"))
    assert "0.0069" in plain(page.go("/usage?range=last-month"))


def test_an_hour_can_be_done_again_by_hand(world: Any, person: Open) -> None:
    app_id = running(world)
    leaves_at(world, app_id, world.now + timedelta(seconds=2700))
    hours_pass(world, 1)
    page = person()
    text = page.go("/usage")
    assert f'href="/usage/{app_id}"' in text
    text = page.go(f"/usage/{app_id}")
    assert "2 700" in plain(text)
    assert f'href="/usage/{app_id}/2026-05-01T12"' in text
    text = plain(page.go(f"/usage/{app_id}/2026-05-01T12"))
    assert "2 700 s x 0.0069 / 3600 = 0.005175 USD" in text
    assert "12:00:00 – 12:45:00" in text
    assert "Together 0.005175" in text
    assert "correction" not in text


def test_storage_and_logs_are_done_again_by_hand_too(world: Any, person: Open) -> None:
    app_id = running(world)
    with world.database.transaction() as session:
        app = session.get_one(App, app_id)
        session.execute(sa.update(PlanPeriod).values(storage_price_micro=100, log_price_micro=500_000))
        app.storage_price_micro, app.log_price_micro = 100, 500_000
        session.execute(sa.update(Slug).values(size_bytes=2_000_000_000))
        from skypanel.billing.volumes import add_volumes

        add_volumes(session, {(app_id, world.now): 3_000_000})
    hours_pass(world, 1)
    text = plain(person().go(f"/usage/{app_id}/2026-05-01T12"))
    assert "2 000 000 000 B x 3 600 s x 0.0001 / (3600 x 10⁹) = 0.0002 USD" in text
    assert "3 000 000 B x 0.50 / 10⁹ = 0.0015 USD" in text
    assert "replicas 0.0069 + storage 0.0002 + logs 0.0015 = 0.0086 USD" in text


def test_an_hour_that_is_not_over_shows_what_ran_so_far(world: Any, person: Open) -> None:
    app_id = running(world)
    world.clock.advance(timedelta(minutes=30))
    text = plain(person().go(f"/usage/{app_id}/2026-05-01T12"))
    assert "the hour is not over yet" in text
    assert "1 800 s x 0.0069 / 3600 = 0.00345 USD" in text
    assert "Added up" not in text


def test_the_bill_of_a_deleted_application_is_kept(world: Any, person: Open) -> None:
    app_id = running(world)
    hours_pass(world, 1)
    with world.database.transaction() as session:
        session.get_one(App, app_id).deleted_at = world.clock.now()
    page = person()
    assert "deleted" in plain(page.go("/usage"))
    assert "0.0069" in plain(page.go(f"/usage/{app_id}"))
    assert "0.0069" in plain(page.go(f"/usage/{app_id}/2026-05-01T12"))


def test_usage_of_others_is_not_there(world: Any, person: Open) -> None:
    app_id = running(world, organization="rival")
    hours_pass(world, 1)
    page = person()
    for path in (f"/usage/{app_id}", f"/usage/{app_id}/2026-05-01T12", "/usage/none", "/usage/none/2026-05-01T12"):
        page.go(path)
        assert page.answer.status_code == 404, path
    mine = running(world)
    for hour in ("x", "2026-05-01", "2026-13-01T12", "0001-01-01T00", "9999-12-31T23"):
        page.go(f"/usage/{mine}/{hour}")
        assert page.answer.status_code == 404, hour


def test_the_export_is_whole_and_opens_in_a_spreadsheet(world: Any, person: Open) -> None:
    app_id = running(world)
    running(world, "Theirs", organization="rival")
    hours_pass(world, 2)
    with world.database.transaction() as session:
        session.get_one(Organization, world.viewer().organization_id).slug = "=cmd|' /C calc'!A0"
        session.get_one(App, app_id).slug = 'a"b,c'
    page = person()
    assert 'href="/usage.csv"' in page.go("/usage")
    text = page.go("/usage.csv")
    assert page.answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert "attachment" in page.answer.headers["content-disposition"]
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == list(COLUMNS)
    first = dict(zip(header, rows[0], strict=True))
    assert (first["organization"], first["app"], first["app_id"]) == ("'=cmd|' /C calc'!A0", 'a"b,c', app_id)
    assert (first["hour"], first["replica_seconds"], first["cost"]) == ("2026-05-01T12:00:00Z", "3600", "0.0069")
    assert len(rows) == 2, "of this organization alone"
    assert text.count("\r\n") == 3
    page.go("/usage.csv?range=custom&from=2026-05-02&to=2026-05-01")
    assert page.answer.status_code == 422, "not another time than the one that was asked for"


def test_only_owners_and_admins_export(world: Any, person: Open) -> None:
    for role in ROLES:
        page = person(f"{role}@acme.example")
        may = role in ("owner", "admin")
        assert ("/usage.csv" in page.go("/usage")) is may, role
        page.go("/usage.csv")
        assert page.answer.status_code == (200 if may else 403), role


def test_entries_and_statements_are_for_owners_and_admins(world: Any, person: Open) -> None:
    for role in ROLES:
        page, may = person(f"{role}@acme.example"), role in ("owner", "admin")
        text = page.go("/wallet")
        assert "Balance 1000.00 USD" in plain(text), role
        assert ("to begin with" in text, "/wallet/statements/" in text) == (may, may), role
        page.go("/wallet/statements/2026-05")
        assert page.answer.status_code == (200 if may else 403), role
        page.submit_after("/wallet", "/wallet/resume")
        assert page.answer.status_code == (409 if may else 403), role


# --- the wallet


def test_the_wallet_shows_what_it_has_and_every_entry(world: Any, person: Open) -> None:
    running(world)
    hours_pass(world, 2)
    page = person()
    text = page.go("/wallet")
    shown = plain(text)
    assert "Balance 999.9862 USD" in shown
    assert "Lasts 6 038 days" in shown
    assert "Used per hour 0.0069 USD" in shown
    assert "Spent this month 0.0138 USD" in shown
    assert shown.index("999.9862") < shown.index("-0.0069 999.9862") < shown.index("-0.0069 999.9931")
    assert "hour from 2026-05-01 13:00" in shown
    assert "+1000.00 1000.00" in shown
    assert re.search(r"999\.98 USD · 6 038\sdays", unescape(text)), "in the rail of every page"
    assert "999.98 USD" in page.go("/members")
    hours_pass(world, 30)
    page = person()
    text = page.go("/wallet")
    assert plain(text).count(" hour from ") == 25
    older = unescape(re.findall(r'href="(/wallet\?cursor=[^"]*)"', text)[0])
    assert "+1000.00 1000.00" in plain(page.go(older))


def test_a_month_on_one_page(world: Any, person: Open) -> None:
    running(world)
    hours_pass(world, 3)
    page = person()
    assert 'href="/wallet/statements/2026-05"' in page.go("/wallet")
    text = plain(page.go("/wallet/statements/2026-05"))
    assert "Balance at the beginning 0.00" in text
    assert "Credits +1000.00" in text
    assert "Usage -0.0207" in text
    assert "Balance at the end 999.9793" in text
    assert "Shop hobby 3.00 0.0207" in text
    for month in ("2026-13", "x", "0001-01", "2026-05-01"):
        page.go(f"/wallet/statements/{month}")
        assert page.answer.status_code == 404, month


def test_the_cap_is_the_owners(world: Any, person: Open) -> None:
    page = person()
    text = page.submit_after("/wallet", "/wallet/cap", cap="12,5")
    assert "The cap holds from now on" in text
    assert 'value="12.50"' in text
    for wrong in ("-1", "0", "many", "1.0000001", "NaN", "1e400"):
        text = page.submit("/wallet/cap", cap=wrong)
        assert page.answer.status_code == 422, wrong
        assert f'value="{wrong}"' in text
    assert 'value="12.50"' in page.go("/wallet")
    assert "no spending cap any more" in page.submit("/wallet/cap", cap="")
    for role in ("admin", "developer", "viewer"):
        other = person(f"{role}@acme.example")
        text = other.go("/wallet")
        assert "1000.00 USD" in text
        assert "/wallet/cap" not in text
        other.submit_after("/wallet", "/wallet/cap", cap="1")
        assert other.answer.status_code == 403, role


def test_a_top_up_leads_to_the_payment_page(world: Any, person: Open) -> None:
    owner = person()
    assert "Top up by card" not in owner.go("/wallet")  # this platform takes no cards
    with StripeDouble() as stripe:
        payments = StripePayments(Secret(KEY), Secret(WEBHOOK_SECRET), api=stripe.url)
        world.services = replace(world.services, payments=payments, public_url="http://testserver")
        owner = person()
        assert "Top up by card" in owner.go("/wallet")
        assert "is no amount" in owner.submit("/wallet/topup", amount="much")
        page = owner.submit_after("/wallet", "/wallet/topup", amount="25,00")
        (address,) = re.findall(r'href="([^"]+)"[^>]*>Pay by card', page)
        assert address.startswith("http")
        for role in ("developer", "viewer"):
            other = person(f"{role}@acme.example")
            assert "Top up by card" not in other.go("/wallet")
            other.go("/apps")
            other.submit("/wallet/topup", amount="25")
            assert other.answer.status_code == 403
        payments.close()


def test_a_form_of_another_site_moves_nothing(world: Any, person: Open, admin: Callable[[], Browser]) -> None:
    page, home = admin(), f"/admin/organizations/{world.viewer().organization_id}"
    page.go("/wallet")
    given = {"cap": "1", "kind": "credit", "amount": "5", "reason": "because"}
    for path in (
        "/wallet/cap", "/wallet/resume", f"{home}/entries", f"{home}/suspend", f"{home}/resume", f"{home}/free",
    ):  # fmt: skip
        assert page.client.post(path, data=given).status_code == 403, path
    with world.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(LedgerJournal)) == 2, "the two to begin with"
    assert organization(world).status == "active"
    assert organization(world).billed


def test_nothing_in_a_bill_becomes_markup(world: Any, admin: Callable[[], Browser]) -> None:
    evil = "<img src=x onerror=alert(1)>\"'"
    app_id = running(world, evil)
    with world.database.transaction() as session:
        session.get_one(Organization, world.viewer().organization_id).name = evil
    hours_pass(world, 1)
    page, home = admin(), f"/admin/organizations/{world.viewer().organization_id}"
    page.submit_after(home, f"{home}/entries", kind="credit", amount="5", reason=evil)
    text = "".join(
        page.go(path)
        for path in (
            "/usage", f"/usage?plan={evil}&range=custom&from={evil}&to={evil}", f"/usage/{app_id}",
            f"/usage/{app_id}/2026-05-01T12", "/wallet", "/wallet/statements/2026-05", "/admin/organizations", home,
            f"/admin/organizations?q={evil}", "/admin/usage",
        )
    )  # fmt: skip
    text += page.submit_after(home, f"{home}/entries", kind=evil, amount=evil, reason=evil)
    set_balance(world, "0.01")
    text += page.go("/apps")
    assert "<img src=x" not in text
    assert text.count("&lt;img") >= 15
