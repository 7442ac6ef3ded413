"""A wallet that runs dry, on the pages: the banner, what is suspended, and how it comes back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from money_world import hours_pass, running, set_balance, stored

from skypanel.billing.running_dry import ADMIN, suspend
from skypanel.jobs import Job
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
