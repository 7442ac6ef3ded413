"""The directories of one build: made empty, owned as they must be, gone when it ends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers.builder.sandbox.layout import make_owned, own, remove_tree
from skypanel.kit.secret import Secret


@dataclass(frozen=True)
class Workspace:
    root: Path
    uid: int

    @property
    def app(self) -> Path:
        return self.root / "app"

    @property
    def deps(self) -> Path:
        return self.root / "deps"

    def create(self) -> None:
        remove_tree(self.root)
        self.root.mkdir(parents=True, mode=0o700)
        make_owned(self.app, self.uid)

    def prepare_run(self, env: Mapping[str, Secret]) -> None:
        """What only a container needs: ENV_DIR, byte for byte, and places to write to."""
        for name in ("out", "tmp", "buildpacks"):
            make_owned(self.root / name, self.uid)
        (self.root / "steps").mkdir(exist_ok=True)
        directory = make_owned(self.root / "env", self.uid, mode=0o700)
        for name, value in env.items():
            path = directory / name
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o400)
            with os.fdopen(descriptor, "wb") as file:
                file.write(value.reveal().encode("utf-8", "surrogateescape"))
            own(path, self.uid)

    def write(self, directory: Path, path: str, content: str) -> None:
        """A file of ours in a tree in which nothing of the tenant has run yet; links on the way are replaced."""
        current = directory
        for part in path.split("/")[:-1]:
            current = current / part
            if current.is_symlink() or current.is_file():
                current.unlink()
            if not current.exists():
                make_owned(current, self.uid)
        target = directory / path
        remove_tree(target)
        target.write_text(content)
        own(target, self.uid)
