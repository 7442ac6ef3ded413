"""Every source under one suite: the fake, and the real one against repositories served over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from git_http import Content, Executable, GitHttpServer, Link

from skypanel.drivers.source.git import GitSource
from skypanel.drivers.source.memory import File, MemorySource
from skypanel.drivers.source.port import Source


class Host(Protocol):
    """Where repositories are, for the source under test."""

    source: Source

    def url(self, name: str) -> str: ...

    def make(self, name: str, files: Mapping[str, Content]) -> str: ...

    def commit(
        self, name: str, files: Mapping[str, Content], *, message: str = "Change", branch: str | None = None
    ) -> str: ...


@dataclass
class RealHost:
    source: Source
    server: GitHttpServer

    def url(self, name: str) -> str:
        return self.server.url(name)

    def make(self, name: str, files: Mapping[str, Content]) -> str:
        return self.server.make(name, files)

    def commit(
        self, name: str, files: Mapping[str, Content], *, message: str = "Change", branch: str | None = None
    ) -> str:
        return self.server.commit(name, files, message=message, branch=branch)


class FakeHost:
    def __init__(self) -> None:
        self.source = MemorySource()
        self._files: dict[str, dict[str, str | bytes | File]] = {}

    def url(self, name: str) -> str:
        return f"https://git.example.org/{name}.git"

    def make(self, name: str, files: Mapping[str, Content]) -> str:
        self.source.create(self.url(name))
        return self.commit(name, files, message="First commit") if files else ""

    def commit(
        self, name: str, files: Mapping[str, Content], *, message: str = "Change", branch: str | None = None
    ) -> str:
        kept = self._files.setdefault(name, {})
        for path, content in files.items():
            if content is None:
                del kept[path]
            elif isinstance(content, Executable):
                kept[path] = File(content.content.encode(), "100755")
            elif isinstance(content, Link):
                kept[path] = File(content.target.encode(), "120000")
            else:
                kept[path] = content
        return self.source.commit(self.url(name), kept, message=message, branch=branch)


@pytest.fixture(params=["fake", "git"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "fake":
        yield FakeHost()
        return
    mirrors = tmp_path / "mirrors"
    mirrors.mkdir()
    with GitHttpServer(tmp_path / "host") as server:
        yield RealHost(GitSource(mirrors_dir=mirrors, allowed_private_hosts=["127.0.0.1"]), server)
