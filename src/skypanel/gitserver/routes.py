"""Read-only Git over HTTP ("smart" protocol) for the platform's sample repositories: clone and fetch, never push."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from skypanel.drivers.gitpack import GitPackFailed, advertise, serve
from skypanel.errors import Forbidden, Invalid, NotFound, Unavailable
from skypanel.http.context import Services, ServicesDep

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
PROTOCOL = re.compile(r"version=[012](?::version=[012])*")
MAX_INFLATED = 4_194_304

router = APIRouter(prefix="/git", tags=["git"], include_in_schema=False)


@router.get("/{name}.git/info/refs")
async def advertise_refs(name: str, request: Request, services: ServicesDep, service: str | None = None) -> Response:
    if service == "git-receive-pack":
        raise Forbidden("This repository is read-only: clone it and push to your own.", code="git_read_only")
    if service != "git-upload-pack":
        raise Forbidden("Only Git's smart protocol is served; use Git 1.6.6 or newer.", code="git_dumb_protocol")
    repository = _repository(services, name)
    try:
        refs = await advertise(repository, protocol=_protocol(request))
    except GitPackFailed as error:
        raise Unavailable("The repository cannot be read at the moment.", code="git_unreadable") from error
    return Response(refs, media_type="application/x-git-upload-pack-advertisement")


@router.post("/{name}.git/git-upload-pack")
async def upload_pack(name: str, request: Request, services: ServicesDep) -> Response:
    repository = _repository(services, name)
    answer = serve(repository, await _body(request), protocol=_protocol(request))
    return StreamingResponse(answer, media_type="application/x-git-upload-pack-result")


@router.post("/{name}.git/git-receive-pack")
async def receive_pack(name: str) -> Response:
    raise Forbidden(f"{name} is read-only: clone it and push to your own.", code="git_read_only")


def _repository(services: Services, name: str) -> Path:
    """Raises NotFound for what is no bare repository directly below the directory of repositories."""
    missing = NotFound(f"There is no repository {name!r}.", code="repository_not_found")
    if services.git_dir is None or NAME.fullmatch(name) is None or ".." in name:
        raise missing
    path = services.git_dir / f"{name}.git"
    if path.is_symlink() or not (path / "objects").is_dir():
        raise missing
    return path


def _protocol(request: Request) -> str | None:
    wanted = request.headers.get("git-protocol", "")
    return wanted if PROTOCOL.fullmatch(wanted) else None


async def _body(request: Request) -> bytes:
    """What the client wants and has: small, and read whole before git starts. A small body may not become a large one,
    so what it inflates to has a limit as well."""
    content = await request.body()
    encoding = request.headers.get("content-encoding", "identity")
    if encoding in ("gzip", "x-gzip"):
        inflate = zlib.decompressobj(wbits=31)
        try:
            content = inflate.decompress(content, MAX_INFLATED)
        except zlib.error as error:
            raise Invalid("The body is not the gzip it says it is.", code="encoding_invalid") from error
        if inflate.unconsumed_tail:
            raise Invalid("The request is too large.", code="body_too_large")
    elif encoding != "identity":
        raise Invalid("The body's encoding is not supported; use gzip or none.", code="encoding_unsupported")
    return content
