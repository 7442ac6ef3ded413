"""The `skypanel` command: what users need (HTTP only, `skypanel.cli`) and what operators need, under one name.

Commands import what they work with when they are called, so that `skypanel --help` stays fast.
"""

from __future__ import annotations

from skypanel.cli.main import app, run
from skypanel.manage import commands

commands.register(app)


def main() -> None:
    run(app)
