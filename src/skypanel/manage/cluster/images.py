"""The platform's images from Debian's and PyPI's packages: for tests, and for mirrors where none can be pulled.

One root file system of Debian packages is the stack's image; the others are made on top of it by the engine.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skypanel.drivers import shell
from skypanel.drivers.engine.client import EngineClient
from skypanel.manage.cluster.swarm import raise_for_errors

SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
STACK = (
    "bash", "python3", "ca-certificates", "git", "openssh-client", "iproute2", "nftables", "util-linux",
)  # fmt: skip
SERVICES = ("docker-registry", "postgresql")
TRIMMED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

POSTGRES_START = """\
#!/bin/bash
# The conventions of the well-known image: POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD_FILE, PGDATA.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
mkdir -p "$PGDATA" && chown -R postgres: "$PGDATA" && chmod 700 "$PGDATA"
mkdir -p /run/postgresql && chown postgres: /run/postgresql
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  cp "$POSTGRES_PASSWORD_FILE" /run/postgresql/pw && chown postgres: /run/postgresql/pw
  as "$bin/initdb" -D "$PGDATA" -U "$POSTGRES_USER" --pwfile=/run/postgresql/pw -A scram-sha-256 -E UTF8 --locale=C
  rm /run/postgresql/pw
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  sed -i 's/^local .*/local all all trust/' "$PGDATA/pg_hba.conf"
  as "$bin/pg_ctl" -D "$PGDATA" -w -o '-c listen_addresses= -c unix_socket_directories=/run/postgresql' start
  as "$bin/createdb" -h /run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
  as "$bin/pg_ctl" -D "$PGDATA" -w stop
fi
exec setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" -D "$PGDATA" -c listen_addresses='*' \\
  -c unix_socket_directories=/run/postgresql
"""


def root_archives(stack: Path, services: Path) -> None:
    """Two tar archives of Debian's packages, some minutes of work: the stack, and with PostgreSQL and a registry."""
    work = Path(tempfile.mkdtemp(prefix="stack-", dir=stack.parent))
    try:
        root = work / "root"
        shell.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(STACK)}", SUITE, root, MIRROR], timeout_s=1800
        )
        if BUNDLE.exists():  # authorities that the operator added to this machine count in builds too
            shutil.copyfile(BUNDLE, root / BUNDLE.relative_to("/"))
        _archive(root, stack, work)
        (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (root / "usr/sbin/policy-rc.d").chmod(0o755)
        environment = {"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        for command in (["update"], ["install", "-y", "-q", "--no-install-recommends", *SERVICES]):
            shell.run(["chroot", root, "apt-get", *command], env=environment, timeout_s=900)
        _archive(root, services, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _archive(root: Path, to: Path, work: Path) -> None:
    draft = work / "root.tar"
    left_out = [f"--exclude=./{part}" for part in ("dev/*", *(f"{part}/*" for part in TRIMMED))]
    shell.run(["tar", "-C", root, *left_out, "-cf", draft, "."], timeout_s=600)
    draft.replace(to)


def import_root(engine: EngineClient, archive: Path, name: str) -> None:
    repository, _, tag = name.rpartition(":")
    engine.upload("/images/create", _chunks(archive), fromSrc="-", repo=repository, tag=tag)


def build(engine: EngineClient, name: str, dockerfile: str, files: Path, *, without: str = "./.git") -> None:
    """`files`: the directory that the Dockerfile copies from, but for `without`."""
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch) / "context.tar"
        (Path(scratch) / "Dockerfile").write_text(dockerfile)
        shell.run(
            ["tar", "-cf", context, "-C", scratch, "Dockerfile", "-C", files, f"--exclude={without}", "."],
            timeout_s=600,
        )
        raise_for_errors(engine.upload("/build", _chunks(context), t=name).decode(), f"{name} cannot be built")


def build_all(
    engine: EngineClient, *, stack: str, services: str, platform: str, postgres: str, registry: str, packages: Path
) -> None:
    """From the images of the two archives. `packages`: a directory of installed Python packages, ours among them."""
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch)
        (files / "postgres-start").write_text(POSTGRES_START)
        path = "PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        build(
            engine, postgres,
            f"FROM {services}\nENV {path}\nCOPY postgres-start /\nENTRYPOINT [\"bash\", \"/postgres-start\"]\n", files,
        )  # fmt: skip
        build(engine, registry, f'FROM {services}\nENTRYPOINT ["docker-registry"]\n', files)
    dependencies = f"{platform.partition(':')[0]}-dependencies:latest"  # changes less often than the platform
    with tempfile.TemporaryDirectory(dir=packages.parent) as scratch:
        ours = packages / "skypanel"
        shutil.copytree(ours, Path(scratch) / "skypanel", ignore=shutil.ignore_patterns("__pycache__"))
        build(
            engine, dependencies,
            f"FROM {stack}\nENV PYTHONPATH=/opt/skypanel PATH=/opt/skypanel/bin:$PATH\nCOPY . /opt/skypanel/\n",
            packages,
            without="./skypanel",
        )  # fmt: skip
        build(engine, platform, f"FROM {dependencies}\nCOPY skypanel /opt/skypanel/skypanel\n", Path(scratch))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            yield data
