"""What a container sees beside /app: the machine's own /usr, read-only, and a small /etc of ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from skypanel.drivers.runtime.oci.places import Places

MOUNT_POINTS = ("app", "dev", "etc", "proc", "run", "sys", "tmp", "usr", "var/tmp")
LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
# What programs under /usr expect in /etc. Nothing here is secret: all of it is world-readable on every distribution.
SHARED_ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "fonts", "gai.conf",
    "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "magic", "mime.types", "perl", "php", "pki/ca-trust", "pki/tls/certs", "protocols", "python3", "python3.11",
    "services", "ssl/certs", "ssl/openssl.cnf", "timezone",
)  # fmt: skip
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"


def prepare_rootfs(places: Places) -> None:
    for point in MOUNT_POINTS:
        (places.rootfs / point).mkdir(parents=True, exist_ok=True)
    # runc gives a tmpfs the mode of the directory that it covers, whatever its options say.
    (places.rootfs / "tmp").chmod(0o1777)
    for name in LINKS:
        host, ours = Path("/") / name, places.rootfs / name
        if host.is_symlink() and not ours.is_symlink():
            ours.symlink_to(str(host.readlink()).lstrip("/"))


def unmerged_directories() -> list[Path]:
    """Directories such as /lib that are no links into /usr on this (older) system and have to be bound as well."""
    return [path for name in LINKS if (path := Path("/") / name).is_dir() and not path.is_symlink()]


def prepare_etc(
    places: Places, *, resolvers: Sequence[IPv4Address], ca_bundle: Path | None, mirror: bool = True
) -> None:
    """`mirror`: copies what changed in the machine's /etc; the copy is what all containers share."""
    for name in SHARED_ETC if mirror else ():
        source = Path("/etc") / name
        if source.exists():
            _mirror(source, places.etc / name)
    _write(places.etc / "nsswitch.conf", NSSWITCH)
    _write(places.etc / "resolv.conf", "".join(f"nameserver {address}\n" for address in resolvers))
    _write(places.etc / "profile", "")
    if ca_bundle is not None and ca_bundle.is_file():
        _write(places.etc / "ssl/certs/ca-certificates.crt", ca_bundle.read_text())


def write_etc(directory: Path, *, uid: int, hostname: str, address: IPv4Address) -> None:
    """The files of /etc that belong to one container, laid over the shared ones."""
    directory.mkdir(mode=0o755)
    (directory / "passwd").write_text(
        f"root:x:0:0:root:/:/usr/sbin/nologin\napp:x:{uid}:{uid}:app:/app:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
    )
    (directory / "group").write_text(f"root:x:0:\napp:x:{uid}:\nnogroup:x:65534:\n")
    (directory / "hosts").write_text(f"127.0.0.1\tlocalhost\n{address}\t{hostname}\n")
    (directory / "hostname").write_text(f"{hostname}\n")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_symlink() and file.exists() and file.read_text() == text:
        return
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(text)
    draft.rename(file)


def _mirror(source: Path, target: Path) -> None:
    """Makes `target` the same as `source`, entry by entry; links stay links, unreadable and special files are left."""
    if source.is_symlink() and not _points_outside_etc(source):
        link = source.readlink()
        if not (target.is_symlink() and target.readlink() == link):
            _remove(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(link)
    elif source.is_dir():
        if target.is_symlink() or target.is_file():
            _remove(target)
        target.mkdir(parents=True, exist_ok=True)
        names = {child.name for child in source.iterdir()}
        for child in _children(target):
            if child.name not in names:
                _remove(child)
        for child in source.iterdir():
            _mirror(child, target / child.name)
    elif source.is_file() and source.stat().st_mode & 0o004:
        status = source.stat()
        if target.is_symlink() or not target.is_file() or _differs(target, status):
            _remove(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _points_outside_etc(source: Path) -> bool:
    """Links to /usr work inside as they are; those to anywhere else (/var, /run, /nix) have to become copies."""
    real = source.resolve()
    return not (real.is_relative_to("/usr") or real.is_relative_to("/etc"))


def _differs(target: Path, status: os.stat_result) -> bool:
    ours = target.stat()
    return ours.st_size != status.st_size or int(ours.st_mtime) != int(status.st_mtime)


def _children(directory: Path) -> Iterator[Path]:
    return iter(list(directory.iterdir()))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
