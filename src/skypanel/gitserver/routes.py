"""Read-only Git over HTTP ("smart" protocol) for the platform's sample repositories: clone and fetch, never push."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator
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
    answer = serve(repository, _body(request), protocol=_protocol(request))
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


def _body(request: Request) -> AsyncIterator[bytes]:
    encoding: str = request.headers.get("content-encoding", "identity")
    if encoding in ("gzip", "x-gzip"):
        return _inflated(request.stream())
    if encoding != "identity":
        raise Invalid("The body's encoding is not supported; use gzip or none.", code="encoding_unsupported")
    return request.stream()


async def _inflated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A small body may not become a large one: what it inflates to has a limit as well."""
    inflate = zlib.decompressobj(wbits=31)
    total = 0
    async for chunk in chunks:
        data = inflate.decompress(chunk, MAX_INFLATED)
        total += len(data)
        if inflate.unconsumed_tail or total > MAX_INFLATED:
            return
        yield data
