"""Whom the CLI talks to, and as whom: `~/.config/skypanel/config.json` (mode 0600), overridden by the environment.

SKYPANEL_URL, SKYPANEL_TOKEN and SKYPANEL_ORG win over the file, so that programs need no file.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

DEFAULT_URL = "http://localhost:8080"


@dataclass(frozen=True)
class Config:
    url: str = DEFAULT_URL
    token: str = ""
    organization: str = ""


def config_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "skypanel" / "config.json"


def saved_config() -> Config:
    try:
        content = json.loads(config_path().read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return Config()
    return Config(**{name: str(content[name]) for name in ("url", "token", "organization") if name in content})


def load_config() -> Config:
    config = saved_config()
    names = {"url": "SKYPANEL_URL", "token": "SKYPANEL_TOKEN", "organization": "SKYPANEL_ORG"}
    config = replace(config, **{field: os.environ[name] for field, name in names.items() if os.environ.get(name)})
    return replace(config, url=config.url.rstrip("/"))


def save_config(config: Config) -> None:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(config), file, indent=2)
    temporary.rename(path)
