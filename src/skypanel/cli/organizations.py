"""Organizations, their members and invitations, and what happened in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from skypanel.cli.exits import CliError, Exit
from skypanel.cli.help import Headed
from skypanel.cli.options import Json, Most, Yes, api, ask_before

PANEL = "Organization"
orgs = typer.Typer(cls=Headed, no_args_is_help=True, help="List, create and choose organizations.")
members = typer.Typer(cls=Headed, no_args_is_help=True, help="List and change members.")
invitations = typer.Typer(cls=Headed, no_args_is_help=True, help="Invite people.")
Role = Annotated[str, typer.Option(help="owner, admin, developer or viewer")]
Slug = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="Its slug or id")]


def register(app: typer.Typer) -> None:
    app.add_typer(orgs, name="orgs", rich_help_panel=PANEL)
    app.add_typer(members, name="members", rich_help_panel=PANEL)
    app.add_typer(invitations, name="invitations", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(activity)


@orgs.command("list")
def orgs_list(json: Json = False) -> None:
    """List your organizations."""
    from skypanel.cli.output import print_json, print_table

    items = api().items("/api/organizations")
    if json:
        print_json(items)
        return
    print_table(
        ("slug", "name", "role", "id"), [(o["slug"], o["name"], o.get("role"), o["id"]) for o in items], empty="None."
    )


@orgs.command("create")
def orgs_create(name: Annotated[str, typer.Argument()], json: Json = False) -> None:
    """Create an organization; you are its owner."""
    from skypanel.cli.output import print_json

    made = api().post("/api/organizations", {"name": name})
    made = made.get("organization", made)
    print_json(made) if json else print(f"Created {made['slug']}. Work in it: skypanel orgs use {made['slug']}")


@orgs.command("use")
def orgs_use(organization: Slug, json: Json = False) -> None:
    """Work in this organization from now on."""
    from skypanel.cli.config import save_config, saved_config
    from skypanel.cli.output import print_json

    found = _organization(organization)
    save_config(replace(saved_config(), organization=found["slug"]))
    print_json(found) if json else print(f"You work in {found['name']} now.")


@members.command("list")
def members_list(json: Json = False) -> None:
    """List the organization's members."""
    from skypanel.cli.output import print_json, print_table

    items = api().items(_path("members"))
    if json:
        print_json(items)
        return
    rows = [(_person(m)["email"], _person(m).get("name"), m["role"], _user_id(m)) for m in items]
    print_table(("e-mail", "name", "role", "id"), rows, empty="None.")


@members.command("role")
def members_role(
    member: Annotated[str, typer.Argument(help="E-mail address or id")],
    role: Annotated[str, typer.Argument()],
    json: Json = False,
) -> None:
    """Give a member another role."""
    from skypanel.cli.output import print_json

    answer = api().request("PATCH", _path("members", _member(member)), body={"role": role})
    print_json(answer) if json else print(f"{member} is {role} now.")


@members.command("remove")
def members_remove(
    member: Annotated[str, typer.Argument(help="E-mail address or id")], yes: Yes = False, json: Json = False
) -> None:
    """Remove a member from the organization."""
    from skypanel.cli.output import print_json

    ask_before(f"Remove {member} from the organization?", yes=yes)
    api().request("DELETE", _path("members", _member(member)))
    print_json({"removed": member}) if json else print("Removed.")


@invitations.command("list")
def invitations_list(json: Json = False) -> None:
    """List open invitations."""
    from skypanel.cli.output import moment, print_json, print_table

    items = api().items(_path("invitations"))
    if json:
        print_json(items)
        return
    rows = [(i["email"], i["role"], moment(i["expires_at"]), i["id"]) for i in items]
    print_table(("e-mail", "role", "expires", "id"), rows, empty="No open invitations.")


@invitations.command("create")
def invitations_create(email: Annotated[str, typer.Argument()], role: Role = "developer", json: Json = False) -> None:
    """Invite somebody; pass the token on, it is shown once."""
    from skypanel.cli.output import print_json

    made = api().post(_path("invitations"), {"email": email, "role": role})
    if json:
        print_json(made)
        return
    print(f"Invited {email}. The invited joins with:\n  skypanel register --email {email} --invitation {made['token']}")


@invitations.command("revoke")
def invitations_revoke(invitation_id: Annotated[str, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Take an invitation back."""
    from skypanel.cli.output import print_json

    api().request("DELETE", _path("invitations", invitation_id))
    print_json({"revoked": invitation_id}) if json else print("Revoked.")


def activity(limit: Most = 30, json: Json = False) -> None:
    """Show who did what, newest first."""
    from skypanel.cli.output import moment, print_json, print_table

    items = api().items(_path("activity"), most=limit)
    if json:
        print_json(items)
        return
    rows = [(moment(a["at"]), a["actor"], a["message"]) for a in items]
    print_table(("when", "who", "what"), rows, empty="Nothing yet.")


def _organization(wanted: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = api().items("/api/organizations")
    for organization in found:
        if not wanted and len(found) == 1:
            return organization
        if wanted in (organization["slug"], organization["id"]):
            return organization
    if not wanted:
        raise CliError(
            "You are in several organizations: choose one with `skypanel orgs use SLUG`.", exit_code=Exit.USAGE
        )
    raise CliError(f"You are in no organization {wanted!r}.", exit_code=Exit.NOT_FOUND)


def _path(*parts: str) -> str:
    from skypanel.cli.client import path
    from skypanel.cli.config import load_config

    return path("organizations", _organization(load_config().organization)["id"], *parts)


def _member(wanted: str) -> str:
    for member in api().items(_path("members")):
        if wanted in (_user_id(member), _person(member)["email"]):
            return _user_id(member)
    raise CliError(f"{wanted} is no member of the organization.", exit_code=Exit.NOT_FOUND)


def _person(member: dict[str, Any]) -> dict[str, Any]:
    person: dict[str, Any] = member.get("user", member)
    return person


def _user_id(member: dict[str, Any]) -> str:
    return str(member.get("user_id") or _person(member)["id"])
