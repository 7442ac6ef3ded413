"""The pages of one application: deployments, new application, log, environment, settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from skypanel.apps.models import App, EnvVar
from skypanel.apps.set_env import set_variables
from skypanel.apps.snapshots import snapshot
from skypanel.dashboard.next_steps import OTHERWISE, STEPS
from skypanel.deployments.models import Deployment
from skypanel.drivers.logstore.port import Entry
from skypanel.jobs import Job
from skypanel.kit.ids import new_id

if TYPE_CHECKING:
    from conftest import Browser

OWNER = "owner@acme.example"
Open = Callable[..., "Browser"]


def kinds(world: Any) -> list[str]:
    with world.database.reading() as session:
        return [job.kind for job in session.scalars(sa.select(Job).order_by(Job.seq))]


def stored(world: Any, app_id: str) -> App:
    with world.database.reading() as session:
        return session.get_one(App, app_id)


def fails(world: Any, app_id: str, *, version: int, code: str = "dependency_failed") -> str:
    row = Deployment(
        id=new_id(), app_id=app_id, organization_id=world.viewer().organization_id, version=version, kind="deploy",
        status="failed", reason="pip could not find flaskk.", reason_code=code, created_at=world.now,
        finished_at=world.now,
    )  # fmt: skip
    with world.database.transaction() as session:
        session.add(row)
    lines = ["-----> Python", "ERROR: No matching distribution <flaskk>"]
    world.services.logs.append(f"build:{row.id}", [Entry(1, "build", "build", "info", line) for line in lines])
    return row.id


# --- deployments


def test_every_version_with_what_it_was_and_the_way_back(world: Any, person: Open) -> None:
    app_id = world.app()
    world.release(app_id, version=1)
    world.release(app_id, version=2)
    fails(world, app_id, version=3)
    text = person().go("/apps/shop/deployments")
    for shown in ("Say hello", "Python (pip)", "1.0 kB", "deploy", "pip could not find flaskk.", "Redeploy"):
        assert shown in text
    assert "/apps/shop/deployments/1/rollback" in text
    assert "/apps/shop/deployments/2/rollback" not in text
    assert "No matching distribution &lt;flaskk&gt;" in text, "a failed row can be opened where it stands"
    fails(world, app_id, version=4)
    ids = re.findall(r' id="([^"]+)"', person().go("/apps/shop/deployments"))
    assert len(ids) == len(set(ids)), "lines of two failed versions are not each other's"
    viewer = person("viewer@acme.example").go("/apps/shop/deployments")
    assert "/rollback" not in viewer
    assert 'action="/apps/shop' not in viewer


def test_a_failed_version_says_what_helps_and_that_the_old_one_serves(world: Any, person: Open) -> None:
    app_id = world.app()
    world.release(app_id, version=1)
    fails(world, app_id, version=2)
    text = person().go("/apps/shop/deployments/2")
    for shown in ("pip could not find flaskk.", "Clear the build cache", "Version 1 is still serving", "Redeploy"):
        assert shown in text
    assert "/apps/shop/settings#build-cache" in text
    world.release(app_id, version=3)
    later = person().go("/apps/shop/deployments/2")
    assert "Version 3 serves by now." in later
    assert "is still serving" not in later
    with world.database.transaction() as session:
        session.get_one(App, app_id).wanted = "stopped"
    stopped = person().go("/apps/shop/deployments/2")
    assert "The application is stopped: no version serves. When it runs again, it is version 3." in stopped
    log = person()
    assert log.go("/apps/shop/deployments/2/log.txt").splitlines()[1] == "ERROR: No matching distribution <flaskk>"
    assert "shop-v2.log" in log.answer.headers["content-disposition"]


def test_every_reason_of_a_failure_has_its_next_step(reasons: set[str]) -> None:
    assert reasons - {"superseded"} <= STEPS.keys()
    assert all(step.sentence.endswith((".", "…")) for step in (*STEPS.values(), OTHERWISE))
    tabs = {step.tab.partition("#")[0] for step in STEPS.values()}
    assert tabs <= {"", "settings", "environment"}


@pytest.fixture
def reasons() -> set[str]:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "errors.md").read_text()
    table = page.partition("## Why a deployment failed")[2]
    return {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}


def test_what_is_under_way_can_be_cancelled(world: Any, person: Open) -> None:
    app_id = world.app()
    someone = person()
    someone.go("/apps/shop")
    someone.submit("/apps/shop/deploy")
    assert str(someone.answer.url).endswith("/apps/shop/deployments/1")
    assert "Cancelling version 1" in someone.submit("/apps/shop/deployments/1/cancel")
    assert "cancelled" in someone.go("/apps/shop/deployments/1")
    assert stored(world, app_id).status == "created"
    someone.submit("/apps/shop/deployments/1/cancel")
    assert someone.answer.status_code == 409


def test_going_back_shows_first_what_will_differ(world: Any, person: Open) -> None:
    app_id = world.app()
    with world.database.transaction() as session:
        app = session.get_one(App, app_id)
        by = world.viewer().actor
        set_variables(session, app=app, changes={"OLD": "1", "KEPT": "1"}, vault=world.vault, by=by, now=world.now)
        kept = snapshot(session, app=app, vault=world.vault, now=world.now).id
    world.release(app_id, version=1, process_types={"web": "run-old", "worker": "work"})
    world.release(app_id, version=2, process_types={"web": "run-new"})
    later = world.now + timedelta(hours=1)
    with world.database.transaction() as session:
        session.scalars(sa.select(Deployment).where(Deployment.version == 1)).one().env_snapshot_id = kept
        app = session.get_one(App, app_id)
        changes = {"OLD": None, "NEW": "top-secret"}
        set_variables(session, app=app, changes=changes, vault=world.vault, by=world.viewer().actor, now=later)
    someone = person()
    text = someone.go("/apps/shop/deployments/1/rollback")
    for shown in ("becomes run-old", "comes back", "was removed since", "was added since", "Nothing is built"):
        assert shown in text
    assert "top-secret" not in text
    someone.submit("/apps/shop/rollback", version="1", restore_env="true")
    assert str(someone.answer.url).endswith("/deployments/3")
    assert kinds(world) == ["deploy"]
    viewer = person("viewer@acme.example")
    viewer.go("/apps/shop/deployments/1/rollback")
    assert viewer.answer.status_code == 403


# --- new application


def test_creating_deploys_at_once(world: Any, person: Open) -> None:
    someone = person()
    text = someone.go("/apps/new")
    for shown in ("Hobby", "0.0069", "up to 20 replicas", "1 replica · 0.0069 USD per hour"):
        assert shown in text
    fields = {"name": "New Shop", "git_url": "https://git.example.com/s.git", "plan": "pro", "replicas": "2"}
    someone.submit("/apps/new", **fields, branch="main", health_type="tcp")
    assert str(someone.answer.url).endswith("/apps/new-shop/deployments/1")
    assert kinds(world) == ["deploy"]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("git_url", "https://localhost/x.git", "This Git URL is refused."),
        ("branch", "--upload-pack=x", "This is no name Git allows for a branch."),
        ("replicas", "9", "allows up to 1 replicas"),
        ("buildpack", "heroku/nothing", "heroku/nothing"),
        ("interval_s", "0", "1 to 3600."),
        ("name", " ", "A name has 1 to 80 printable characters."),
    ],
)
def test_a_refused_field_says_so_and_keeps_what_was_typed(
    world: Any, person: Open, field: str, value: str, problem: str
) -> None:
    someone = person()
    someone.go("/apps/new")
    fields = {"name": "New Shop", "git_url": "https://git.example.com/s.git", "branch": "main-branch"}
    text = someone.submit("/apps/new", **{**fields, field: value})
    assert someone.answer.status_code in (409, 422)
    assert problem in text
    assert 'role="alert"' in text
    assert ("main-branch" in text) or field == "branch"
    with world.database.reading() as session:
        assert session.scalars(sa.select(App)).all() == [], "nothing is left of a refused form"


def test_a_viewer_creates_nothing(world: Any, person: Open) -> None:
    someone = person("viewer@acme.example")
    someone.go("/apps/new")
    assert someone.answer.status_code == 403
    someone.go("/apps")
    someone.submit("/apps/new", name="X", git_url="https://git.example.com/s.git")
    assert someone.answer.status_code == 403


# --- log


def test_the_log_is_filtered_and_paged(world: Any, person: Open) -> None:
    app_id = world.app()
    entries = [Entry(n * 10**9, "app", "web.1", "error" if n % 2 else "info", f"line {n} <b>") for n in range(1, 401)]
    world.services.logs.append(f"app:{app_id}", entries)
    someone = person()
    text = someone.go("/apps/shop/logs")
    assert "line 400 &lt;b&gt;" in text
    assert "line 101 " in text
    assert "line 100 " not in text
    older = text.partition("before=")[2].partition('"')[0]
    assert "line 100 " in someone.go(f"/apps/shop/logs?before={older}")
    only = someone.go("/apps/shop/logs?level=error&search=LINE+39")
    assert only.count('<li class="line ') == 6  # 39, 391, 393, … 399
    assert "Clear filters" in only
    assert "No line matches" in someone.go("/apps/shop/logs?search=nothing")
    cursor = only.partition('data-cursor="')[2].partition('"')[0]
    around = someone.go(f"/apps/shop/logs?level=error&around={cursor}")
    assert "line 40 " in around, "around a line everything is shown"
    for bad in ("before=x", "around=x", "level=loud", "source=x"):
        someone.go(f"/apps/shop/logs?{bad}")
        assert someone.answer.status_code == 422, bad


# --- environment


def test_variables_are_set_and_never_shown(world: Any, person: Open) -> None:
    app_id = world.app()
    world.release(app_id)
    someone = person()
    someone.go("/apps/shop/environment")
    text = someone.submit("/apps/shop/environment", name="API_KEY", value="top-secret")
    assert "What runs now gets it with the next version" in text
    assert "top-secret" not in text
    assert kinds(world) == []
    someone.go("/apps/shop/environment")
    someone.submit("/apps/shop/environment", name="API_KEY", value="other-secret", deploy="true")
    assert "/deployments/" in str(someone.answer.url)
    assert kinds(world) == ["deploy"]
    assert "API_KEY=" in someone.go("/apps/shop/environment/export")
    assert "secret" not in someone.answer.text
    text = someone.submit_after("/apps/shop/environment", "/apps/shop/environment", name="PORT", value="80")
    assert "The platform sets this itself" in text
    assert someone.answer.status_code == 422
    someone.submit_after("/apps/shop/environment", "/apps/shop/environment/delete", name="API_KEY")
    with world.database.reading() as session:
        assert session.scalars(sa.select(EnvVar)).all() == []


def test_many_variables_are_shown_in_names_before_they_change(world: Any, person: Open) -> None:
    app_id = world.app()
    world.release(app_id)
    someone = person()
    someone.submit_after("/apps/shop/environment", "/apps/shop/environment", name="ONE", value="1")
    file = "ONE=1\nTWO=two-secret\nPORT=80\nexport THREE='3'\n"
    path = "/apps/shop/environment/import"
    text = someone.submit_after("/apps/shop/environment", path, text=file, step="preview")
    preview = text.partition("This would change")[2].partition("</ul>")[0]
    for shown in ("2 added", "TWO", "THREE", "1 as it is", "Line 3", "PORT"):
        assert shown in preview
    assert "two-secret" not in preview
    with world.database.reading() as session:
        assert [row.name for row in session.scalars(sa.select(EnvVar))] == ["ONE"], "a preview changes nothing"
    someone.submit(path, text=file, step="apply")
    with world.database.reading() as session:
        assert sorted(row.name for row in session.scalars(sa.select(EnvVar))) == ["ONE", "THREE", "TWO"]
    someone.go("/apps/shop/environment")
    answer = someone.client.post(
        path, data={"token": someone.token(), "step": "preview"}, files={"file": (".env", b"FOUR=4\n")}
    )
    assert "FOUR" in answer.text
    answer = someone.client.post(
        path, data={"token": someone.token(), "step": "apply"}, files={"file": ("x", b"\xff\xfe\x00")}
    )
    assert answer.status_code == 422


def test_changes_that_were_held_back_wait_where_they_can_be_seen(world: Any, person: Open) -> None:
    app_id = world.app()
    with world.database.transaction() as session:
        kept = snapshot(session, app=session.get_one(App, app_id), vault=world.vault, now=world.now).id
    world.release(app_id)
    with world.database.transaction() as session:
        session.scalars(sa.select(Deployment)).one().env_snapshot_id = kept
    someone = person()
    assert "does not have" not in someone.go("/apps/shop/environment")
    someone.submit("/apps/shop/environment", name="NEW", value="1")
    assert "does not have the present value of" in someone.go("/apps/shop/environment").replace("\n", " ")
    someone.submit("/apps/shop/environment/release")
    assert kinds(world) == ["deploy"]


def test_a_viewer_changes_no_variable_and_no_setting(world: Any, person: Open) -> None:
    world.release(world.app())
    someone = person("viewer@acme.example")
    assert "<form" not in someone.go("/apps/shop/environment").partition("<main")[2]
    assert 'name="confirm"' not in someone.go("/apps/shop/settings")
    posts: dict[str, dict[str, str]] = {
        "environment": {"name": "A", "value": "1"},
        "environment/delete": {"name": "A"},
        "environment/import": {"step": "apply", "text": "A=1"},
        "environment/release": {},
        "settings/source": {"name": "X", "git_url": "https://git.example.com/x.git"},
        "settings/plan": {"plan": "pro"},
        "settings/health": {"health_type": "tcp"},
        "settings/build-cache": {},
        "settings/clear-build-cache": {},
        "settings/delete": {"confirm": "shop"},
        "scale": {"replicas": "1"},
        "deployments/1/cancel": {},
    }
    for path, fields in posts.items():
        someone.go("/apps/shop")
        someone.submit(f"/apps/shop/{path}", **fields)
        assert someone.answer.status_code == 403, path
    outsider = person("owner@rival.example")
    for path, fields in posts.items():
        outsider.go("/apps")
        outsider.submit(f"/apps/shop/{path}", **fields)
        assert outsider.answer.status_code == 404, path
    for page in ("", "/deployments", "/deployments/1", "/deployments/1/rollback", "/logs", "/environment", "/settings"):
        outsider.go(f"/apps/shop{page}")
        assert outsider.answer.status_code == 404, page
    assert kinds(world) == []


# --- settings


def test_settings_are_changed_part_by_part(world: Any, person: Open) -> None:
    app_id = world.app()
    world.release(app_id)
    someone = person()
    page, url = "/apps/shop/settings", "https://git.example.com/new.git"
    source = f"{page}/source"
    assert "Saved" in someone.submit_after(page, source, name="Renamed", git_url=url, branch="dev")
    assert (stored(world, app_id).name, stored(world, app_id).branch) == ("Renamed", "dev")
    text = someone.submit_after(page, source, name="Other", git_url="https://localhost/x")
    assert "This Git URL is refused." in text
    assert 'value="Other"' in text
    assert stored(world, app_id).name == "Renamed"
    health = {"health_type": "http", "health_path": "/up", "interval_s": "5", "timeout_s": "9", "retries": "2"}
    assert "before the next one begins" in someone.submit_after(page, f"{page}/health", **health)
    someone.submit_after(page, f"{page}/health", **{**health, "timeout_s": "2"})
    assert (stored(world, app_id).health_path, stored(world, app_id).health_retries) == ("/up", 2)
    someone.submit_after(page, f"{page}/plan", plan="pro")
    assert stored(world, app_id).plan_slug == "pro"
    someone.submit_after(page, f"{page}/build-cache")
    assert not stored(world, app_id).build_cache
    assert "being cleared" in someone.submit_after(page, f"{page}/clear-build-cache")
    assert kinds(world) == ["app.restart", "app.clear_build_cache"]


def test_deleting_wants_the_name_typed(world: Any, person: Open) -> None:
    app_id = world.app()
    world.release(app_id)
    someone = person()
    page = "/apps/shop/settings"
    assert "Nothing was deleted" in someone.submit_after(page, f"{page}/delete", confirm="Shop")
    assert stored(world, app_id).deleted_at is None
    assert "shop is deleted" in someone.submit_after(page, f"{page}/delete", confirm="shop")
    assert stored(world, app_id).deleted_at is not None
    developer = person("developer@acme.example")
    world.app("Other")
    developer.submit_after("/apps/other/settings", "/apps/other/settings/delete", confirm="other")
    assert developer.answer.status_code == 403
