"""`python -m skypanel.manage.launch NAME -- PROGRAM …`: what the process manager starts.

Notes the process's id, gives root away where the process does not need it, and becomes the program. The worker stays
root; the router's launcher too, until it starts Traefik as the unprivileged user. `PROGRAM` is an argument list;
settings come in the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from skypanel.instance import read_instance
from skypanel.manage.confine import CannotConfine, View, confine
from skypanel.manage.layout import SERVER_READS, SERVER_WRITES
from skypanel.manage.pids import write_pid

_BASIC = ("PATH", "LANG", "LANGUAGE", "LC_ALL", "TZ", "PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_CERTIFICATES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
_NOT_FOR_THE_SERVER = ("SKYPANEL_GIT_HTTPS_TOKEN", "SKYPANEL_GIT_HTTPS_TOKEN_FILE", "SKYPANEL_GIT_SSH_KEY_FILE")


def code_paths() -> list[Path]:
    """Everything this interpreter runs from: the virtual environment, the interpreter itself, the package."""
    package = Path(__file__).resolve().parents[2]
    paths = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable), package, *(Path(p) for p in sys.path if p)]
    return [path for path in paths if path.is_absolute() and path != Path("/")]


def server_view(data_dir: Path) -> View:
    """The code, and of the data directory just what the server reads and writes."""
    code = [path for path in code_paths() if path != data_dir and path not in data_dir.parents]
    certificates = [Path(os.environ[key]) for key in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(key)]
    return View(
        readable=[*code, *certificates, *(data_dir / part for part in SERVER_READS)],
        writable=[*(data_dir / part for part in SERVER_WRITES), *database_directory(data_dir)],
        covered=[data_dir],
    )


def database_directory(data_dir: Path) -> list[Path]:
    """Where an SQLite file lies that the operator put outside of the data directory."""
    url = os.environ.get("SKYPANEL_DATABASE_URL", "")
    if not url.startswith("sqlite:///"):
        return []
    directory = Path(url.removeprefix("sqlite:///")).absolute().parent
    return [] if directory == data_dir / "db" else [directory]


def environment_of(name: str) -> dict[str, str]:
    """The worker sees the operator's environment (builds get parts of it); the others only what they read."""
    if name == "worker":
        return trusted_certificates(os.environ, known=_CERTIFICATES) | dict(os.environ)
    kept = {key: os.environ[key] for key in _BASIC if key in os.environ}
    if name == "server":
        settings = {k: v for k, v in os.environ.items() if k.startswith("SKYPANEL_") and k not in _NOT_FOR_THE_SERVER}
        kept.update(settings)
    return kept | {"HOME": "/"}


def trusted_certificates(environment: Mapping[str, str], *, known: Sequence[Path]) -> dict[str, str]:
    """What makes builds trust what the machine trusts: uv and Node bring certificates of their own and know nothing of
    a company's authority that the operator installed in the system's bundle."""
    bundle = environment.get("SSL_CERT_FILE") or next((str(path) for path in known if path.is_file()), None)
    return {} if bundle is None else {"SSL_CERT_FILE": bundle, "NODE_EXTRA_CA_CERTS": bundle}


def main(arguments: list[str]) -> None:
    name, separator, program = arguments[0], arguments[1], arguments[2:]
    if separator != "--" or not program:
        raise SystemExit("usage: python -m skypanel.manage.launch NAME -- PROGRAM …")
    data_dir = Path(os.environ["SKYPANEL_DATA_DIR"])
    write_pid(data_dir / "supervise", name)
    environment = environment_of(name)
    instance = read_instance(data_dir)
    if name == "server" and instance is not None and instance.uid is not None and instance.gid is not None:
        try:
            confine(server_view(data_dir), uid=instance.uid, gid=instance.gid)
        except CannotConfine as error:
            raise SystemExit(f"skypanel {name} does not start: {error}") from error
    os.execve(program[0], program, environment)  # noqa: S606 - an argument list, without a shell on purpose


if __name__ == "__main__":
    main(sys.argv[1:])
