"""Every operation of the OpenAPI document, asked by everybody, for what is one's own organization's and another's.

A new operation fails here until it has a row in WHO. What another organization has is 404 and looks in words and in
work exactly like what nobody has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from people import ENDED, ROLES, Ids, Operation, People, belongings, key_of, operations

if TYPE_CHECKING:
    from apps_world import World

# Who may: E everybody, S everybody signed in, P platform administrators; roles in the organization named by the path
# or by X-Organization-Id: O owner, A admin, D developer, V viewer.
WHO = {
    "register_account": "E", "log_in": "E", "get_health": "E", "get_readiness": "E", "get_metrics": "E",
    "log_out": "S", "get_me": "S", "list_api_tokens": "S", "create_api_token": "S", "revoke_api_token": "S",
    "list_organizations": "S", "create_organization": "S", "accept_invitation": "S", "list_plans": "S",
    "get_organization": "OADV", "list_members": "OADV", "get_member": "OADV", "list_organization_activity": "OADV",
    "rename_organization": "O", "change_member_role": "OA", "remove_member": "OA",
    "list_invitations": "OA", "create_invitation": "OA", "revoke_invitation": "OA",
    "list_applications": "OADV", "get_application": "OADV", "list_variables": "OADV", "export_variables": "OADV",
    "list_application_deployments": "OADV", "get_application_deployment": "OADV", "list_application_replicas": "OADV",
    "get_application_run": "OADV", "get_job_state": "OADV",
    "list_log_lines": "OADV", "follow_log_lines": "OADV", "list_deployment_log_lines": "OADV",
    "follow_deployment_log_lines": "OADV", "list_run_log_lines": "OADV", "follow_run_log_lines": "OADV",
    "create_application": "OAD", "update_application": "OAD", "clear_build_cache": "OAD",
    "set_application_variables": "OAD", "delete_application_variable": "OAD", "import_variables": "OAD",
    "deploy_application": "OAD", "roll_back_application": "OAD", "cancel_application_deployment": "OAD",
    "scale_application": "OAD", "restart_application": "OAD", "stop_application": "OAD", "run_command": "OAD",
    "cancel_application_run": "OAD", "delete_application": "OA",
    "get_usage": "OADV", "list_usage_hours": "OADV", "get_usage_hour": "OADV", "get_price": "OADV",
    "get_application_price": "OADV", "get_wallet": "OADV", "list_wallet_transactions": "OA",
    "get_wallet_statement": "OA", "set_wallet_cap": "O", "resume_wallet": "OA",
    "get_admin_usage": "P", "get_admin_wallet": "P", "list_admin_wallet_transactions": "P", "add_wallet_entry": "P",
    "suspend_organization": "P", "resume_organization": "P",
    "start_topup": "OA", "list_wallet_topups": "OADV", "list_payment_events": "P",
    "get_admin_overview": "P", "list_admin_organizations": "P", "get_admin_organization": "P",
    "set_organization_limits": "P", "list_admin_plans": "P", "create_admin_plan": "P", "get_admin_plan": "P",
    "edit_admin_plan": "P", "delete_admin_plan": "P", "retire_admin_plan": "P", "reinstate_admin_plan": "P",
    "list_admin_nodes": "P", "get_admin_node": "P", "drain_admin_node": "P", "activate_admin_node": "P",
    "remove_admin_node": "P", "add_admin_node": "P",
}  # fmt: skip
BODIES: dict[str, Any] = {
    "create_api_token": {"name": "t"}, "create_organization": {"name": "New"}, "accept_invitation": {"token": "ski_x"},
    "rename_organization": {"name": "Renamed"}, "change_member_role": {"role": "developer"},
    "create_invitation": {"email": "new@example.com"},
    "create_application": {"name": "New", "git_url": "https://git.example.com/x.git"},
    "update_application": {"name": "Changed"}, "roll_back_application": {"version": 1},
    "scale_application": {"replicas": 1}, "run_command": {"command": "ls"},
    "set_application_variables": {"vars": {"B": "2"}}, "import_variables": {"content": "B=2"},
    "set_wallet_cap": {"cap": "500"}, "add_wallet_entry": {"kind": "credit", "amount": "1", "reason": "a test"},
    "set_organization_limits": {"max_apps": 5}, "edit_admin_plan": {"name": "Better"},
    "start_topup": {"amount": "20"},
    "add_admin_node": {"host": "192.0.2.9", "private_key": "x"},
    "create_admin_plan": {
        "slug": "nano", "name": "Nano", "cpu_millis": 250, "memory_mb": 256, "disk_mb": 512, "max_replicas": 1,
        "price_per_hour": "0.003",
    },
}  # fmt: skip
# What an allowed one gets where it is no success: the objects are not in a state for it, or what is asked is none.
BUT = {
    "accept_invitation": 404, "cancel_application_deployment": 409, "register_account": 422, "log_in": 422,
    "remove_admin_node": 409, "resume_wallet": 409, "start_topup": 409, "resume_organization": 409,
    "follow_log_lines": 422,
    "follow_deployment_log_lines": 422, "follow_run_log_lines": 422,
}  # fmt: skip
SUSPENDS = {"suspend_organization"}  # afterwards nothing new can be made


@pytest.fixture
def people(world: World) -> People:
    return People(world)


def named(people: People, organization: str = "acme") -> dict[str, str]:
    return {"X-Organization-Id": people.world.viewer(organization).organization_id}


def no_stream(operation: Operation) -> str:
    """Who may follow would never be done with it: he asks for a level that is none."""
    return "?level=none-such" if operation.path.endswith("/stream") else ""


def of_an_organization(people: People) -> list[Operation]:
    return [operation for operation in operations(people.world) if set(WHO[operation.id]) <= set("OADV")]


def test_every_operation_has_a_row_and_every_row_an_operation(world: World) -> None:
    assert {operation.id for operation in operations(world)} == set(WHO)


def expected(operation: Operation, who: str) -> tuple[int, ...]:
    allowed = WHO[operation.id]
    fine = (BUT[operation.id],) if operation.id in BUT else (200, 201, 202, 204)
    if allowed == "E":
        return fine
    if who in ("", *ENDED):
        return (401,)
    if allowed == "S":
        # Somebody else's token is none; his own one is the owner's.
        return fine if operation.id != "revoke_api_token" or who == "owner" else (404,)
    if allowed == "P":
        return fine if who == "platform admin" else (403,)
    if who in ROLES:
        return fine if who[0].upper() in allowed else (403,)
    return (404,)


EVERYBODY = ("", *ENDED, "outsider", "platform admin", *reversed(ROLES))


@pytest.mark.parametrize("operation_id", WHO)
def test_everybody_gets_what_the_table_says(people: People, operation_id: str) -> None:
    operation = next(each for each in operations(people.world) if each.id == operation_id)
    wrong = []
    ids = belongings(people.world)
    for who in EVERYBODY:
        answer = people.ask(who, operation, ids, BODIES.get(operation_id), query=no_stream(operation), **named(people))
        if answer.status_code not in expected(operation, who):
            wrong.append(f"{who or 'nobody'}: {answer.status_code} {answer.text[:120]}")
        if operation_id in SUSPENDS:
            continue
        if answer.status_code < 400 and operation.method != "GET":  # it may be gone or changed now
            ids = belongings(people.world)
    assert wrong == []


def test_no_other_kind_of_authorization_counts(people: People) -> None:
    ids, token = belongings(people.world), people.tokens["owner"]
    for given in ("Basic YTpi", f"Basic {token}", f"Token {token}", token, "Bearer", "Bearer  "):
        for operation in operations(people.world):
            if WHO[operation.id] != "E":
                answer = people.ask("", operation, ids, BODIES.get(operation.id), Authorization=given)
                assert answer.status_code == 401, (operation.id, given)


@pytest.mark.parametrize("who", [*ROLES, "platform admin"])
def test_nobodys_role_counts_in_another_organization(people: People, who: str) -> None:
    """The members of acme, whatever they are there, and rival's things: by their ids, in their own and in its name."""
    theirs = belongings(people.world, "rival")
    wrong = []
    for operation in of_an_organization(people):
        for headers in ({}, named(people, "acme"), named(people, "rival"), {"X-Organization-Id": "rival"}):
            if not operation.parameters and headers in ({}, named(people, "acme")):
                continue  # their own list
            if who == "platform admin" and not operation.parameters and not headers:
                continue
            body, query = BODIES.get(operation.id), no_stream(operation)
            answer = people.ask(who, operation, theirs, body, query=query, **headers)
            implied = who == "platform admin" and not headers and answer.json()["code"] == "organization_required"
            if answer.status_code != 404 and not implied:
                wrong.append(f"{operation.id} {headers}: {answer.status_code} {answer.text[:120]}")
    assert wrong == []


