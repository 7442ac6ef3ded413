"""What every operators' command begins with, and how one ends that cannot go on."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from skypanel.settings import Settings


def settings_of(**flags: Any) -> Settings:
    """Settings from the environment, overridden by the flags that were given. Ends the command when they are wrong."""
    from pydantic import ValidationError

    from skypanel.settings import Settings

    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        stop(f"The setting SKYPANEL_{name} is wrong: {first['msg']}.", code=2)
    from skypanel.manage.choices import chosen_runtime
    from skypanel.manage.preflight import complete_path

    os.environ["PATH"] = complete_path(os.environ.get("PATH", os.defpath))
    changes = {"data_dir": settings.data_dir.expanduser().resolve(), "runtime": chosen_runtime(settings)}
    return settings.model_copy(update=changes)


def stop(message: str, *, code: int = 1) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)
