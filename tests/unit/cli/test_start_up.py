"""What the command line must not load: each of these costs a person who waits as much as Python itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("heavy", ["pydantic", "rich", "pygments", "sqlalchemy", "fastapi"])
def test_a_command_that_asks_the_server_does_without(heavy: str, tmp_path: Path) -> None:
    skypanel = Path(sys.executable).with_name("skypanel")
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "SKYPANEL_URL": "http://127.0.0.1:9", "SKYPANEL_TOKEN": "x"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(skypanel), "apps"],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "127.0.0.1:9 does not answer" in done.stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "httpx" in loaded
    assert heavy not in loaded
