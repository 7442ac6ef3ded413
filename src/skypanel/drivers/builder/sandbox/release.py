"""What a finished build says about itself: process types, default variables. Read as data that a tenant wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.procfile import parse
from skypanel.drivers.builder.sandbox.layout import read_beneath
from skypanel.kit.slug import ENV_NAME, PROCESS_TYPE


@dataclass(frozen=True)
class Release:
    process_types: Mapping[str, str] = field(default_factory=dict)
    config_vars: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


MAX_TEXT = 64_000  # characters


class _Loader(yaml.SafeLoader):
    """Without aliases: a few lines of them unfold to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def parse_release(text: str, *, buildpack: str) -> Release:
    """The YAML of bin/release. Raises BuildFailed `buildpack_failed` when it is none."""
    try:
        if len(text) > MAX_TEXT:
            raise yaml.YAMLError("too long")
        data: Any = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader made safer
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BuildFailed(
            "buildpack_failed", f"bin/release of {buildpack} printed no valid YAML: ask its author."
        ) from error
    if data is None:
        return Release()
    if not isinstance(data, dict):
        raise BuildFailed("buildpack_failed", f"bin/release of {buildpack} printed no YAML mapping: ask its author.")
    types = _strings(data.get("default_process_types"))
    variables = _strings(data.get("config_vars"))
    asked = str(data.get("addons") or "")[:500]
    notes = [f"Add-ons asked for by {buildpack} are not provided: {asked}"] if asked else []
    return Release(
        {name: command for name, command in types.items() if PROCESS_TYPE.fullmatch(name) and command.strip()},
        {name: value for name, value in variables.items() if ENV_NAME.fullmatch(name)},
        tuple(notes),
    )


def _strings(value: Any) -> dict[str, str]:
    scalars = (str, int, float)
    return {str(k): str(v) for k, v in value.items() if isinstance(v, scalars)} if isinstance(value, dict) else {}


def read_procfile(app: Path) -> dict[str, str] | None:
    """After compile: a build may have written it. None: there is none."""
    content = read_beneath(app, "Procfile")
    return None if content is None else parse(content.decode("utf-8", errors="replace"))
