"""Everybody who may knock at the API, and everything of an organization that a path may name: for tests that ask every
operation of the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from apps_world import World
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from skypanel.accounts.models import ApiToken, User, UserSession
from skypanel.accounts.sessions import start_session
from skypanel.accounts.tokens import create_token
from skypanel.billing.models import UsageRecord
from skypanel.db import Session
from skypanel.drivers.machines import Machine
from skypanel.kit.ids import new_id
from skypanel.nodes.watch import note
from skypanel.orgs.models import Membership

ROLES = ("owner", "admin", "developer", "viewer")
ENDED = ("unknown token", "revoked token", "expired token", "ended session", "expired session")
Ids = dict[str, str]


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    parameters: tuple[str, ...]  # names in the path
    query: tuple[str, ...]


def operations(world: World) -> list[Operation]:
    document = world.api().openapi()
    found = []
    for path, methods in document["paths"].items():
        for method, documented in methods.items():
            parameters = documented.get("parameters", [])
            query = tuple(p["name"] for p in parameters if p["in"] == "query")
            named = tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))
            found.append(Operation(documented["operationId"], method.upper(), path, named, query))
    return found


@dataclass
class People:
    """Sign-ins by name: the four roles of `acme`, a platform administrator, an outsider who owns `rival`, and tokens of
    acme's owner that are no good any more."""

    world: World
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        world = self.world
        with world.database.transaction() as session:
            for role in ROLES:
                self.tokens[role] = self._sign_in(session, f"{role}@acme.example")
            self.tokens["outsider"] = self._sign_in(session, "owner@rival.example")
            admin = User(
                id=new_id(), email="root@platform.example", name="Root", password_hash="-", is_admin=True,
                created_at=world.now,
            )  # fmt: skip
            session.add(admin)
            session.flush()
            self.tokens["platform admin"] = self._sign_in(session, admin.email)
            self._ended(session)
        self.client = TestClient(world.api(), raise_server_exceptions=False)

    def _sign_in(self, session: Session, email: str) -> str:
        user = session.scalars(select(User).where(User.email == email)).one()
        policy, now = self.world.services.auth, self.world.clock.now()
        return start_session(session, policy=policy, user=user, now=now).token.reveal()

    def _ended(self, session: Session) -> None:
        now, past = self.world.clock.now(), self.world.clock.now() - timedelta(seconds=1)
        owner = self.world.viewer().user_id
        self.tokens["unknown token"] = "skp_" + "A" * 43
        for name, change in (("revoked token", {"revoked_at": now}), ("expired token", {"expires_at": past})):
            made = create_token(session, user_id=owner, name=name, expires_at=None, now=now)
            session.execute(update(ApiToken).where(ApiToken.id == made.row.id).values(**change))
            self.tokens[name] = made.token.reveal()
        for name, change in (("ended session", {"revoked_at": now}), ("expired session", {"expires_at": past})):
            known = set(session.scalars(select(UserSession.id)))
            self.tokens[name] = self._sign_in(session, "owner@acme.example")
            (made_id,) = set(session.scalars(select(UserSession.id))) - known
            session.execute(update(UserSession).where(UserSession.id == made_id).values(**change))

    def ask(
        self, who: str, operation: Operation, ids: Ids, body: Any = None, *, query: str = "", **headers: str
    ) -> Any:
        """`who`: "" for somebody without any token."""
        path = operation.path
        for name in operation.parameters:
            path = path.replace("{" + name + "}", ids[key_of(operation, name)])
        given = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return self.client.request(operation.method, path + query, json=body, headers=given | headers)


def key_of(operation: Operation, name: str) -> str:
    """Which of the `Ids` a parameter of a path stands for."""
    if name != "id":
        return name
    if operation.path.startswith("/api/auth/tokens/"):
        return "token"
    return "organization" if "/organizations/{id}" in operation.path else "id"


def belongings(world: World, organization: str = "acme") -> Ids:
    """New ones at each call: an app with a release, a run, its job and a variable; an invitation, a member who is none
    of the `People`; a token of the owner's; a plan of nobody's apps."""
    app_id = world.app(f"Belonging of {organization}", organization=organization)
    world.release(app_id)
    client = world.client(organization)
    client.headers["X-Organization-Id"] = world.viewer(organization).organization_id
    changed = client.put(f"/api/paas/apps/{app_id}/env?deploy=false", json={"vars": {"A": "1"}})
    assert changed.status_code == 200, changed.text
    run = client.post(f"/api/paas/apps/{app_id}/run", json={"command": "ls"}).json()
    viewer = world.viewer(organization)
    home = f"/api/organizations/{viewer.organization_id}"
    invited = client.post(f"{home}/invitations", json={"email": f"x{new_id()}@example.com"}).json()
    with world.database.transaction() as session:
        member = User(id=new_id(), email=f"{new_id()}@example.com", name="M", password_hash="-", created_at=world.now)
        session.add(member)
        session.flush()
        session.add(
            Membership(organization_id=viewer.organization_id, user_id=member.id, role="viewer", created_at=world.now)
        )
        token = create_token(session, user_id=viewer.user_id, name="t", expires_at=None, now=world.now).row.id
        member_id = member.id
        used = ("replica_seconds", "replica_micro", "byte_seconds", "storage_micro", "log_bytes", "log_micro")
        record = UsageRecord(
            app_id=app_id, hour=world.now, plan_slug="hobby", revision=0, organization_id=viewer.organization_id,
            amount_micro=0, **dict.fromkeys(used, 0),
        )  # fmt: skip
        session.add(record)
        nodes = [Machine(new_id(), "192.0.2.1", False, True, 1000, 1024) for _ in range(2)]
        note(session, nodes, world.now)
    return {
        "id": app_id, "version": "1", "run_id": run["run"]["id"], "job_id": run["job_id"], "key": "A",
        "organization": viewer.organization_id, "invitation_id": invited["invitation"]["id"], "user_id": member_id,
        "token": token, "slug": "standard", "name": nodes[0].name, "hour": world.now.isoformat(),
    }  # fmt: skip
