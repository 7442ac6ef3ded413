"""The whole life of a wallet, through the dashboard: funded by an admin, an application deployed and scaled with its
price shown, run dry, suspended, refilled, and its bill downloaded.

An hour cannot be waited for. The records are put an hour back instead (when the application was made, since when its
replicas serve), and the platform's own job charges it.
"""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from browser_page import Watched, judge, pages_of
from git_http import GitHttpServer
from playwright.sync_api import Browser, Page, expect
from sample_apps import plain_server
from site_under_test import SKYPANEL, Client, Site, site

from skypanel.apps.models import App, PlanPeriod
from skypanel.billing.charge import LAG
from skypanel.billing.core.hours import HOUR, hour_of
from skypanel.db import Database
from skypanel.deployments.models import Replica
from skypanel.jobs import enqueue

WAIT_MS = 60_000


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    """A platform of its own, on which nothing has been charged yet and wallets begin with nothing."""
    with site(tmp_path, SKYPANEL_SIGNUP_CREDIT="0", SKYPANEL_HEALTH_DEADLINE_S="8") as running:
        yield running


def make_admin(platform: Site) -> None:
    """Who runs the platform, in an organization of his own, so that he has pages."""
    who = {"email": "root@example.org", "password": "a long password of root"}
    command = [SKYPANEL, "admin", "create", "--email", who["email"], "--name", "Root"]
    env = {**platform.env, "SKYPANEL_ADMIN_PASSWORD": who["password"]}
    subprocess.run(command, env=env, check=True, timeout=60, capture_output=True)
    token = platform.http.post(f"{platform.url}/api/auth/login", json=who).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    made = platform.http.post(f"{platform.url}/api/organizations", json={"name": "The platform"}, headers=headers)
    assert made.status_code == 201, made.text


def charge_an_hour(platform: Site, slug: str) -> None:
    """As if it had served for the whole of the last hour."""
    hour = hour_of(datetime.now(UTC) - LAG) - HOUR
    with closing(Database(f"sqlite:///{platform.data_dir / 'db' / 'skypanel.db'}")) as database:
        with database.transaction() as session:
            app = session.scalars(sa.select(App).where(App.slug == slug)).one()
            app.created_at = hour - timedelta(minutes=1)
            session.execute(sa.update(PlanPeriod).where(PlanPeriod.app_id == app.id).values(since=hour))
            session.execute(
                sa.update(Replica).where(Replica.app_id == app.id, Replica.metered_from.is_not(None)).values(
                    metered_from=hour, recheck_from=None
                )
            )  # fmt: skip
        with database.transaction() as session:
            enqueue(session, kind="billing.run", args={}, queue="billing")


def enter(page: Page, kind: str, amount: str, reason: str) -> None:
    page.get_by_label("Kind").select_option(kind)
    page.get_by_label("Amount").fill(amount)
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_role("status").filter(has_text=f"{kind.capitalize()} of")).to_be_visible()


def funded(admin: Watched, seen: Watched) -> Page:
    """By an admin, after it was seen that nothing can be made without; his page of that wallet."""
    page = seen.page
    seen.go("/apps/new")
    page.get_by_role("radio", name="Standard").check()
    expect(page.locator("[data-funds]")).to_contain_text("The wallet has 0.00 USD")
    expect(page.get_by_role("button", name="Create and deploy")).to_be_disabled()

    books = admin.go("/admin/organizations")
    books.get_by_role("link", name="grace").click()
    enter(books, "credit", "5", "for the first month")
    return books


