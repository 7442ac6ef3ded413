"""Organizations, members, invitations and the activity feed over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

ROLES = ("owner", "admin", "developer", "viewer")


@pytest.fixture
def team(api):
    """One person of each role in one organization."""
    owner = api.register("owner@example.com", "Engines")
    return {"owner": owner} | {role: api.join(owner, f"{role}@example.com", role) for role in ROLES[1:]}


ALLOWED = {
    "read": ROLES,
    "list members": ROLES,
    "read activity": ROLES,
    "rename": ("owner",),
    "invite": ("owner", "admin"),
    "list invitations": ("owner", "admin"),
    "revoke invitation": ("owner", "admin"),
    "change role": ("owner", "admin"),
    "remove member": ("owner", "admin"),
    "leave": ("admin", "developer", "viewer"),
}


def _do(verb, person, target, invitation):
    home = person.home
    return {
        "read": lambda: person.get(home),
        "list members": lambda: person.get(f"{home}/members"),
        "read activity": lambda: person.get(f"{home}/activity"),
        "rename": lambda: person.patch(home, {"name": "Other"}),
        "invite": lambda: person.post(f"{home}/invitations", {"email": "new@example.com", "role": "viewer"}),
        "list invitations": lambda: person.get(f"{home}/invitations"),
        "revoke invitation": lambda: person.delete(f"{home}/invitations/{invitation}"),
        "change role": lambda: person.patch(f"{home}/members/{target}", {"role": "developer"}),
        "remove member": lambda: person.delete(f"{home}/members/{target}"),
        "leave": lambda: person.delete(f"{home}/members/{person.id}"),
    }[verb]()


@pytest.mark.parametrize("verb", list(ALLOWED))
def test_each_role_may_do_just_its_own(api, team, verb):
    owner = team["owner"]
    for role in reversed(ROLES):
        target = api.join(owner, f"target-of-{role}@example.com", "viewer")
        invited = owner.post(f"{owner.home}/invitations", {"email": "open@example.com"}).json()
        answer = _do(verb, team[role], target.id, invited["invitation"]["id"])
        if role in ALLOWED[verb]:
            assert answer.status_code in (200, 201, 204), f"{role}: {answer.text}"
        elif verb == "leave":
            assert answer.json()["code"] == "last_owner", role
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), role


@pytest.mark.parametrize("verb", list(ALLOWED))
def test_another_organization_is_not_found_for_every_verb(api, team, verb):
    owner = team["owner"]
    invited = owner.post(f"{owner.home}/invitations", {"email": "open@example.com"}).json()
    stranger = api.register("eve@example.com", "Evil")
    stranger.organization = owner.organization
    answer = _do(verb, stranger, team["viewer"].id, invited["invitation"]["id"])
    assert (answer.status_code, answer.json()["code"]) == (404, "organization_not_found")
    missing = stranger.get("/api/organizations/none-such").json()
    existing = stranger.get(f"/api/organizations/{owner.organization['slug']}").json()
    assert missing["code"] == existing["code"]
    assert missing["detail"].replace("none-such", "") == existing["detail"].replace("engines", "")


def test_members_and_invitations_of_another_organization_are_not_found_through_ones_own(api, team):
    owner = team["owner"]
    invited = owner.post(f"{owner.home}/invitations", {"email": "open@example.com"}).json()["invitation"]
    eve = api.register("eve@example.com", "Evil")
    target = f"{eve.home}/members/{team['viewer'].id}"
    assert eve.get(target).status_code == 404
    assert eve.patch(target, {"role": "owner"}).status_code == 404
    assert eve.delete(target).status_code == 404
    assert eve.delete(f"{eve.home}/invitations/{invited['id']}").status_code == 404
    assert owner.get(f"{owner.home}/invitations").json()["items"] == [invited]


@pytest.mark.parametrize("body", [{"role": "owner"}, {"role": "boss"}, {}])
def test_an_admin_makes_no_owner(team, body):
    admin = team["admin"]
    answer = admin.patch(f"{admin.home}/members/{team['viewer'].id}", body)
    assert answer.status_code == (403 if body.get("role") == "owner" else 422)
    invited = admin.post(f"{admin.home}/invitations", {"email": "new@example.com", "role": "owner"})
    assert invited.status_code == 403


def test_an_admin_does_not_touch_an_owner(team):
    admin, owner = team["admin"], team["owner"]
    assert admin.patch(f"{admin.home}/members/{owner.id}", {"role": "viewer"}).status_code == 403
    assert admin.delete(f"{admin.home}/members/{owner.id}").status_code == 403
    assert owner.get(owner.home).json()["organization"]["role"] == "owner"


def test_nobody_raises_himself(team):
    for role in ("admin", "developer", "viewer"):
        person = team[role]
        assert person.patch(f"{person.home}/members/{person.id}", {"role": "owner"}).status_code == 403


def test_the_last_owner_stays(either_api):
    owner = either_api.register("owner@example.com", "Engines")
    second = either_api.join(owner, "second@example.com", "owner")
    assert second.patch(f"{owner.home}/members/{owner.id}", {"role": "admin"}).status_code == 200
    answer = second.patch(f"{owner.home}/members/{second.id}", {"role": "admin"})
    assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    assert second.delete(f"{owner.home}/members/{second.id}").status_code == 409


def test_two_owners_who_leave_at_once_do_not_both_succeed(either_api):
    owner = either_api.register("owner@example.com", "Engines")
    for n in range(4):
        second = either_api.join(owner, f"second{n}@example.com", "owner")
        with ThreadPoolExecutor(2) as pool:
            left = list(pool.map(lambda p: p.delete(f"{p.home}/members/{p.id}"), (owner, second)))
        assert sorted(answer.status_code for answer in left) == [204, 409]
        owner = second if left[0].status_code == 204 else owner


def test_who_was_removed_sees_nothing_any_more(team):
    owner, viewer = team["owner"], team["viewer"]
    assert viewer.get(owner.home).status_code == 200
    assert owner.delete(f"{owner.home}/members/{viewer.id}").status_code == 204
    assert viewer.get(owner.home).status_code == 404
    assert viewer.get("/api/auth/me").json()["organizations"] == []


def test_an_invitation_from_making_to_accepting(either_api):
    owner, grace = either_api.register("owner@example.com", "Engines"), either_api.register("grace@example.com", "Navy")
    made = owner.post(f"{owner.home}/invitations", {"email": " Grace@Example.com", "role": "developer"}).json()
    assert made["invitation"]["email"] == "grace@example.com"
    listed = owner.get(f"{owner.home}/invitations")
    assert listed.json()["items"] == [made["invitation"]]
    assert made["token"] not in listed.text
    accepted = grace.post("/api/invitations/accept", {"token": made["token"]})
    assert accepted.json()["organization"]["role"] == "developer"
    assert grace.get(owner.home).status_code == 200
    assert owner.get(f"{owner.home}/invitations").json()["items"] == []
    again = grace.post("/api/invitations/accept", {"token": made["token"]})
    assert (again.status_code, again.json()["code"]) == (404, "invitation_not_found")
    member = owner.post(f"{owner.home}/invitations", {"email": "grace@example.com"})
    assert (member.status_code, member.json()["code"]) == (409, "already_member")


def test_an_invitation_is_only_for_its_address(api):
    owner, eve = api.register("owner@example.com", "Engines"), api.register("eve@example.com", "Evil")
    token = owner.post(f"{owner.home}/invitations", {"email": "grace@example.com"}).json()["token"]
    assert eve.post("/api/invitations/accept", {"token": token}).status_code == 404
    body = {"email": "mallory@example.com", "password": "long enough", "name": "M", "invitation": token}
    assert api.client.post("/api/auth/register", json=body).status_code == 404
    assert api.login("mallory@example.com", "long enough").status_code == 401


def test_an_invitation_ends_when_revoked_replaced_or_expired(api):
    owner, grace = api.register("owner@example.com", "Engines"), api.register("grace@example.com", "Navy")

    def invite():
        return owner.post(f"{owner.home}/invitations", {"email": "grace@example.com"}).json()

    def accept(made):
        return grace.post("/api/invitations/accept", {"token": made["token"]}).status_code

    revoked = invite()
    assert owner.delete(f"{owner.home}/invitations/{revoked['invitation']['id']}").status_code == 204
    assert owner.delete(f"{owner.home}/invitations/{revoked['invitation']['id']}").status_code == 404
    assert accept(revoked) == 404
    replaced, expired = invite(), invite()
    assert accept(replaced) == 404
    assert len(owner.get(f"{owner.home}/invitations").json()["items"]) == 1
    api.clock.advance(timedelta(days=7))
    owner.token = api.login("owner@example.com").json()["token"]
    grace.token = api.login("grace@example.com").json()["token"]
    assert owner.get(f"{owner.home}/invitations").json()["items"] == []
    assert accept(expired) == 404


def test_an_invitation_accepted_twice_at_once_makes_one_member(either_api):
    owner, grace = either_api.register("owner@example.com", "Engines"), either_api.register("grace@example.com", "Navy")
    token = owner.post(f"{owner.home}/invitations", {"email": "grace@example.com"}).json()["token"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: grace.post("/api/invitations/accept", {"token": token}), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]


def test_organizations_of_one_name_get_slugs_of_their_own(api):
    ada = api.register("ada@example.com", "Engines")
    slugs = {ada.post("/api/organizations", {"name": "Engines"}).json()["organization"]["slug"] for _ in range(3)}
    assert len(slugs | {ada.organization["slug"]}) == 4
    assert all(slug.startswith("engines") for slug in slugs)
    odd = [
        ada.post("/api/organizations", {"name": name}).json()["organization"]["slug"] for name in ("日本", "API", "x")
    ]
    assert odd == ["organization", "api-org", "x-org"]


def test_a_rename_keeps_the_slug(api):
    ada = api.register("ada@example.com", "Engines")
    renamed = ada.patch(ada.home, {"name": " Difference  Engines "}).json()["organization"]
    assert (renamed["name"], renamed["slug"]) == ("Difference Engines", "engines")
    assert ada.get("/api/organizations/engines").json()["organization"] == renamed


def test_members_page(api):
    owner = api.register("owner@example.com", "Engines")
    for n in range(4):
        api.join(owner, f"m{n}@example.com", "viewer")
    first = owner.get(f"{owner.home}/members", params={"limit": 3}).json()
    rest = owner.get(f"{owner.home}/members", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    emails = [m["email"] for m in first["items"] + rest["items"]]
    assert emails == ["owner@example.com"] + [f"m{n}@example.com" for n in range(4)]
    assert rest["next_cursor"] is None


def test_changes_land_in_the_activity_feed(api):
    owner = api.register("owner@example.com", "Engines")
    viewer = api.join(owner, "viewer@example.com", "viewer")
    owner.patch(f"{owner.home}/members/{viewer.id}", {"role": "developer"})
    owner.request("PATCH", owner.home, json={"name": "New"}, headers={"x-forwarded-for": "1.2.3.4"})
    invited = owner.post(f"{owner.home}/invitations", {"email": "x@example.com"}).json()["invitation"]
    owner.delete(f"{owner.home}/invitations/{invited['id']}")
    viewer.delete(f"{owner.home}/members/{viewer.id}")
    items = owner.get(f"{owner.home}/activity").json()["items"]
    assert [item["verb"] for item in items] == [
        "member.left", "invitation.revoked", "invitation.created", "organization.renamed", "member.role_changed",
        "member.joined", "invitation.created", "wallet.credit", "organization.created",
    ]  # fmt: skip
    assert items[4]["object"] == {"type": "user", "id": viewer.id, "name": "viewer@example.com"}
    # The peer is no router of ours: what it says of other addresses is its own word.
    assert {item["address"] for item in items if item["actor"] != "platform"} == {"203.0.113.9"}


def test_the_activity_feed_pages_and_filters(either_api):
    owner = either_api.register("owner@example.com", "Engines")
    for n in range(3):
        either_api.clock.advance(timedelta(minutes=1))
        owner.post(f"{owner.home}/invitations", {"email": f"x{n}@example.com"})
    feed = f"{owner.home}/activity"

    def names(**params):
        return [item["object"]["name"] for item in owner.get(feed, params=params).json()["items"]]

    page = owner.get(feed, params={"limit": 2}).json()
    rest = owner.get(feed, params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert len(page["items"]) == len(rest["items"]) == 2
    assert {i["id"] for i in page["items"]}.isdisjoint(i["id"] for i in rest["items"])
    assert names(verb="invitation.") == ["x2@example.com", "x1@example.com", "x0@example.com"]
    assert names(verb="organization.created") == ["Engines"]
    assert names(verb="invitation%") == []
    assert names(since="2026-01-01T00:02:00Z") == ["x2@example.com", "x1@example.com"]
    assert names(since="2026-01-01T00:02:00Z", until="2026-01-01T00:03:00Z") == ["x1@example.com"]
    assert names(object_type="organization") == ["Engines"]
    assert names(object_id=owner.organization["id"], verb="organization.") == ["Engines"]
    assert names(actor="nobody@example.com") == []


def test_the_activity_of_another_organization_stays_apart(api):
    ada, eve = api.register("ada@example.com", "Engines"), api.register("eve@example.com", "Evil")
    assert [i["object"]["name"] for i in eve.get(f"{eve.home}/activity").json()["items"]] == ["Evil", "Evil"]
    assert eve.get(f"{ada.home}/activity").status_code == 404
