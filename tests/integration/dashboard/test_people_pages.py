"""Members, invitations, tokens, organizations, activity; and where signing in leads to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from skypanel.orgs.models import Membership

if TYPE_CHECKING:
    from conftest import Browser

OWNER = "owner@acme.example"


def signed_in(browser: Callable[[], Browser], email: str = OWNER) -> Browser:
    someone = browser()
    someone.sign_in(email)
    return someone


def role_of(world: Any, email: str) -> str | None:
    organization, role = email.partition("@")[2].removesuffix(".example"), email.partition("@")[0]
    user_id = world.viewer(organization, role).user_id
    with world.database.reading() as session:
        query = sa.select(Membership.role).where(
            Membership.user_id == user_id, Membership.organization_id == world.viewer(organization).organization_id
        )
        return session.scalars(query).one_or_none()


def test_members_are_given_roles_and_removed(world: Any, browser: Callable[[], Browser]) -> None:
    owner = signed_in(browser)
    text = owner.go("/members")
    for role in ("owner", "admin", "developer", "viewer"):
        assert f"{role}@acme.example" in text
    developer = world.viewer("acme", "developer").user_id
    assert "is admin now" in owner.submit("/members/role", user_id=developer, role="admin")
    assert role_of(world, "developer@acme.example") == "admin"
    owner.submit_after("/members", "/members/remove", user_id=developer)
    assert role_of(world, "developer@acme.example") is None
    owner.submit_after("/members", "/members/remove", user_id=owner_id(world))
    assert owner.answer.status_code == 409, "the last owner stays"
    owner.submit_after("/members", "/members/role", user_id=world.viewer("rival").user_id, role="viewer")
    assert owner.answer.status_code == 404


def owner_id(world: Any) -> str:
    return str(world.viewer().user_id)


def test_who_may_not_manage_members_cannot(world: Any, browser: Callable[[], Browser]) -> None:
    viewer = signed_in(browser, "viewer@acme.example")
    text = viewer.go("/members")
    assert "Invite somebody" not in text
    posts = {
        "role": {"user_id": owner_id(world), "role": "viewer"},
        "remove": {"user_id": owner_id(world)},
        "invite": {"email": "x@example.org", "role": "viewer"},
        "revoke": {"invitation_id": "x"},
    }
    for path, fields in posts.items():
        viewer.submit_after("/members", f"/members/{path}", **fields)
        assert viewer.answer.status_code == 403, path
    admin = signed_in(browser, "admin@acme.example")
    admin.submit_after("/members", "/members/role", user_id=owner_id(world), role="viewer")
    assert admin.answer.status_code == 403, "only an owner touches owners"
    viewer.submit_after("/members", "/members/remove", user_id=world.viewer("acme", "viewer").user_id)
    assert "You are in no organization" in viewer.answer.text, "everybody may leave"


def test_an_invitation_is_shown_once_and_works_once(world: Any, browser: Callable[[], Browser]) -> None:
    owner = signed_in(browser)
    owner.go("/members")
    text = owner.submit("/members/invite", email="viewer@rival.example", role="developer")
    (token,) = set(re.findall(r"/invitations/(ski_[A-Za-z0-9_-]+)", text))
    assert token not in owner.go("/members")
    assert "viewer@rival.example" in owner.answer.text
    stranger = browser()
    text = stranger.go(f"/invitations/{token}")
    assert f"/login?next=/invitations/{token}" in text
    assert f"/register?invitation={token}" in text
    other = signed_in(browser, "owner@rival.example")
    other.go(f"/invitations/{token}")
    other.submit(f"/invitations/{token}")
    assert other.answer.status_code == 404, "it is for one address"
    invited = browser()
    invited.go(f"/login?next=/invitations/{token}")
    text = invited.submit(
        "/login", email="viewer@rival.example", password="correct horse battery", next=f"/invitations/{token}"
    )
    assert "Accept as" in text
    assert "You are developer of Acme now" in invited.submit(f"/invitations/{token}")
    invited.go(f"/invitations/{token}")
    invited.submit(f"/invitations/{token}")
    assert invited.answer.status_code == 404


def test_registering_with_an_invitation_joins(world: Any, browser: Callable[[], Browser]) -> None:
    owner = signed_in(browser)
    owner.go("/members")
    text = owner.submit("/members/invite", email="new@person.example", role="viewer")
    token = re.findall(r"/invitations/(ski_[A-Za-z0-9_-]+)", text)[0]
    someone = browser()
    assert "You were invited" in someone.go(f"/register?invitation={token}")
    someone.submit("/register", email="new@person.example", name="New", password="a long password", invitation=token)
    assert "Acme" in someone.go("/apps")
    owner.submit_after("/members", "/members/invite", email="x@y.example", role="viewer")
    revoked = re.findall(r'name="invitation_id" value="([^"]+)"', owner.answer.text)[0]
    assert "no longer works" in owner.submit("/members/revoke", invitation_id=revoked)


def test_a_token_is_shown_once_works_and_can_be_revoked(world: Any, browser: Callable[[], Browser]) -> None:
    someone = signed_in(browser)
    someone.go("/tokens")
    text = someone.submit("/tokens", name="CI", days="30")
    token = re.findall(r"<code>(skp_[A-Za-z0-9_-]+)</code>", text)[0]
    assert token not in someone.go("/tokens")
    headers = {"Authorization": f"Bearer {token}"}
    assert world.client().get("/api/paas/apps", headers=headers).status_code == 200
    identifier = re.findall(r'name="token_id" value="([^"]+)"', someone.answer.text)[0]
    someone.submit("/tokens/revoke", token_id=identifier)
    assert world.client().get("/api/paas/apps", headers=headers).status_code == 401
    assert "1 to 80 characters" in someone.submit_after("/tokens", "/tokens", name=" ", days="")
    other = signed_in(browser, "owner@rival.example")
    theirs = re.findall(r'name="token_id" value="([^"]+)"', other.go("/tokens"))[0]
    someone.submit_after("/tokens", "/tokens/revoke", token_id=theirs)
    assert someone.answer.status_code == 404


def test_an_organization_is_made_and_entered(world: Any, browser: Callable[[], Browser]) -> None:
    world.app("Ours")
    someone = signed_in(browser)
    someone.submit("/organization", organization="new")
    assert str(someone.answer.url).endswith("/organizations/new")
    assert "1 to 120 characters" in someone.submit("/organizations/new", name=" ")
    text = someone.submit("/organizations/new", name="Second")
    assert "Second is yours" in text
    assert "Ours" not in text
    assert "Acme" in someone.go("/organizations")


def test_activity_is_filtered_and_keeps_to_its_organization(world: Any, browser: Callable[[], Browser]) -> None:
    world.app("Shop")
    world.app("Secret plans", organization="rival")
    someone = signed_in(browser)
    text = someone.go("/activity")
    assert "created shop" in text
    assert "secret" not in text.lower()
    assert "created shop" in someone.go("/activity?verb=app.&app=shop&range=7d&actor=owner@acme.example")
    assert "Nothing matches" in someone.go("/activity?verb=member.")
    someone.go("/activity?app=secret-plans")
    assert someone.answer.status_code == 404
    someone.go("/activity?cursor=x")
    assert someone.answer.status_code == 422


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/apps/shop/logs", "/apps/shop/logs"),
        ("//evil.example/x", "/apps"),
        ("/\\evil.example", "/apps"),
        ("https://evil.example", "/apps"),
        ("/%09/evil", "/%09/evil"),
        ("", "/apps"),
    ],
)
def test_signing_in_leads_to_the_page_that_was_asked_for_and_never_elsewhere(
    world: Any, browser: Callable[[], Browser], wanted: str, leads_to: str
) -> None:
    someone = browser()
    someone.go("/login")
    someone.client.follow_redirects = False
    someone.submit("/login", email=OWNER, password="correct horse battery", next=wanted)
    assert someone.answer.headers["location"] == leads_to


def test_a_page_remembers_where_one_wanted_to_go(world: Any, browser: Callable[[], Browser]) -> None:
    someone = browser()
    text = someone.go("/apps/shop/logs")
    assert 'name="next" value="/apps/shop/logs"' in text
