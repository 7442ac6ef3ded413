"""Styles, scripts and the icon: files of ours alone, under a path that changes with their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from skypanel.errors import NotFound

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_STATIC = Path(__file__).parent / "static"
_FILES = {file.name: file.read_bytes() for file in sorted(_STATIC.iterdir()) if file.suffix in _TYPES}
_VERSION = hashlib.sha256(b"".join(name.encode() + content for name, content in _FILES.items())).hexdigest()[:16]
A_YEAR = "public, max-age=31536000, immutable"


def asset(name: str) -> str:
    """Its path. Raises KeyError for a file that is not there, which a page would otherwise only show in the browser."""
    _FILES[name]
    return f"/assets/{_VERSION}/{name}"


def add_assets(router: APIRouter) -> None:
    @router.get(f"/assets/{_VERSION}/{{name}}")
    def show_asset(name: str) -> Response:
        if name not in _FILES:
            raise NotFound("There is no such file.")
        return Response(_FILES[name], media_type=_TYPES[Path(name).suffix], headers={"Cache-Control": A_YEAR})
