import json
from collections.abc import Callable
from typing import Any

import pytest

APP = {
    "id": "0190",
    "name": "Shop",
    "slug": "shop",
    "status": "running",
    "status_reason": None,
    "wanted": "running",
    "url": "http://shop.apps.localhost:8080",
    "git_url": "https://git.example.com/shop.git",
    "branch": "",
    "buildpack": "auto",
    "build_cache": True,
    "plan": {"slug": "hobby", "price_per_hour": "0.0069"},
    "replicas": {"desired": 1, "running": 1, "max": 1},
    "health_check": {"type": "http", "path": "/", "interval_s": 30, "timeout_s": 5, "retries": 3},
    "cost_per_hour": "0.0069",
    "currency": "USD",
    "current_version": 1,
    "created_at": "2026-01-02T03:04:05Z",
}
PRICE = {
    "plan": "hobby", "process_type": "web", "current_replicas": 0, "replicas": 1, "max_replicas": 1,
    "cost_per_hour": "0.0069", "cost_per_month": "5.037", "balance": "50.00", "balance_after_hour": "49.9931",
    "currency": "USD", "billed": True, "affordable": True, "fits_plan": True,
}  # fmt: skip
STAGE = {"name": "build", "status": "done", "started_at": "2026-01-02T03:04:05Z", "finished_at": "2026-01-02T03:04:06Z"}


def deployment(status: str, **changes: Any) -> dict[str, Any]:
    row = {
        "version": 2,
        "status": status,
        "kind": "deploy",
        "stage": "build",
        "reason": None,
        "commit": "abcdef1234567890",
        "commit_message": "Add\nthings",
        "commit_author": "A",
        "buildpack": "Python (uv)",
        "slug_size_bytes": 1_500_000,
        "slug_digest": "sha256:1",
        "cause": "api",
        "rolled_back_from": None,
        "requested_by": "a@example.com",
        "created_at": "2026-01-02T03:04:05Z",
        "duration_ms": 900,
        "stages": [STAGE],
    }
    return row | changes


def log_event(cursor: str, message: str) -> str:
    line = {"ts": "2026-01-02T03:04:05Z", "source": "build", "replica": "build", "level": "info", "message": message}
    return f"id: {cursor}\nevent: log\ndata: {json.dumps(line)}\n\n"


Cli = Callable[..., Any]


def test_applications_are_listed_and_the_token_is_sent(cli: Cli, stub: Any) -> None:
    stub.on(
        "GET",
        "/api/paas/apps",
        {"items": [APP], "next_cursor": "c"},
        {"items": [APP | {"slug": "two"}], "next_cursor": None},
    )
    done = cli("apps")
    assert done.code == 0
    assert "shop" in done.out
    assert "two" in done.out
    assert stub.seen[0].headers["Authorization"] == "Bearer skp_test"
    assert "cursor=c" in stub.seen[1].path


def test_json_is_what_the_api_answered(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/apps", {"items": [APP], "next_cursor": None})
    assert cli("apps", "--json").json == [APP]


def test_an_application_is_created_with_what_was_asked_for_only(cli: Cli, stub: Any) -> None:
    stub.on("POST", "/api/paas/apps", {"app": APP}, status=201)
    stub.on("GET", "/api/paas/price", PRICE)
    done = cli("apps", "create", "Shop", "--git", "https://git.example.com/shop.git", "--health-path", "/up")
    assert done.code == 0
    expected = {
        "name": "Shop",
        "git_url": "https://git.example.com/shop.git",
        "health_check": {"type": "http", "path": "/up"},
    }
    assert stub.seen[-1].body == expected
    assert done.out.startswith("1 of 1 web replicas (now 0), plan hobby: 0.0069 USD per hour, 5.037 per month; balance")


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (404, "app_not_found", 3),
        (403, "forbidden", 4),
        (401, "unauthenticated", 4),
        (409, "conflict", 5),
        (429, "too_many", 5),
        (422, "invalid", 2),
        (500, "internal", 1),
        (503, "unavailable", 7),
    ],
)
def test_errors_of_the_api_are_exit_codes(cli: Cli, stub: Any, status: int, code: str, exit_code: int) -> None:
    stub.problem("POST", "/api/paas/apps/shop/stop", status, code, "What to do about it.")
    done = cli("stop", "shop")
    assert done.code == exit_code
    assert done.err.startswith("What to do about it.")
    assert done.out == ""


def test_with_json_an_error_is_the_problem_itself(cli: Cli, stub: Any) -> None:
    stub.problem("POST", "/api/paas/apps/shop/stop", 404, "app_not_found", "None.")
    assert cli("stop", "shop", "--json").json["code"] == "app_not_found"


def test_a_platform_that_does_not_answer_is_said_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYPANEL_URL", "http://127.0.0.1:9")
    done = cli("apps")
    assert done.code == 7
    assert "does not answer" in done.err


