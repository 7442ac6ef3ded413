"""The price before the action."""

from __future__ import annotations

from billing_world import World

from skypanel.apps.models import App
from skypanel.billing.preview import Preview, preview_change
from skypanel.orgs.models import Organization
from skypanel.orgs.plans import get_plan

GB = 1_000_000_000


def change(world: World, app_id: str, **asked: object) -> Preview:
    with world.database.reading() as session:
        app = session.get_one(App, app_id)
        organization = session.get_one(Organization, app.organization_id)
        plan = get_plan(session, str(asked.pop("plan"))) if "plan" in asked else None
        return preview_change(session, organization, app, plan=plan, **asked)  # type: ignore[arg-type]


def test_another_plans_price_has_the_storage_of_the_kept_releases_in_it(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    world.slug(app, 3 * GB)
    with world.database.transaction() as session:
        get_plan(session, "standard").storage_price_micro = 100
    assert change(world, app, plan="standard").per_hour == 34_700 + 300


def test_what_the_others_burn_counts_while_the_application_itself_does_not_run_as_it_should(world: World) -> None:
    world.organization("acme")
    broken, other = world.app("acme", plan="pro"), world.app("acme", plan="standard")
    world.start(other)
    found = change(world, broken, formation={"web": 2})
    assert found.organization_per_hour == 34_700 + 2 * 69_400
