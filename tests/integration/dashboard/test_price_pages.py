"""The price before the action, on the pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from money_world import hours_pass, running, set_balance

from skypanel.jobs import Job
from skypanel.orgs.models import Organization, Plan

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


def test_prices_of_storage_and_logs_stand_beside_a_plan_that_has_them(world: Any, person: Open) -> None:
    running(world, plan="pro")
    page = person()
    assert "per GB" not in plain(page.go("/apps/new")) + plain(page.go("/apps/shop/settings"))
    with world.database.transaction() as session:
        pro = session.scalars(sa.select(Plan).where(Plan.slug == "pro")).one()
        pro.storage_price_micro, pro.log_price_micro = 120, 2_500_000
    shown = "up to 10 replicas · storage 0.00012 USD per GB and hour · logs 2.50 USD per GB"
    for path in ("/apps/new", "/apps/shop/settings"):
        assert plain(page.go(path)).count(shown) == 1
    assert "it was chosen: 0.0694 USD per replica and hour." in plain(page.answer.text)
    page.submit("/apps/shop/settings/plan", plan="standard")
    page.submit("/apps/shop/settings/plan", plan="pro")
    text = plain(page.go("/apps/shop/settings"))
    assert "per replica and hour, storage 0.00012 USD per GB and hour, logs 2.50 USD per GB." in text


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
