"""`skypanel cluster images`: the platform's images from Debian's and PyPI's packages, in this machine's engine.

One root file system of Debian packages is the stack's image; the others are made on top of it by the engine.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uv

import skypanel
from skypanel.drivers import shell
from skypanel.drivers.engine.client import EngineClient
from skypanel.manage.cluster.swarm import Swarm, raise_for_errors
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings

Say = Callable[[str], None]
PYTHON, GLIBC = "3.11", "manylinux_2_36"  # of the suite: wheels are chosen for them, whatever this machine has
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


@dataclass(frozen=True)
class Names:
    """Of the images, as `cluster init` asks the engine for them."""

    stack: str
    platform: str
    postgres: str
    registry: str

    @staticmethod
    def of(settings: Settings) -> Names:
        """Raises CannotStart for one that cannot be given to an image."""
        names = Names(settings.stack_image, settings.platform_image, settings.postgres_image, settings.registry_image)
        for name, image in vars(names).items():
            if "@" in image:
                raise CannotStart(
                    f"{image} names one image by its digest, which no other can get: set SKYPANEL_{name.upper()}_IMAGE "
                    "to a name with a tag."
                )
        return names


def make_images(settings: Settings, say: Say, *, platform_only: bool) -> None:
    """All of them, or the platform's alone, on the stack that is there. Raises CannotStart."""
    names = Names.of(settings)
    if not platform_only:
        _check()
    with EngineClient(settings.docker_socket, timeout_s=60) as engine, _large_scratch() as scratch:
        Swarm(engine).state()
        try:
            if platform_only:
                Swarm(engine).ensure_image(names.stack, remedy="Without --platform-only it is made too.")
            else:
                say(f"Packages of Debian {SUITE}, from {MIRROR}: some minutes, and 2 GB in {scratch} meanwhile")
                archives = scratch / "stack.tar", scratch / "services.tar"
                root_archives(*archives)
                build_foundations(engine, names, *archives, say=say)
            say("Python packages in the versions that are installed here")
            install_packages(scratch / "packages")
            build_platform(engine, names, scratch / "packages", say=say)
        except shell.CommandFailed as error:
            raise CannotStart(" ".join(str(error).split())) from error
    say("The images are in this machine's engine; now: skypanel cluster init")


def _check() -> None:
    if os.geteuid() != 0:
        raise CannotStart("Images are made as root: debootstrap unpacks Debian's packages with their owners.")
    if shutil.which("debootstrap") is None:
        raise CannotStart("Images are made of Debian's packages by debootstrap: apt-get install debootstrap.")


@contextmanager
def _large_scratch() -> Iterator[Path]:
    """Not in /tmp, which may be memory."""
    with tempfile.TemporaryDirectory(prefix="skypanel-images-", dir="/var/tmp") as scratch:
        yield Path(scratch)


def install_packages(target: Path) -> None:
    """The platform's code as it runs here and its dependencies in the same versions, for the Python of the images."""
    wanted = [each for each in importlib.metadata.requires("skypanel") or () if "extra ==" not in each]
    found = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    with tempfile.TemporaryDirectory() as scratch:
        same = Path(scratch) / "constraints.txt"
        pins = [f"{name}=={version}\n" for name, version in sorted(found.items()) if name != "skypanel"]
        same.write_text("".join(pins))
        shell.run(
            [uv.find_uv_bin(), "pip", "install", "-q", "--python", sys.executable, "--python-version", PYTHON,
             "--python-platform", f"{platform.machine()}-{GLIBC}", "--target", target, "-c", same, *wanted],
            timeout_s=900,
        )  # fmt: skip
    code = Path(str(skypanel.__file__)).parent
    shutil.copytree(code, target / "skypanel", ignore=shutil.ignore_patterns("__pycache__"))


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
    repository, tag = _parts(name)
    said = engine.upload("/images/create", _chunks(archive), fromSrc="-", repo=repository, tag=tag)
    raise_for_errors(said.decode(), f"{name} cannot be made")


def _parts(image: str) -> tuple[str, str]:
    """Repository and tag; a registry's port is neither."""
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")


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


def build_foundations(engine: EngineClient, names: Names, stack: Path, services: Path, *, say: Say) -> None:
    """Of the two archives: what everything else stands on."""
    import_root(engine, stack, names.stack)
    say(f"{names.stack}: made")
    base = f"{_parts(names.stack)[0]}-services:latest"
    import_root(engine, services, base)
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch)
        (files / "postgres-start").write_text(POSTGRES_START)
        path = "PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        build(
            engine, names.postgres,
            f"FROM {base}\nENV {path}\nCOPY postgres-start /\nENTRYPOINT [\"bash\", \"/postgres-start\"]\n", files,
        )  # fmt: skip
        say(f"{names.postgres}: made")
        build(engine, names.registry, f'FROM {base}\nENTRYPOINT ["docker-registry"]\n', files)
        say(f"{names.registry}: made")


def build_platform(engine: EngineClient, names: Names, packages: Path, *, say: Say) -> None:
    """On the stack. `packages`: a directory of installed Python packages, ours among them."""
    dependencies = f"{_parts(names.platform)[0]}-dependencies:latest"  # changes less often than the platform
    with tempfile.TemporaryDirectory(dir=packages.parent) as scratch:
        ours = packages / "skypanel"
        shutil.copytree(ours, Path(scratch) / "skypanel", ignore=shutil.ignore_patterns("__pycache__"))
        build(
            engine, dependencies,
            f"FROM {names.stack}\nENV PYTHONPATH=/opt/skypanel PATH=/opt/skypanel/bin:$PATH\nCOPY . /opt/skypanel/\n",
            packages,
            without="./skypanel",
        )  # fmt: skip
        build(engine, names.platform, f"FROM {dependencies}\nCOPY skypanel /opt/skypanel/skypanel\n", Path(scratch))
    say(f"{names.platform}: made")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            yield data
