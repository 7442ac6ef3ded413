"""Every builder under one suite: the fake, and the real one with the real containers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from skypanel.drivers.builder.memory import MemoryBuilder
from skypanel.drivers.builder.port import Builder, BuildRequest, BuiltSlug
from skypanel.drivers.builder.sandbox import MachineToolchains, SandboxBuilder
from skypanel.drivers.runtime.oci import OciRuntime, choose_network, taken_networks
from skypanel.drivers.source.memory import File, MemorySource
from skypanel.drivers.source.port import Commit
from skypanel.kit.ids import new_id
from skypanel.kit.secret import Secret

UID = 234_100
URL = "https://git.example.org/shop.git"


@dataclass
class Site:
    builder: Builder
    source: MemorySource
    data_dir: Path
    lines: list[str] = field(default_factory=list)

    def request(self, files: Mapping[str, str | bytes | File], **options: Any) -> BuildRequest:
        self.source.commit(URL, files)
        commit: Commit = self.source.fetch(
            URL, branch="", mirror="app", uid=UID, log=lambda _: None, cancelled=lambda: False
        )
        wanted: dict[str, Any] = {
            "id": new_id(), "app_id": "app", "organization_id": "org", "uid": UID, "mirror": "app", "commit": commit,
            "git_url": URL, "buildpacks": [], "env": {},
        }  # fmt: skip
        return BuildRequest(**{**wanted, **options})

    def build(
        self, files: Mapping[str, str | bytes | File], *, cancelled: Callable[[], bool] = lambda: False, **options: Any
    ) -> BuiltSlug:
        options["env"] = {name: Secret(value) for name, value in options.pop("env", {}).items()}
        return self.builder.build(self.request(files, **options), log=self.lines.append, cancelled=cancelled)


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRuntime]:
    subnet = choose_network(IPv4Network("10.214.0.0/16"), taken_networks())
    runtime = OciRuntime(
        data_dir=tmp_path_factory.mktemp("runtime"), instance=uuid.uuid4().hex[:8], subnet=subnet, node="here"
    )
    runtime.prepare()
    yield runtime
    runtime.destroy()
    runtime.close()


@pytest.fixture(params=["fake", pytest.param("sandbox", marks=pytest.mark.root)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    source = MemorySource()
    if request.param == "fake":
        yield Site(MemoryBuilder(root=tmp_path, source=source), source, tmp_path)
        return
    builder = SandboxBuilder(
        data_dir=tmp_path, source=source, containers=request.getfixturevalue("containers"),
        toolchains=MachineToolchains(tmp_path / "toolchains"),
    )  # fmt: skip
    yield Site(builder, source, tmp_path)
