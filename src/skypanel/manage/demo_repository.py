"""The sample application as a Git repository that the platform itself serves, read-only, under /git."""

from __future__ import annotations

import os
from pathlib import Path

import skypanel
from skypanel.drivers.shell import run
from skypanel.instance import Instance

NAME = "flask-hello"
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "SkyPanel", "GIT_AUTHOR_EMAIL": "demo@skypanel.invalid",
    "GIT_COMMITTER_NAME": "SkyPanel", "GIT_COMMITTER_EMAIL": "demo@skypanel.invalid",
}  # fmt: skip


def sample_directory() -> Path:
    """`samples/flask-hello` of the checkout this runs from."""
    return Path(str(skypanel.__file__)).resolve().parents[2] / "samples" / NAME


def ensure_repository(directory: Path, *, sample: Path, instance: Instance) -> Path:
    """Makes `<directory>/flask-hello.git`, or adds a commit when the sample changed since. Raises CommandFailed."""
    repository = directory / f"{NAME}.git"
    environment = {**_ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory)}
    git = ["git", "-c", "safe.directory=*", "--git-dir", str(repository), "--work-tree", str(sample)]
    if not (repository / "HEAD").exists():
        run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repository], env=environment)
    run([*git, "add", "--all"], env=environment)
    if run([*git, "diff", "--cached", "--quiet"], env=environment, check=False).code != 0:
        run([*git, "commit", "--quiet", "--message", "The sample application"], env=environment)
    if instance.uid is not None and instance.gid is not None:  # Git reads only what belongs to its own user
        for path in (repository, *repository.rglob("*")):
            os.chown(path, instance.uid, instance.gid)
    return repository
