"""The page of bash that every task begins with."""

from __future__ import annotations

import subprocess

from skypanel.drivers.runtime.swarm.scripts import GREET


def test_the_greeting_leaves_no_variable_behind_that_an_application_may_have() -> None:
    script = GREET + "export name=mine net=mine gateway=mine rest=mine part=mine; exec env"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={}, check=True)
    kept = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    assert {kept.get(each) for each in ("name", "net", "gateway", "rest", "part")} == {"mine"}
    assert ran.stderr == ""
