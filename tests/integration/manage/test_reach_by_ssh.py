"""A machine reached through a real SSH server, by a process that is killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine_stand_in import StandIn
from site_under_test import eventually, free_port
from ssh import sshd

pytestmark = pytest.mark.root

REACH = """
import json, sys, time
from pathlib import Path
from skypanel.manage.cluster.place import Login, remote

asked = json.load(sys.stdin)
with remote(Login(**asked["login"]), socket=Path(asked["socket"]), known_hosts=Path(asked["known"])) as place:
    print(place.engine.version, flush=True)
    time.sleep(60)
"""


def command_lines() -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(each.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_nothing_is_left_of_the_login_when_whoever_reaches_a_machine_is_killed(engine: StandIn, tmp_path: Path) -> None:
    scratch, port = tmp_path / "scratch", free_port()
    scratch.mkdir()
    with sshd(tmp_path / "ssh", "127.0.0.1", port) as keys:
        login = {"host": "127.0.0.1", "port": port, "user": "root", "private_key": keys.private, "host_key": keys.host}
        asked = {"login": login, "socket": str(engine.socket), "known": str(tmp_path / "known")}
        env = os.environ | {"TMPDIR": str(scratch)}
        command = [sys.executable, "-c", REACH]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True) as reaching:
            assert reaching.stdin is not None
            assert reaching.stdout is not None
            reaching.stdin.write(json.dumps(asked))
            reaching.stdin.close()
            assert reaching.stdout.readline() == "1.47\n"
            assert any(str(scratch) in each for each in command_lines()), "there is a way to the engine"
            reaching.kill()
        eventually(lambda: not any(str(scratch) in each for each in command_lines()), what="the end of that way")
    kept = [each for each in scratch.rglob("*") if each.is_file()]
    assert not [each for each in kept if "PRIVATE KEY" in each.read_text()]
