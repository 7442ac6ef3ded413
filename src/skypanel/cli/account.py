"""Who you are to the platform: register, login, logout, whoami, tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from skypanel.cli.exits import CliError, Exit
from skypanel.cli.help import Headed
from skypanel.cli.options import Json, api

PANEL = "You"
Url = Annotated[str | None, typer.Option("--url", envvar="SKYPANEL_URL", help="The platform's address")]
Email = Annotated[str, typer.Option(prompt=True, help="Your e-mail address")]
tokens = typer.Typer(cls=Headed, no_args_is_help=True, help="Named tokens for programs.")


def register(app: typer.Typer) -> None:
    app.command("register", rich_help_panel=PANEL)(sign_up)
    for command in (login, logout, whoami):
        app.command(rich_help_panel=PANEL)(command)
    app.add_typer(tokens, name="tokens", rich_help_panel=PANEL)


def sign_up(
    email: Email,
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            confirmation_prompt=True,
            hide_input=True,
            envvar="SKYPANEL_PASSWORD",
            help="At least ten characters",
        ),
    ],
    name: Annotated[str, typer.Option(prompt="Your name", help="How others see you")],
    organization: Annotated[str | None, typer.Option(help="The organization to create")] = None,
    invitation: Annotated[
        str | None, typer.Option(help="The token of an invitation, instead of a new organization")
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Make an account, and an organization or join one; signs you in."""
    if organization is None and invitation is None:
        organization = typer.prompt("Organization")
    body = {"email": email, "password": password, "name": name, "organization": organization, "invitation": invitation}
    _enter("/api/auth/register", {key: value for key, value in body.items() if value is not None}, url=url, json=json)


def login(
    email: Email,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, envvar="SKYPANEL_PASSWORD", help="Your password")
    ],
    url: Url = None,
    json: Json = False,
) -> None:
    """Sign in; the session is kept in ~/.config/skypanel/config.json."""
    _enter("/api/auth/login", {"email": email, "password": password}, url=url, json=json)


def logout(json: Json = False) -> None:
    """End the session and forget it."""
    from skypanel.cli.config import save_config, saved_config
    from skypanel.cli.output import print_json

    kept = saved_config()
    if kept.token:
        try:
            api().post("/api/auth/logout")
        except CliError as error:
            if error.exit_code is not Exit.DENIED:
                raise
    save_config(replace(kept, token="", organization=""))
    print_json({"signed_in": False}) if json else print("Signed out.")


def whoami(json: Json = False) -> None:
    """Show who you are signed in as, and where."""
    from skypanel.cli.config import load_config
    from skypanel.cli.output import print_fields, print_json

    me = api().get("/api/auth/me")
    if json:
        print_json(me)
        return
    config = load_config()
    organizations = [f"{o['slug']} ({o['role']})" for o in me.get("organizations", [])]
    print_fields([
        ("e-mail", me["user"]["email"]), ("name", me["user"].get("name")), ("platform", config.url),
        ("organizations", organizations), ("acting in", config.organization or None),
    ])  # fmt: skip


@tokens.command("list")
def tokens_list(json: Json = False) -> None:
    """List your tokens; only their beginnings are known."""
    from skypanel.cli.output import moment, print_json, print_table

    items = api().items("/api/auth/tokens")
    if json:
        print_json(items)
        return
    rows = [(t["id"], t["name"], t.get("hint"), moment(t["created_at"]), moment(t.get("last_used_at"))) for t in items]
    print_table(("id", "name", "begins with", "created", "last used"), rows, empty="No tokens.")


@tokens.command("create")
def tokens_create(name: Annotated[str, typer.Argument(help="What it is for")], json: Json = False) -> None:
    """Make a token. It is shown once."""
    from skypanel.cli.output import print_json

    made = api().post("/api/auth/tokens", {"name": name})
    print_json(made) if json else print(made["token"])


@tokens.command("revoke")
def tokens_revoke(token_id: Annotated[str, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Revoke a token: it is refused from now on."""
    from skypanel.cli.client import path
    from skypanel.cli.output import print_json

    api().request("DELETE", path("auth", "tokens", token_id))
    print_json({"revoked": token_id}) if json else print("Revoked.")


def _enter(where: str, body: dict[str, Any], *, url: str | None, json: bool) -> None:
    from skypanel.cli.client import Api
    from skypanel.cli.config import Config, load_config, save_config
    from skypanel.cli.output import print_json

    config = Config(url=(url or load_config().url).rstrip("/"))
    answer = Api(config).post(where, body)
    organizations = answer.get("organizations", [])
    first = organizations[0]["slug"] if len(organizations) == 1 else ""
    save_config(replace(config, token=answer["token"], organization=first))
    if json:
        print_json({"user": answer["user"], "organizations": organizations, "expires_at": answer["expires_at"]})
        return
    print(f"Signed in at {config.url} as {answer['user']['email']}.")
    if len(organizations) > 1:
        slugs = ", ".join(o["slug"] for o in organizations)
        print(f"You are in several organizations ({slugs}): choose one with `skypanel orgs use SLUG`.")
