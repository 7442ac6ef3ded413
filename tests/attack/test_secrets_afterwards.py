"""Runs after everything else on the platform (files go by name): what the whole suite had to keep to itself."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import canaries
import httpx
import pytest
from git_http import Executable, GitHttpServer
from sample_apps import plain_server
from site_under_test import Client, Site, eventually

pytestmark = pytest.mark.root

PRINTED = "canary-variable-8c2f61"  # by ada's own app, with all its might
IN_A_URL, IN_A_QUERY, IN_A_HEADER = "canary-credential-77a1", "canary-query-5e02", "canary-header-c1d9"


@pytest.fixture(scope="module")
def said(platform: Site, ada: Client, repositories: GitHttpServer) -> list[str]:
    """Everything that the API answers to ada while her app prints its variable at every step of its life."""
    files = plain_server()
    files["Procfile"] += "release: echo release says $CANARY; env\n"
    hook = Executable("#!/bin/sh\necho build says $CANARY; env\n")
    repositories.make("canary", {**files, "bin/post_compile": hook})
    ada.create("canary", repositories.url("canary"))
    answers: list[object] = [ada.call("PUT", "/paas/apps/canary/env", {"vars": {"CANARY": PRINTED}})]
    answers.append(ada.deployed("canary"))
    repositories.commit("canary", {"server.py": "import os\nraise SystemExit('died of ' + os.environ['CANARY'])\n"})
    failed = ada.settled("canary", ada.deploy("canary"))
    assert failed["status"] == "failed"
    run = ada.call("POST", "/paas/apps/canary/run", {"command": "true"})
    ada.job(run["job_id"])
    answers += [failed, run, ada.build_log("canary", 1), ada.build_log("canary", 2)]
    with_credentials = {"name": "x", "git_url": f"https://ada:{IN_A_URL}@git.example.org/x.git"}
    answers.append(ada.call("POST", "/paas/apps", with_credentials, expect=422))
    answers.append(ada.call("PATCH", "/paas/apps/canary", {"buildpack": with_credentials["git_url"]}, expect=422))
    for path in ("/paas/apps", "/paas/apps/canary", "/paas/apps/canary/env", "/paas/apps/canary/deployments",
                 f"/organizations/{ada.organization_id}/activity?limit=200", "/paas/apps/canary/replicas",
                 "/paas/apps/canary/env/export", f"/paas/apps/canary/runs/{run['run']['id']}",
                 f"/paas/jobs/{run['job_id']}", "/auth/tokens", "/auth/me"):  # fmt: skip
        answers.append(ada.call("GET", path))
    return [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]


@pytest.fixture(scope="module")
def secrets(platform: Site, ada: Client, mallory: Client, said: list[str]) -> dict[str, bytes]:
    """Name -> what must be nowhere on the machine but where it has to be."""
    token = ada.call("POST", "/auth/tokens", {"name": "ci"}, headers={"Idempotency-Key": "canary"})["token"]
    invited = ada.call(
        "POST", f"/organizations/{ada.organization_id}/invitations", {"email": "canary@example.org", "role": "viewer"},
    )  # fmt: skip
    query = {"token": IN_A_QUERY}
    ada.get("canary", "/path", params=query, headers={"Authorization": f"Bearer {IN_A_HEADER}", "Cookie": IN_A_HEADER})
    platform.http.get(f"{platform.url}/api/auth/me", params=query, headers={"Authorization": f"Bearer {IN_A_HEADER}"})
    found = {
        "a variable": canaries.VARIABLE, "a variable that its app prints": PRINTED, "in a Git URL": IN_A_URL,
        "the operator's Git token": platform.env["SKYPANEL_GIT_HTTPS_TOKEN"], "in a query": IN_A_QUERY,
        "in a header": IN_A_HEADER, "his password": "a long password of ada",
        "her password": "a long password of mallory",
        "a sign-in": ada.token, "her sign-in": mallory.token, "an API token": token, "an invitation": invited["token"],
    }  # fmt: skip
    return {name: word.encode() for name, word in found.items()}


def test_the_platform_masks_what_a_build_and_a_release_print(said: list[str]) -> None:
    everything = "\n".join(said)
    assert "build says [REDACTED]" in everything
    assert "release says [REDACTED]" in everything


def test_no_answer_of_the_api_holds_a_secret(said: list[str], secrets: dict[str, bytes]) -> None:
    everything = "\n".join(said).encode()
    assert [name for name, word in secrets.items() if word in everything] == []


def test_no_file_of_the_platform_holds_a_secret(platform: Site, ada: Client, secrets: dict[str, bytes]) -> None:
    instance = json.loads((platform.data_dir / "instance.json").read_text())["id"]
    lines = eventually(lambda: ada.logs("canary", "&source=router"), what="the router's line in the store")
    assert not [name for name, word in secrets.items() if word in json.dumps(lines).encode()]
    # What a replica says of itself, dying or serving, is its own output, kept for its owner as it was said.
    own_output = (platform.data_dir / "logs", platform.data_dir / "spool")
    left = []
    for root in (platform.data_dir, Path(f"/run/skypanel-{instance}")):
        for name, word in secrets.items():
            left += [
                f"{name}: {path}"
                for path in canaries.holders(root, [word])
                if word not in (PRINTED.encode(), IN_A_QUERY.encode())
                or not any(Path(path).is_relative_to(own) for own in own_output)
            ]
    assert left == []
    printed = (platform.data_dir.parent / "up.log").read_bytes()
    assert [name for name, word in secrets.items() if word in printed] == []


def test_no_command_line_and_nobody_elses_environment_holds_a_secret(platform: Site, secrets: dict[str, bytes]) -> None:
    with sqlite3.connect(f"file:{platform.data_dir}/db/skypanel.db?mode=ro", uri=True) as database:
        adas = {uid for (uid,) in database.execute("SELECT uid FROM apps WHERE slug IN ('victim', 'canary')")}
    git_token = secrets["the operator's Git token"]
    wrong, seen_at_its_owner = [], False
    for process, user, command, environment in canaries.processes():
        for name, word in secrets.items():
            if word in command:
                wrong.append(f"{name} in the command line of {process}: {command!r}")
            if word not in environment:
                continue
            # Root's processes have the operator's own settings; a replica has its own variables.
            if word == git_token and user == 0:
                continue
            if user in adas and "variable" in name:
                seen_at_its_owner = True
                continue
            wrong.append(f"{name} in the environment of {process} of the user {user}: {command!r}")
    assert wrong == []
    assert seen_at_its_owner, "else nothing could be found this way"


def test_what_is_looked_for_can_be_found(platform: Site, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\0x" + IN_A_URL.encode())
    assert canaries.holders(tmp_path, [IN_A_URL.encode()]) == [str(tmp_path / "deep" / "file")]
    answer = httpx.get(f"{platform.url}/api/auth/me", trust_env=False)
    assert answer.status_code == 401
