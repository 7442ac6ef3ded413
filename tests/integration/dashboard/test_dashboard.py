"""The dashboard as a browser sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from skypanel.accounts.models import User
from skypanel.apps.models import App
from skypanel.jobs import Job
from skypanel.orgs.models import Membership, Organization

if TYPE_CHECKING:
    from conftest import Browser

OWNER = "owner@acme.example"


def jobs(world: Any) -> list[str]:
    with world.database.reading() as session:
        return [job.kind for job in session.scalars(sa.select(Job).order_by(Job.seq))]


def test_who_is_not_signed_in_is_led_to_the_sign_in_page(world: Any, browser: Callable[[], Browser]) -> None:
    world.app()
    for path in ("/", "/apps", "/apps/shop"):
        someone = browser()
        assert "Sign in" in someone.go(path)
        assert someone.answer.url.path == "/login"


def test_signing_in_shows_the_applications_with_what_matters(world: Any, browser: Callable[[], Browser]) -> None:
    world.release(world.app("My Shop", plan="pro", replicas=3))
    someone = browser()
    text = someone.sign_in(OWNER)
    assert someone.answer.status_code == 200
    for shown in ("My Shop", "running", "version 1", "1 of 3", "pro", "http://my-shop.apps.localhost:8080", "0.2082"):
        assert shown in text
    assert "My Shop" in someone.go("/")


def test_on_a_phone_each_value_of_the_list_carries_its_name(world: Any, browser: Callable[[], Browser]) -> None:
    world.release(world.app("My Shop"))
    text = browser().sign_in(OWNER)
    for name in ("Replicas", "Plan", "USD per hour"):
        assert f'data-label="{name}"' in text


def test_an_empty_organization_is_taught_the_first_command(browser: Callable[[], Browser]) -> None:
    assert "skypanel apps create" in browser().sign_in(OWNER)


def test_a_wrong_password_says_so_and_keeps_the_address(browser: Callable[[], Browser]) -> None:
    someone = browser()
    text = someone.sign_in(OWNER, "wrong password")
    assert someone.answer.status_code == 401
    assert 'role="alert"' in text
    assert f'value="{OWNER}"' in text
    assert "wrong password" not in text


def test_registering_makes_an_organization_and_signs_in(browser: Callable[[], Browser]) -> None:
    someone = browser()
    someone.go("/register")
    text = someone.submit(
        "/register", email="eve@new.example", name="Eve", password="a long password", organization="Newcomers"
    )
    assert "No application yet" in text
    assert "Newcomers" in text
    again = browser()
    again.go("/register")
    taken = again.submit("/register", email="eve@new.example", name="Eve", password="a long password", organization="X")
    assert again.answer.status_code == 409
    assert 'role="alert"' in taken
    short = again.submit("/register", email="e2@new.example", name="<Eve>", password="short", organization="X")
    assert "&lt;Eve&gt;" in short
    assert "short" not in re.sub("<[^>]*>", "", short)


def test_signing_out_ends_the_sign_in_itself(world: Any, browser: Callable[[], Browser]) -> None:
    someone = browser()
    someone.sign_in(OWNER)
    session = someone.client.cookies["skypanel_session"]
    someone.submit("/logout")
    assert someone.answer.url.path == "/login"
    someone.client.cookies.set("skypanel_session", session)
    someone.go("/apps")
    assert someone.answer.url.path == "/login"


def test_an_application_shows_its_versions_and_takes_verbs(world: Any, browser: Callable[[], Browser]) -> None:
    app_id = world.app()
    world.release(app_id, version=1)
    world.release(app_id, version=2)
    someone = browser()
    someone.sign_in(OWNER)
    text = someone.go("/apps/shop")
    for shown in ("version 2", "web.1", "healthy", "Say hello"):
        assert shown in text
    someone.submit("/apps/shop/deploy")
    assert "Version 3 is queued" in someone.go("/apps/shop")
    someone.submit("/apps/shop/rollback", version="1")
    someone.go("/apps/shop")
    assert "Restarting" in someone.submit("/apps/shop/restart")
    assert "Restarting" not in someone.go("/apps/shop"), "a notice is shown once"
    someone.submit("/apps/shop/stop")
    assert ">Start<" in someone.answer.text
    assert jobs(world) == ["deploy", "deploy", "app.restart", "app.stop"]
    assert "never ran" in someone.submit("/apps/shop/rollback", version="3")
    assert someone.answer.status_code == 409


def test_a_viewer_sees_no_buttons_and_cannot_press_them(world: Any, browser: Callable[[], Browser]) -> None:
    world.release(world.app())
    someone = browser()
    someone.sign_in("viewer@acme.example")
    assert 'action="/apps/shop/deploy"' not in someone.go("/apps/shop")
    for verb in ("deploy", "restart", "stop", "rollback"):
        someone.go("/apps/shop")
        someone.submit(f"/apps/shop/{verb}", version="1")
        assert someone.answer.status_code == 403, verb
    assert jobs(world) == []


def test_another_organizations_application_is_not_found(world: Any, browser: Callable[[], Browser]) -> None:
    app_id = world.app()
    someone = browser()
    assert "Shop" not in someone.sign_in("owner@rival.example")
    for wanted in ("shop", app_id, "nothing", "%27--", "a" * 500):
        someone.go(f"/apps/{wanted}")
        assert someone.answer.status_code == 404
    someone.go("/apps")
    someone.submit(f"/apps/{app_id}/stop")
    assert someone.answer.status_code == 404
    # Choosing an organization that is not his changes nothing.
    someone.go("/apps")
    someone.submit("/organization", organization=world.viewer("acme").organization_id)
    assert "Shop" not in someone.go("/apps")
    someone.client.cookies.set("skypanel_organization", world.viewer("acme").organization_id)
    assert "Shop" not in someone.go("/apps")


def test_a_form_of_another_site_is_refused(world: Any, browser: Callable[[], Browser]) -> None:
    world.release(world.app())
    someone, attacker = browser(), browser()
    someone.sign_in(OWNER)
    attacker.sign_in("owner@rival.example")
    for fields in ({}, {"token": ""}, {"token": "0" * 64}, {"token": attacker.token()}, {"token": "ü"}):
        answer = someone.client.post("/apps/shop/stop", data=fields)
        assert answer.status_code == 403, fields
    someone.go("/apps/shop")
    genuine = {"token": someone.token()}
    for site in ("cross-site", "same-site"):
        answer = someone.client.post("/apps/shop/stop", data=genuine, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    assert jobs(world) == []
    answer = someone.client.post("/apps/shop/stop", data=genuine, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    assert jobs(world) == ["app.stop"]
    assert browser().client.post("/login", data={"email": OWNER, "password": "x"}).status_code == 403


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(world: Any, browser: Callable[[], Browser]) -> None:
    someone = browser()
    someone.go("/login")
    headers = [someone.answer.headers["set-cookie"]]
    someone.client.follow_redirects = False
    someone.submit("/login", email=OWNER, password="correct horse battery")
    headers.append(someone.answer.headers["set-cookie"])
    for header in headers:
        assert "HttpOnly" in header
        assert "SameSite=lax" in header
        assert "Path=/" in header
    assert someone.answer.headers["location"] == "/apps"


def test_an_api_token_is_no_sign_in(world: Any, browser: Callable[[], Browser]) -> None:
    someone = browser()
    someone.client.cookies.set("skypanel_session", world.tokens["acme", "owner"])
    someone.go("/apps")
    assert someone.answer.url.path == "/login"


@pytest.mark.parametrize("path", ["/login", "/register", "/apps", "/apps/shop", "/apps/none"])
def test_pages_have_a_strict_policy_and_ask_no_other_host(
    world: Any, browser: Callable[[], Browser], path: str
) -> None:
    world.release(world.app())
    someone = browser()
    someone.sign_in(OWNER)
    text = someone.go(path)
    policy = someone.answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert someone.answer.headers["x-frame-options"] == "DENY"
    assert someone.answer.headers["cache-control"] == "no-store"
    for script in re.findall(r"<script[^>]*>", text):
        assert re.fullmatch(r'<script type="module" src="/assets/[0-9a-f]{16}/skypanel.js">', script)
    assert "style=" not in text
    assert not re.search(r"\son\w+=", text)
    for address in re.findall(r'(?:src|<link[^>]*href|action)="([^"]*)"', text):
        assert address.startswith("/")
    (styles,) = re.findall(r'<link rel="stylesheet" href="([^"]*)"', text)
    css = someone.client.get(styles)
    assert css.headers["content-type"].startswith("text/css")
    assert "immutable" in css.headers["cache-control"]
    assert "url(" not in css.text
    assert "@import" not in css.text


def test_nothing_a_tenant_writes_becomes_markup(world: Any, browser: Callable[[], Browser]) -> None:
    evil = "<img src=x onerror=alert(1)>\"'"
    app_id = world.app(evil)
    world.release(app_id)
    with world.database.transaction() as session:
        app = session.get_one(App, app_id)
        app.status_reason = app.git_url = app.branch = evil
        session.get_one(Organization, app.organization_id).name = evil
        slug = app.slug
    someone = browser()
    text = someone.sign_in(OWNER) + someone.go(f"/apps/{slug}")
    assert "<img src=x" not in text
    assert text.count("&lt;img") >= 5


def test_a_member_of_two_organizations_switches_between_them(world: Any, browser: Callable[[], Browser]) -> None:
    world.app("Ours")
    world.app("Theirs", organization="rival")
    rival = world.viewer("rival").organization_id
    with world.database.transaction() as session:
        user_id = world.viewer("acme").user_id
        session.add(Membership(organization_id=rival, user_id=user_id, role="viewer", created_at=world.now))
    someone = browser()
    text = someone.sign_in(OWNER)
    assert "Ours" in text
    assert "Theirs" not in text
    text = someone.submit("/organization", organization=rival)
    assert "Theirs" in text
    assert "Ours" not in text
    assert 'action="/apps/theirs/deploy"' not in someone.go("/apps/theirs"), "only a viewer there"


def test_the_components_are_for_platform_admins(world: Any, browser: Callable[[], Browser]) -> None:
    someone = browser()
    someone.sign_in(OWNER)
    someone.go("/_components")
    assert someone.answer.status_code == 404
    with world.database.transaction() as session:
        session.get_one(User, world.viewer().user_id).is_admin = True
    text = someone.go("/_components")
    assert someone.answer.status_code == 200
    assert "Empty state" in text


def test_the_palette_finds_applications_pages_and_verbs(world: Any, browser: Callable[[], Browser]) -> None:
    world.app("Shop")
    world.app("Shopping list")
    world.app("Shop of others", organization="rival")
    someone = browser()
    someone.sign_in(OWNER)
    text = someone.go("/palette?q=shop")
    assert 'href="/apps/shop"' in text
    assert 'href="/apps/shopping-list"' in text
    assert "others" not in text
    assert 'href="/apps/shop/logs"' in someone.go("/palette?q=shop+l")
    assert 'action="/apps/shop/deploy"' in someone.go("/palette?q=Shop+dep")
    assert 'href="/members"' in someone.go("/palette?q=memb")
    assert "Nothing is called that" in someone.go("/palette?q=%25")
    viewer = browser()
    viewer.sign_in("viewer@acme.example")
    assert "action=" not in viewer.go("/palette?q=shop+dep")


def test_scaling_by_a_form(world: Any, browser: Callable[[], Browser]) -> None:
    world.release(world.app(plan="pro", replicas=2))
    someone = browser()
    someone.sign_in(OWNER)
    text = someone.go("/apps/shop")
    prices = json.loads(unescape(re.findall(r"data-prices='([^']*)'", text)[0]))
    assert prices[3]["price"] == "3 of 10 replicas · 0.2082 USD per hour · about 151.99 USD per month"
    assert prices[2]["price"] in text, "the one that is true now is there without a script"
    assert len(prices) == 11
    assert "Scaling web to 3" in someone.submit("/apps/shop/scale", replicas="3")
    assert 'value="3" data-wanted="3"' in someone.answer.text
    assert jobs(world) == ["app.scale"]
    assert "allows 0 to 10" in someone.submit("/apps/shop/scale", replicas="11")
    assert someone.answer.status_code == 422


def test_a_notice_that_is_not_ours_is_not_shown(world: Any, browser: Callable[[], Browser]) -> None:
    someone = browser()
    someone.sign_in(OWNER)
    someone.client.cookies.set("skypanel_notice", "cGF5IG1l." + "0" * 64)
    assert "pay me" not in someone.go("/apps")