def test_another_web_server_is_not_taken_for_the_platform(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/apps", "<html>")
    assert cli("apps").code == 7


def test_a_followed_deployment_shows_its_log_and_ends_with_the_url(cli: Cli, stub: Any) -> None:
    where = "/api/paas/apps/shop/deployments/2"
    stub.on("POST", "/api/paas/apps/shop/deploy", {"deployment": deployment("queued"), "job_id": "j"}, status=202)
    stub.on("GET", where, {"deployment": deployment("building")}, {"deployment": deployment("running")})
    stub.on("GET", f"{where}/logs/stream", log_event("1", "Installing flask") + "event: end\ndata: {}\n\n")
    stub.on("GET", "/api/paas/apps/shop", {"app": APP})
    done = cli("deploy", "shop", "--follow")
    assert done.code == 0
    assert "Installing flask" in done.out
    assert "v2 is running after 0.9 s: http://shop.apps.localhost:8080" in done.out


def test_a_failed_deployment_is_exit_code_6_with_its_reason(cli: Cli, stub: Any) -> None:
    where = "/api/paas/apps/shop/deployments/2"
    stub.on("POST", "/api/paas/apps/shop/deploy", {"deployment": deployment("queued"), "job_id": "j"}, status=202)
    stub.on("GET", where, {"deployment": deployment("failed", reason="No requirements.txt: add one.")})
    stub.on("GET", f"{where}/logs/stream", "event: end\ndata: {}\n\n")
    done = cli("deploy", "shop", "--follow")
    assert done.code == 6
    assert done.err == "v2 failed: No requirements.txt: add one.\n"


def test_a_run_prints_the_output_and_ends_as_the_command_did(cli: Cli, stub: Any) -> None:
    row = {"id": "r1", "status": "queued", "exit_code": None, "reason": None}
    stub.on("POST", "/api/paas/apps/shop/run", {"run": row, "job_id": "j"}, status=202)
    stub.on("GET", "/api/paas/apps/shop/runs/r1/logs/stream", log_event("1", "hello") + "event: end\ndata: {}\n\n")
    stub.on("GET", "/api/paas/apps/shop/runs/r1", {"run": row | {"status": "exited", "exit_code": 42}})
    done = cli("run", "shop", "--", "python", "-c", "print('x y')")
    assert (done.code, done.out) == (42, "hello\n")
    assert stub.seen[0].body == {"command": "python -c 'print('\"'\"'x y'\"'\"')'"}


def test_variables_are_set_and_removed(cli: Cli, stub: Any) -> None:
    stub.on("PUT", "/api/paas/apps/shop/env", {"items": [], "deployment": {"version": 3}})
    assert "v3" in cli("env", "set", "shop", "A=1=2", "B=").out
    assert stub.seen[-1].body == {"vars": {"A": "1=2", "B": ""}}
    cli("env", "unset", "shop", "A", "--no-deploy")
    assert stub.seen[-1].body == {"vars": {"A": None}}
    assert "deploy=false" in stub.seen[-1].path
    assert cli("env", "set", "shop", "novalue").code == 2


def test_a_broken_stream_goes_on_after_the_last_event(stub: Any, cli: Cli) -> None:
    stub.on("GET", "/api/paas/apps/shop/logs/stream", log_event("7", "one"), log_event("8", "two"))
    done = cli("logs", "shop", "-f")
    assert "one" in done.out


def test_signing_in_keeps_the_session_and_the_only_organization(cli: Cli, stub: Any, tmp_path: Any) -> None:
    answer = {
        "token": "jwt",
        "expires_at": "2026-01-03T00:00:00Z",
        "user": {"email": "a@example.com"},
        "organizations": [{"id": "1", "slug": "mine", "name": "Mine", "role": "owner"}],
    }
    stub.on("POST", "/api/auth/login", answer)
    done = cli("login", "--email", "a@example.com", "--password", "correct horse")
    assert done.code == 0
    kept = (tmp_path / "skypanel" / "config.json").read_text()
    assert '"token": "jwt"' in kept
    assert '"organization": "mine"' in kept
    assert "correct horse" not in kept
    assert "Authorization" not in stub.seen[0].headers


def test_a_wrong_command_line_is_exit_code_2(cli: Cli) -> None:
    assert cli("scale", "shop", "many").code == 2
    assert cli("nonsense").code == 2


def test_help_loads_neither_http_nor_the_database(cli: Cli) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from skypanel.manage.main import main; sys.argv = ['skypanel', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('httpx', 'sqlalchemy', 'fastapi', 'rich', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def interrupted(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


def test_ctrl_c_while_following_says_that_the_deployment_goes_on(
    cli: Cli, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.on("POST", "/api/paas/apps/shop/deploy", {"deployment": deployment("queued"), "job_id": "1"})
    monkeypatch.setattr("skypanel.cli.follow.follow_deployment", interrupted)
    done = cli("deploy", "shop", "--follow")
    assert done.code == 130
    assert "v2 goes on" in done.err
    assert "skypanel cancel shop 2" in done.err


def test_ctrl_c_ends_the_one_off_command_too(cli: Cli, stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on("POST", "/api/paas/apps/shop/run", {"run": {"id": "r1"}})
    stub.on("POST", "/api/paas/apps/shop/runs/r1/cancel", {}, status=202)
    monkeypatch.setattr("skypanel.cli.client.Api.events", interrupted)
    assert cli("run", "shop", "--", "sleep", "9").code == 130
    assert stub.seen[-1].path == "/api/paas/apps/shop/runs/r1/cancel"


def test_a_slug_that_is_not_the_name_is_explained(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/price", PRICE)
    stub.on("POST", "/api/paas/apps", {"app": APP | {"slug": "api-x1"}}, {"app": APP}, status=201)
    assert "'api' is taken or not allowed" in cli("apps", "create", "Api", "--git", "https://git.example.com/a.git").out
    assert "taken" not in cli("apps", "create", "Shop", "--git", "https://git.example.com/a.git").out


def test_without_a_session_the_command_that_signs_in_is_named(
    cli: Cli, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.problem("GET", "/api/paas/apps", 401, "unauthenticated", "This needs a token.")
    monkeypatch.delenv("SKYPANEL_TOKEN")
    done = cli("apps")
    assert done.err.splitlines() == [
        f"You are not signed in at {stub.url}.",
        f"Sign in with: skypanel login --url {stub.url}",
    ]