def deployed_and_scaled(seen: Watched, name: str, git_url: str) -> None:
    """With the price shown before each."""
    page = seen.page
    seen.go("/apps/new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Git URL").fill(git_url)
    page.get_by_role("radio", name="Standard").check()
    expect(page.locator("[data-funds]")).to_contain_text("4.9653 USD after an hour of all; lasts 6 days")
    page.get_by_role("button", name="Create and deploy").click()
    page.wait_for_url("**/deployments/1")
    expect(page.locator("#progress .pill")).to_have_text("running", timeout=WAIT_MS)

    seen.go(f"/apps/{name}")
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("output")).to_have_text("2 of 3 replicas · 0.0694 USD per hour · about 50.66 USD per month")
    expect(page.locator("[data-funds]")).to_contain_text("The wallet has 5.00 USD: 4.9306 USD after an hour")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#app-serving")).to_contain_text("2 web replicas healthy, 2 wanted", timeout=WAIT_MS)
    expect(page.locator("#rail-wallet")).to_contain_text("72 hours")


def run_dry(shop: Site, books: Page, seen: Watched, name: str, owner: Client) -> None:
    """An hour is charged that empties the wallet: everything is suspended, and says so."""
    page = seen.page
    enter(books, "adjustment", "-4.999999", "to run dry")
    expect(page.locator("#wallet-banner")).to_contain_text("Less than an hour of funds left")
    assert owner.get(name).text == "worth every cent"
    charge_an_hour(shop, name)
    expect(page.locator("#wallet-banner")).to_contain_text("grace is suspended", timeout=WAIT_MS)
    expect(page.locator(".app-head .pill")).to_have_text("suspended")
    expect(page.locator("#app-serving")).to_contain_text("Suspended with grace")
    expect(page.locator("#app-serving .replica")).to_have_count(0, timeout=WAIT_MS)
    assert owner.get(name).status_code == 503
    assert judge(seen, f"/apps/{name}", "dry") == []
    page.get_by_role("button", name="Deploy").click()
    expect(page.get_by_role("main")).to_contain_text("grace is suspended")
    page.get_by_role("link", name="Wallet", exact=True).click()
    expect(page.locator("#wallet-figures")).to_contain_text("an hour of what was running costs 0.0694 USD")


def refilled(books: Page, its_wallet: str, seen: Watched, name: str, owner: Client) -> None:
    """And everything is back as it was."""
    page = seen.page
    books.goto(its_wallet)
    enter(books, "credit", "10", "paid by invoice")
    expect(page.locator("#wallet-banner")).to_be_empty()
    expect(page.locator("#wallet-figures")).to_contain_text("ok")
    seen.go(f"/apps/{name}")
    expect(page.locator("#app-serving")).to_contain_text("2 web replicas healthy, 2 wanted", timeout=WAIT_MS)
    assert owner.get(name).text == "worth every cent"


def bill_downloaded(seen: Watched, name: str, tmp_path: Path) -> None:
    """It opens as a table, and the hour behind it can be worked out."""
    page = seen.page
    seen.go("/usage?range=7d")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download CSV").click()
    downloading.value.save_as(tmp_path / "usage.csv")
    with (tmp_path / "usage.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["app"], row["replica_seconds"], row["cost"], row["currency"]) == (name, "7200", "0.0694", "USD")
    page.get_by_role("link", name=name).click()
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(page.locator("#usage-hour")).to_contain_text("3 600 s x 0.0347 / 3600 = 0.0347 USD")
    expect(page.get_by_role("row", name="Together 0.0694")).to_be_visible()


def test_the_whole_life_of_a_wallet(
    shop: Site, repositories: GitHttpServer, chromium: Browser, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    make_admin(shop)
    owner, name = shop.register("grace"), unique("money")
    repositories.make(name, plain_server(body="worth every cent"))
    with pages_of(chromium, f"http://localhost:{shop.port}") as opened:
        admin, seen = opened(), opened()
        admin.sign_in("root")
        seen.sign_in("grace")
        books = funded(admin, seen)
        its_wallet = books.url
        deployed_and_scaled(seen, name, repositories.url(name))
        run_dry(shop, books, seen, name, owner)
        refilled(books, its_wallet, seen, name, owner)
        bill_downloaded(seen, name, tmp_path)
        assert [error for error in seen.errors if "409" not in error] == []
