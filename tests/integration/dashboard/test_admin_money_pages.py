"""Wallets of the platform, on the pages of its admins."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from html import unescape
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from money_world import hours_pass, organization, running, stored

from skypanel.jobs import Job

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


def test_the_wallet_leads_an_admin_to_where_credits_are_entered(
    world: Any, admin: Callable[[], Browser], person: Open
) -> None:
    page, home = admin(), f"/admin/organizations/{world.viewer().organization_id}"
    text = page.go("/wallet")
    assert f'<a href="{home}">enter a credit</a>' in text
    assert "Ask the platform" not in plain(text)
    assert 'name="amount"' in page.go(home)
    theirs = person().go("/wallet")
    assert "Ask the platform’s admin for a credit" in plain(theirs)
    assert "enter a credit" not in theirs


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
