"""Where everything of one platform's containers lives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    data_dir: Path
    instance: str  # eight hexadecimal digits

    @property
    def base(self) -> Path:
        return self.data_dir / "runtime"

    @property
    def rootfs(self) -> Path:
        """Empty mount points, shared by all containers and read-only in each."""
        return self.base / "rootfs"

    @property
    def etc(self) -> Path:
        return self.base / "etc"

    @property
    def empty(self) -> Path:
        return self.base / "empty"

    @property
    def templates(self) -> Path:
        return self.base / "templates"

    @property
    def exits(self) -> Path:
        return self.base / "exits"

    @property
    def addresses(self) -> Path:
        return self.base / "addresses"

    @property
    def containers(self) -> Path:
        return self.data_dir / "containers"

    @property
    def spool(self) -> Path:
        return self.data_dir / "spool"

    @property
    def runc(self) -> Path:
        """runc's own state: on a tmpfs, because it means nothing after a reboot."""
        return Path(f"/run/skypanel-{self.instance}/runc")

    @property
    def cgroup(self) -> str:
        return f"skypanel-{self.instance}"

    @property
    def monitors(self) -> str:
        """conmon's own cgroups: beside the containers' limits and outside of the platform service's."""
        return f"skypanel-{self.instance}-monitors"

    def bundle(self, container_id: str) -> Path:
        return self.containers / container_id

    def log(self, container_id: str) -> Path:
        return self.spool / f"{container_id}.log"

    def exit_file(self, container_id: str) -> Path:
        return self.exits / container_id

    def directories(self) -> tuple[Path, ...]:
        return (
            self.base, self.rootfs, self.etc, self.empty, self.templates, self.exits, self.addresses,
            self.containers, self.spool, self.runc,
        )  # fmt: skip
