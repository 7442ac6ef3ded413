"""Runs inside a build, by the application's own Python (3.8 and newer, standard library only): bytecode for all that
was installed, compiled once per package and kept in the build cache.

    python bytecode.py SITE_PACKAGES CACHE

A package is named by a hash of its RECORD, which has the hash of each of its files, so that one new dependency costs
its own compilation only. What is kept is code alone; the header, which ties bytecode to its source by time and size, is
written for the files that are there. Bytecode only saves time: whatever goes wrong leaves a package without it.
"""

import csv
import hashlib
import marshal
import os
import struct
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source


def sources(record: str) -> "list[str]":
    """Names of a RECORD's modules, none outside of site-packages."""
    with open(record, encoding="utf-8", newline="") as file:
        names = [row[0] for row in csv.reader(file) if row]
    return [name for name in names if name.endswith(".py") and not name.startswith("/") and ".." not in name.split("/")]


def compiled(site: str, names: "list[str]") -> "dict[str, bytes]":
    """Without those that do not compile, as templates in packages do."""
    found = {}
    for name in names:
        path = os.path.join(site, name)
        try:
            with open(path, "rb") as file:
                found[name] = marshal.dumps(compile(file.read(), path, "exec", dont_inherit=True))
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
    return found


def write(site: str, code: "dict[str, bytes]") -> None:
    for name, content in code.items():
        path = os.path.join(site, name)
        if not os.path.isfile(path):
            continue
        status = os.stat(path)
        target = cache_from_source(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        mask = 0xFFFFFFFF
        with open(target, "wb") as file:
            file.write(MAGIC_NUMBER + struct.pack("<III", 0, int(status.st_mtime) & mask, status.st_size & mask))
            file.write(content)


def kept(path: str) -> "dict[str, bytes] | None":
    try:
        with open(path, "rb") as file:
            found = marshal.load(file)  # noqa: S302 - this application's own cache, in its own sandbox
    except (OSError, EOFError, ValueError, TypeError):
        return None
    whole = isinstance(found, dict) and all(type(n) is str and type(code) is bytes for n, code in found.items())
    return found if whole else None


def one(site: str, record: str, path: str) -> None:
    code = compiled(site, sources(record))
    write(site, code)
    draft = f"{path}.{os.getpid()}"
    with open(draft, "wb") as file:
        marshal.dump(code, file)
    os.replace(draft, path)


def main(site: str, cache: str) -> None:
    os.makedirs(cache, exist_ok=True)
    missing, used = [], set()
    for entry in sorted(os.listdir(site)):
        record = os.path.join(site, entry, "RECORD")
        if not entry.endswith(".dist-info") or not os.path.isfile(record):
            continue
        with open(record, "rb") as file:
            name = hashlib.sha256(MAGIC_NUMBER + file.read()).hexdigest()
        used.add(name)
        path = os.path.join(cache, name)
        code = kept(path)
        if code is None:
            missing.append((record, path))
        else:
            write(site, code)
    for name in set(os.listdir(cache)) - used:
        os.unlink(os.path.join(cache, name))
    # The largest first, and always the next one to whoever is free.
    missing.sort(key=lambda found: os.path.getsize(found[0]), reverse=True)
    running: set[int] = set()
    for record, path in missing:
        if len(running) >= (os.cpu_count() or 1):
            running.discard(os.wait()[0])
        child = os.fork()
        if child == 0:
            try:
                one(site, record, path)
            finally:
                os._exit(0)
        running.add(child)
    while running:
        running.discard(os.wait()[0])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