def test_ids_of_anothers_in_paths_of_ones_own_are_not_found(people: People) -> None:
    """`/apps/<mine>/runs/<theirs>`: finding the first must not be the end of looking."""
    mine, theirs = belongings(people.world, "rival"), belongings(people.world, "acme")
    theirs |= {"version": "7", "key": "THEIRS", "hour": "2020-01-01T00:00:00Z"}
    asked = []
    for operation in of_an_organization(people):
        for name in operation.parameters[1:]:
            ids = mine | {key_of(operation, name): theirs[key_of(operation, name)]}
            answer = people.ask("outsider", operation, ids, BODIES.get(operation.id))
            assert answer.status_code == 404, (operation.id, name, answer.text)
            asked.append(operation.id)
    assert len(asked) >= 12


@contextmanager
def statements(people: People) -> Iterator[list[str]]:
    """What the database was asked meanwhile, without the values."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    engine = people.world.database.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def without_ids(text: str, ids: Ids) -> str:
    for value in ids.values():
        text = text.replace(value, "ID") if len(value) > 8 else text
    return text


def test_anothers_things_look_in_words_and_in_work_like_things_that_nobody_has(people: People) -> None:
    theirs = belongings(people.world, "acme")
    nobodys = {name: re.sub(r"[0-9a-f]", "f", value) if len(value) > 8 else value for name, value in theirs.items()}
    nobodys["hour"] = theirs["hour"]
    for operation in of_an_organization(people):
        if not operation.parameters:
            continue
        seen = []
        for ids in (theirs, nobodys):
            with statements(people) as work:
                answer = people.ask("outsider", operation, ids, BODIES.get(operation.id))
            headers = {k: v for k, v in answer.headers.items() if k not in ("date", "content-length")}
            seen.append((answer.status_code, without_ids(answer.text, ids), headers, work))
        assert seen[0] == seen[1], operation.id


def test_a_cursor_of_anothers_list_shows_nothing_of_his(people: People) -> None:
    first, second = belongings(people.world, "acme"), belongings(people.world, "acme")
    belongings(people.world, "rival")
    people.world.release(first["id"], version=2)
    words = {value for ids in (first, second) for value in ids.values() if len(value) > 8}
    mine = belongings(people.world, "rival")
    tried = 0
    for operation in operations(people.world):
        if operation.method != "GET" or "cursor" not in operation.query or WHO[operation.id] == "P":
            continue
        path = operation.path
        theirs_path, mine_path = path, path
        for name in operation.parameters:
            theirs_path = theirs_path.replace("{" + name + "}", first[key_of(operation, name)])
            mine_path = mine_path.replace("{" + name + "}", mine[key_of(operation, name)])
        owner = {"Authorization": f"Bearer {people.tokens['owner']}"}
        cursor = people.client.get(f"{theirs_path}?limit=1", headers=owner).json().get("next_cursor")
        if cursor is None:
            continue
        outsider = {"Authorization": f"Bearer {people.tokens['outsider']}"}
        answer = people.client.get(mine_path, params={"cursor": cursor, "limit": 200}, headers=outsider)
        assert answer.status_code in (200, 422), operation.id
        assert not [word for word in words if word in answer.text], operation.id
        tried += 1
    assert tried >= 5
