"""A backup taken while versions come and go, the machine lost, and everything back from the archive."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from git_http import GitHttpServer
from sample_apps import plain_server
from site_under_test import SKYPANEL, eventually, site

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{version} {{os.environ.get('SECRET')}}".encode())

http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def version_of(number: int) -> dict[str, str]:
    return {**plain_server(), "server.py": SERVER.format(version=f"version-{number}")}


def test_everything_comes_back_from_a_backup_of_a_busy_platform(tmp_path: Path, repositories: GitHttpServer) -> None:
    archive = tmp_path / "backup.tar"
    with site(tmp_path, SKYPANEL_KEEP_RELEASES="2", SKYPANEL_STOP_GRACE_S="1", SKYPANEL_DRAIN_TIMEOUT_S="1") as running:
        owner = running.register("owner")
        repositories.make("kept", version_of(1))
        owner.create("kept", repositories.url("kept"))
        owner.call("PUT", "/paas/apps/kept/env", {"vars": {"SECRET": "known only here"}})
        owner.deployed("kept")
        backed_up = threading.Event()

        def backup() -> None:
            try:
                subprocess.run([SKYPANEL, "backup", str(archive)], env=running.env, check=True, timeout=120)
            finally:
                backed_up.set()

        thread = threading.Thread(target=backup)
        thread.start()
        number = 1
        while not backed_up.is_set() or number < 5:
            number += 1
            repositories.commit("kept", version_of(number))
            owner.deployed("kept")
        thread.join()
        assert archive.stat().st_mode & 0o777 == 0o600

        running.down()
        shutil.rmtree(running.data_dir)
        subprocess.run([SKYPANEL, "restore", str(archive)], env=running.env, check=True, timeout=120)
        running.start()
        answer = eventually(
            lambda: (found := owner.get("kept")).status_code == 200 and found.text, within=60, what="the restored app"
        )
        version, _, secret = answer.partition(" ")
        assert secret == "known only here"
        newest = "/paas/apps/kept/deployments?limit=1"
        eventually(lambda: owner.call("GET", newest)["items"][0]["finished_at"], within=60)
        current = owner.app("kept")
        assert current["status"] == "running"
        assert version in [f"version-{n}" for n in range(1, number + 1)]
        repositories.commit("kept", version_of(99))
        owner.deployed("kept")
        assert owner.get("kept").text == "version-99 known only here"
        owner.call("POST", "/paas/apps/kept/rollback", {"version": current["current_version"]})
        back = owner.call("GET", newest)["items"][0]["version"]
        owner.ran("kept", back)
        assert owner.get("kept").text == answer
