"""What processes that run all the time must not load: it would cost every platform memory for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

UNUSED = {
    "skypanel.server": {"psycopg", "pyroute2", "alembic", "typer", "httpx", "skypanel.drivers.runtime"},
    "skypanel.manage.worker": {"psycopg", "alembic", "typer", "httpx", "rich", "fastapi"},
}


@pytest.mark.parametrize("module", UNUSED)
def test_a_platform_on_sqlite_loads_only_what_it_uses(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert UNUSED[module] & set(done.stdout.split()) == set()
