"""What money looks like: usage down to the seconds, the wallet, prices before actions, running dry."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from money_world import hours_pass, leaves_at, organization, running, set_balance, stored
from stripe_double import KEY, WEBHOOK_SECRET, StripeDouble

from skypanel.apps.models import App, PlanPeriod
from skypanel.billing.csv_rows import COLUMNS
from skypanel.billing.models import LedgerJournal
from skypanel.billing.running_dry import ADMIN, suspend
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


@pytest.fixture
def person(browser: Callable[[], Browser]) -> Open:
    def sign_in(email: str = OWNER) -> Browser:
        someone = browser()
        someone.sign_in(email)
        return someone

    return sign_in


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


# --- running dry


def test_the_banner_says_how_long_it_lasts(world: Any, person: Open) -> None:
    running(world)
    page = person()
    assert banner(page.go("/apps")) == ""
    for amount, said, kind in (
        ("0.48", "69 hours of funds left", "warning"), ("0.10", "14 hours of funds left", "problem"),
        ("0.0005", "Less than an hour of funds left", "problem"),
    ):  # fmt: skip
        set_balance(world, amount)
        for path in ("/apps", "/apps/shop", "/members", "/apps/new"):
            text = page.go(path)
            assert said in banner(text), (path, amount)
            assert f'class="{kind} banner"' in text
            assert "Refill the wallet" in text
    set_balance(world, "100")
    assert banner(page.go("/apps")) == ""


def test_what_is_suspended_says_so_and_what_to_do(world: Any, person: Open) -> None:
    app_id = running(world)
    set_balance(world, "0.0069")
    hours_pass(world, 1)
    assert stored(world, app_id).status == "suspended"
    page = person()
    assert "Acme is suspended. Its wallet is empty" in banner(page.go("/activity"))
    assert "suspended" in plain(page.go("/apps"))
    assert "Suspended with Acme" in plain(page.go("/apps/shop"))
    assert '<a href="/wallet">Refill the wallet</a>' in page.answer.text
    text = plain(page.submit("/apps/shop/deploy"))
    assert page.answer.status_code == 409
    assert "Acme is suspended" in text
    assert 'href="/wallet"' in page.answer.text
    text = plain(page.go("/wallet"))
    assert "The wallet has 0.00 USD, and an hour of what was running costs 0.0069 USD" in text
    assert "/wallet/resume" not in page.answer.text
    assert "Refill it first" in plain(page.submit("/wallet/resume"))
    assert page.answer.status_code == 409
    set_balance(world, "5")
    assert stored(world, app_id).wanted == "running", "money that comes in resumes what only lacked it"
    assert banner(page.go("/apps")) == ""


def test_an_owner_resumes_what_lacks_nothing_any_more(world: Any, person: Open) -> None:
    app_id = running(world)
    page = person()
    page.submit_after("/wallet", "/wallet/cap", cap="0.005")
    hours_pass(world, 1)
    assert stored(world, app_id).wanted == "suspended"
    assert "spent its cap of this month" in banner(page.go("/apps"))
    assert "/wallet/resume" not in page.go("/wallet")
    world.clock.advance(timedelta(days=31))  # another month, of which nothing is spent
    page = person()
    assert 'action="/wallet/resume"' in page.go("/wallet")
    assert "active again" in page.submit("/wallet/resume")
    assert stored(world, app_id).wanted == "running"
    assert jobs(world, "app.restart") == 1


def test_what_the_admin_suspended_no_owner_resumes(world: Any, person: Open) -> None:
    app_id = running(world)
    with world.database.transaction() as session:
        found = session.get_one(Organization, world.viewer().organization_id)
        suspend(session, found, ADMIN, by=world.viewer().actor, now=world.now)
    page = person()
    assert "The platform's admin has suspended it" in banner(page.go("/apps"))
    assert "/wallet/resume" not in page.go("/wallet")
    assert "Only the admin resumes it" in plain(page.submit("/wallet/resume"))
    assert page.answer.status_code == 409
    assert stored(world, app_id).wanted == "suspended"


# --- the price before the action


def prices(text: str, attribute: str = "data-prices") -> Any:
    return json.loads(unescape(re.findall(rf"{attribute}='([^']*)'", text)[0]))


def test_a_scale_says_what_it_costs_and_leaves(world: Any, person: Open) -> None:
    running(world, "Blog", plan="pro")
    running(world, plan="pro")
    set_balance(world, "1")
    page = person()
    found = prices(page.go("/apps/shop"))
    assert found[3]["price"] == "3 of 10 replicas · 0.2082 USD per hour · about 151.99 USD per month"
    assert found[3]["funds"] == "The wallet has 1.00 USD: 0.7224 USD after an hour of all; lasts 3 hours."
    assert not found[3]["refused"]
    set_balance(world, "0.25")
    found = prices(page.go("/apps/shop"))
    assert [one["refused"] for one in found] == [False] * 3 + [True] * 8, "two, with the blog's one, are 0.2082"
    assert "0.0276 USD are missing" in found[3]["funds"]
    text = plain(page.submit("/apps/shop/scale", replicas="3"))
    assert page.answer.status_code == 409
    assert found[3]["funds"] in text, "who has no script is told the same"
    assert 'href="/wallet"' in page.answer.text
    assert jobs(world, "app.scale") == 0


def test_a_new_application_says_what_it_costs(world: Any, person: Open) -> None:
    set_balance(world, "0.05")
    page = person()
    found = prices(page.go("/apps/new"), "data-costs")
    assert found["hobby"][1]["price"] == "1 replica · 0.0069 USD per hour · about 5.04 USD per month"
    assert found["hobby"][1]["funds"] == "The wallet has 0.05 USD: 0.0431 USD after an hour of all; lasts 7 hours."
    assert found["standard"][2]["refused"]
    text = page.submit(
        "/apps/new", name="Shop", git_url="https://git.example.com/shop.git", plan="standard", replicas="2"
    )
    assert page.answer.status_code == 409
    assert "The wallet has 0.05 USD, and one hour of everything would cost 0.0694 USD" in plain(text)
    assert 'value="Shop"' in text


def test_another_plan_says_what_it_costs(world: Any, person: Open) -> None:
    running(world, plan="standard")
    set_balance(world, "0.05")
    page = person()
    found = prices(page.go("/apps/shop/settings"), "data-plan-prices")
    assert found["standard"]["price"] == "1 replica · 0.0347 USD per hour · about 25.33 USD per month"
    assert not found["standard"]["refused"]
    assert found["pro"]["refused"]
    assert "0.0194 USD are missing" in found["pro"]["funds"]
    assert "0.0194 USD are missing" in plain(page.submit("/apps/shop/settings/plan", plan="pro"))
    assert page.answer.status_code == 409
    assert page.submit("/apps/shop/settings/plan", plan="hobby").count("Saved.") == 1


def test_who_does_not_pay_is_told_no_price_of_his_wallet(world: Any, person: Open) -> None:
    running(world)
    set_balance(world, "0")
    with world.database.transaction() as session:
        session.get_one(Organization, world.viewer().organization_id).billed = False
    hours_pass(world, 1)
    page = person()
    assert "Nothing is charged" in prices(page.go("/apps/shop"))[1]["funds"]
    assert "free of charge" in page.answer.text
    assert "not charged" in plain(page.go(f"/usage/{re.findall('/usage/([0-9a-f-]{36})', page.go('/usage'))[0]}"))
    assert "does not pay for what it uses" in plain(page.go("/wallet"))


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


# --- admins


def test_an_admin_moves_money_with_a_reason(world: Any, admin: Callable[[], Browser], person: Open) -> None:
    app_id = running(world)
    page, home = admin(), f"/admin/organizations/{world.viewer().organization_id}"
    text = page.go("/admin/organizations")
    assert re.search(r"Acme acme ok 1000\.00 0\.0069 6 038 days", plain(text))
    assert re.search(r"Rival rival ok 1000\.00 0\.00 –", plain(text))
    assert "Rival" not in plain(page.go("/admin/organizations?q=ACM"))
    page.go(home)
    key = re.findall(r'name="key" value="([^"]+)"', page.answer.text)[0]
    given = {"kind": "credit", "amount": "12.50", "reason": "for the outage", "key": key}
    assert "Credit of 12.50 USD for Acme entered." in page.submit(f"{home}/entries", **given)
    assert "had been entered already" in page.submit(f"{home}/entries", **given), "pressed twice, entered once"
    assert "Balance 1012.50 USD" in plain(page.go(home))
    for wrong, said in (
        ({"amount": "x"}, "Write an amount"), ({"amount": "-5"}, "must be positive"), ({"reason": " "}, "3 to 500"),
        ({"kind": "usage"}, "Choose a credit"),
    ):  # fmt: skip
        text = page.submit(f"{home}/entries", **{**given, "key": "other", **wrong})
        assert page.answer.status_code == 422, wrong
        assert said in plain(text)
    page.submit(f"{home}/entries", kind="adjustment", amount="-1012.50", reason="back to nothing", key="another")
    assert "for the outage" in plain(person().go("/wallet"))
    hours_pass(world, 1)
    assert "suspended no funds" in plain(page.go("/admin/organizations"))
    assert "Refill it first" in plain(page.submit_after(home, f"{home}/resume"))
    assert "free of charge" in page.submit_after(home, f"{home}/free")
    assert stored(world, app_id).wanted == "running", "nothing is missing to who does not pay"
    assert "is suspended" in page.submit_after(home, f"{home}/suspend")
    assert organization(world).status == "suspended"
    assert "active again" in page.submit_after(home, f"{home}/resume")
    assert "pays for what it uses from now on" in page.submit_after(home, f"{home}/charge")
    assert organization(world).billed


def test_an_admin_exports_everybody(world: Any, admin: Callable[[], Browser]) -> None:
    running(world)
    running(world, "Theirs", organization="rival", plan="pro")
    hours_pass(world, 1)
    page = admin()
    text = plain(page.go("/admin/usage"))
    assert re.search(r"Rival 1\.00 0\.0694 Acme 1\.00 0\.0069 Total of all 0\.0763", text)
    assert 'href="/admin/usage.csv"' in page.answer.text
    rows = list(csv.DictReader(io.StringIO(page.go("/admin/usage.csv"), newline="")))
    assert {row["organization"] for row in rows} == {"acme", "rival"}
    assert "Nothing was used" in plain(page.go("/admin/usage?range=last-month"))


def test_wallets_of_the_platform_are_for_its_admins(world: Any, person: Open) -> None:
    page, home = person(), f"/admin/organizations/{world.viewer('rival').organization_id}"
    assert "/admin/" not in page.go("/wallet")
    for path in ("/admin/organizations", home, "/admin/usage", "/admin/usage.csv", "/admin/organizations/none"):
        page.go(path)
        assert page.answer.status_code == 404, path
    for verb in ("entries", "suspend", "resume", "free", "charge"):
        page.submit_after("/wallet", f"{home}/{verb}", kind="credit", amount="5", reason="a present")
        assert page.answer.status_code == 404, verb
    assert organization(world, "rival").status == "active"
