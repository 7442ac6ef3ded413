"""The real builder in real containers; repositories and buildpacks come from memory."""
# ruff: noqa: E501 - tables of cases, one a line

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from skypanel.builds.launch import launch
from skypanel.drivers.builder.port import BuildRequest, BuiltSlug
from skypanel.drivers.builder.sandbox import MachineToolchains, SandboxBuilder, passed_through
from skypanel.drivers.runtime.oci import OciRuntime, choose_network, taken_networks
from skypanel.drivers.runtime.port import ContainerKind, ContainerSpec, Limits, RunLimits
from skypanel.drivers.source.memory import File, MemorySource
from skypanel.kit.ids import new_id
from skypanel.kit.secret import Secret

UID = 234_200
URL = "https://git.example.org/shop.git"
REGISTRIES = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_*", "UV_*", "NPM_CONFIG_*", "npm_config_*"]
Files = Mapping[str, str | bytes | File]


def program(text: str) -> File:
    return File(text.encode(), "100755")


@dataclass
class Site:
    builder: SandboxBuilder
    source: MemorySource
    containers: OciRuntime
    data_dir: Path
    lines: list[str] = field(default_factory=list)

    def buildpack(self, name: str, files: Files) -> str:
        url = f"https://git.example.org/{name}.git"
        self.source.commit(url, files)
        return url

    def request(self, files: Files, **options: Any) -> BuildRequest:
        self.source.commit(URL, files)
        commit = self.source.fetch(URL, branch="", mirror="app", uid=UID, log=print, cancelled=lambda: False)
        env = {name: Secret(value) for name, value in options.pop("env", {}).items()}
        wanted: dict[str, Any] = {
            "id": new_id(), "app_id": "app", "organization_id": "org", "uid": UID, "mirror": "app", "commit": commit,
            "git_url": URL, "buildpacks": [], "env": env,
        }  # fmt: skip
        return BuildRequest(**{**wanted, **options})

    def build(self, files: Files, *, cancelled: Callable[[], bool] = lambda: False, **options: Any) -> BuiltSlug:
        return self.builder.build(self.request(files, **options), log=self.lines.append, cancelled=cancelled)

    def run(self, slug: BuiltSlug, command: str) -> str:
        """The output of a one-off command in the release, started as replicas are."""
        output: list[bytes] = []
        spec = ContainerSpec(
            id=f"run-{uuid.uuid4().hex[:8]}", kind=ContainerKind.RUN, app_id="app", organization_id="org", name="run.1",
            command=launch(command), env={**slug.config_vars, "PORT": "5000"}, uid=UID, limits=Limits(1000, 256, 256),
            layers=self.builder.ensure("app", UID, slug.digest, slug.layers),
            toolchains=[Path(prefix) for prefix in slug.toolchains],
        )  # fmt: skip
        end = self.containers.run(
            spec, limits=RunLimits(60, 1_000_000), on_output=output.append, cancelled=lambda: False
        )
        text = b"".join(output).decode()
        assert end.code == 0, text
        return text

    def left_behind(self, build_id: str) -> list[str]:
        return [str(path) for path in self.data_dir.rglob("*") if build_id in path.name]


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRuntime]:
    bundle = os.environ.get("SSL_CERT_FILE")
    runtime = OciRuntime(
        data_dir=tmp_path_factory.mktemp("runtime"), instance=uuid.uuid4().hex[:8], node="here",
        subnet=choose_network(IPv4Network("10.215.0.0/16"), taken_networks()), ca_bundle=Path(bundle) if bundle else None,
    )  # fmt: skip
    runtime.prepare()
    yield runtime
    runtime.destroy()
    runtime.close()


@pytest.fixture
def site(containers: OciRuntime, tmp_path: Path) -> Site:
    source = MemorySource()
    builder = SandboxBuilder(
        data_dir=tmp_path, source=source, containers=containers, toolchains=MachineToolchains(tmp_path / "toolchains"),
        passthrough=passed_through(REGISTRIES),
    )  # fmt: skip
    return Site(builder, source, containers, tmp_path)


@pytest.fixture
def make_site() -> type[Site]:
    return Site
