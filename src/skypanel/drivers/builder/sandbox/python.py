"""The built-in Python buildpack: requirements.txt, uv, Poetry and Pipenv, all installed with uv."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox import bytecode, pipenv, poetry
from skypanel.drivers.builder.sandbox.interpreters import Interpreter, choose_python
from skypanel.drivers.builder.sandbox.plans import Plan, layer_key
from skypanel.drivers.builder.sandbox.python_version import wanted_python
from skypanel.drivers.builder.sandbox.tree import SourceTree

VENV = "$SKYPANEL_VENV"
PROFILE = """\
export PATH="$HOME/.skypanel/venv/bin:$PATH"
export VIRTUAL_ENV="$HOME/.skypanel/venv"
export PYTHONUNBUFFERED=1
export PYTHONPATH="${PYTHONPATH:-$HOME}"
export LANG="${LANG:-C.UTF-8}"
export WEB_CONCURRENCY="${WEB_CONCURRENCY:-2}"
"""
# Blanks at a line's start, and not line ends too: those would be looked at again from each of them.
_REFERENCE = re.compile(r"^[^\S\n]*(?:-r|--requirement|-c|--constraint)[\s=]+(\S+)", re.MULTILINE)
_LOCAL = re.compile(
    r"^[^\S\n]*(?:(?:-e|--editable)[\s=]+)?(?:file:|\.{0,2}/|\.\s*(?:$|\[|#))|^[^\S\n]*(?:-e|--editable)[\s=]+(?!git\+|https?:)\S",
    re.M,
)


@dataclass(frozen=True)
class _Install:
    tool: str
    script: str
    inputs: Sequence[str]
    apart: bool = True  # can be installed from `inputs` alone, without the source


def plan(tree: SourceTree, *, env: Mapping[str, str], pythons: Sequence[Interpreter]) -> Plan:
    """Raises BuildFailed `dependency_failed` or `toolchain_missing`."""
    interpreter, notes = choose_python(pythons, wanted_python(tree))
    install = _install(tree)
    hooks = [path for path in ("bin/pre_compile", "bin/post_compile") if path in tree]
    script = (
        f"{_TOOLS}\n"
        f"uv venv --quiet --relocatable --allow-existing --python {shlex.quote(str(interpreter.path))} {VENV}\n"
        f"export PATH={VENV}/bin:$PATH VIRTUAL_ENV={VENV}\n"
        f'echo "-----> Installing with {install.tool}"\n{install.script}\n{_BYTECODE}'
    )
    build = _collectstatic(tree, env)
    key = None
    if install.apart and not hooks:
        contents = [(path, tree.bytes(path)) for path in install.inputs]
        key = layer_key("python", contents=contents, facts=[interpreter.shown, str(interpreter.path), script], env=env)
    if hooks:
        script = _hook(tree, "bin/pre_compile") + script
        build = build + _hook(tree, "bin/post_compile")
    processes, hint = default_processes(tree)
    return Plan(
        name=f"Python ({install.tool})",
        install=script,
        build=build,
        layer_key=key,
        layer_paths=(".skypanel/venv",),
        inputs=install.inputs,
        toolchains=() if interpreter.prefix is None else (interpreter.prefix,),
        processes=processes,
        profile=PROFILE,
        notes=[*notes, f"Python {interpreter.shown}"],
        hint=hint,
    )


_TOOLS = """\
export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_CACHE_DIR=$CACHE_DIR/uv UV_NO_PROGRESS=1
export UV_NO_CONFIG=${UV_NO_CONFIG:-} UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-}} PYTHONUNBUFFERED=1
[ -n "$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX
[ -n "$UV_NO_CONFIG" ] || unset UV_NO_CONFIG
[ -z "${PIP_EXTRA_INDEX_URL:-}" ] || export UV_INDEX="${UV_INDEX:-$PIP_EXTRA_INDEX_URL}"
"""
# Without the packages of the application in sight; a build does not fail for what only saves time.
_BYTECODE = f"""\
cat > $TMPDIR/bytecode.py <<'SKYPANEL_END'
{Path(bytecode.__file__).read_text()}
SKYPANEL_END
{VENV}/bin/python -I -S -W ignore $TMPDIR/bytecode.py {VENV}/lib/python*/site-packages $CACHE_DIR/bytecode || true
"""


def _hook(tree: SourceTree, path: str) -> str:
    if path not in tree:
        return ""
    return f'echo "-----> Running {path}"\nchmod +x {path}; ./{path}\n'


def _install(tree: SourceTree) -> _Install:
    """Where several are there, the order is Heroku's: Pipfile.lock, requirements.txt, poetry.lock, uv.lock."""
    if "Pipfile.lock" in tree or ("Pipfile" in tree and "requirements.txt" not in tree):
        path = "Pipfile.lock" if "Pipfile.lock" in tree else "Pipfile"
        requirements = (
            pipenv.from_lock(tree.json(path)) if path.endswith("lock") else pipenv.from_pipfile(tree.toml(path))
        )
        flags = " --no-deps" if path.endswith("lock") else ""
        apart = not _LOCAL.search(requirements)
        return _Install("Pipenv", _uv_install(requirements, flags), (path,), apart)
    if "requirements.txt" in tree:
        inputs, apart = _closure(tree)
        return _Install("pip", "uv pip install --requirements requirements.txt", inputs, apart)
    project = tree.toml("pyproject.toml") if "pyproject.toml" in tree else {}
    if "poetry.lock" in tree:
        return _poetry(tree, project)
    if "uv.lock" in tree:
        tool = project.get("tool", {}).get("uv", {})
        apart = (
            "build-system" not in project
            and not tool.get("package")
            and not tool.get("workspace")
            and not tool.get("sources")
        )
        script = f"export UV_PROJECT_ENVIRONMENT={VENV}\nuv sync --locked --no-default-groups"
        return _Install("uv", script, ("pyproject.toml", "uv.lock"), apart)
    if project:
        return _Install(
            "pyproject.toml",
            "uv pip install --requirements pyproject.toml",
            ("pyproject.toml",),
            "sources" not in str(project.get("tool", {})),
        )
    return _Install("setup.py", "uv pip install --editable .", (), apart=False)


def _poetry(tree: SourceTree, project: Mapping[str, Any]) -> _Install:
    requirements = poetry.requirements(tree.toml("poetry.lock"), project)
    script, apart = _uv_install(requirements, " --no-deps"), not _LOCAL.search(requirements)
    if "build-system" in project and tree.has_directory("src"):
        script, apart = f"{script}\nuv pip install --no-deps --editable .", False
    return _Install("Poetry", script, ("pyproject.toml", "poetry.lock"), apart)


def _uv_install(requirements: str, flags: str) -> str:
    path = "$TMPDIR/requirements.txt"
    return f"cat > {path} <<'SKYPANEL_END'\n{requirements}\nSKYPANEL_END\nuv pip install{flags} --requirements {path}"


def _closure(tree: SourceTree) -> tuple[Sequence[str], bool]:
    """requirements.txt and the files it includes; and whether they need nothing else of the source."""
    todo, seen, apart = ["requirements.txt"], dict.fromkeys(["requirements.txt"]), True
    while todo:
        path = todo.pop()
        text = tree.text(path)
        if text is None:
            raise BuildFailed(
                "dependency_failed", f"requirements.txt includes {path}, which is not in the repository: add it."
            )
        apart = apart and _LOCAL.search(re.sub(r"^[^\S\n]*-[rc].*$", "", text, flags=re.M)) is None
        base = path.rpartition("/")[0]
        for reference in _REFERENCE.findall(text):
            if reference.startswith(("http:", "https:")):
                apart = False
                continue
            name = _normal(f"{base}/{reference}" if base else reference)
            if name not in seen:
                seen[name] = None
                todo.append(name)
    return tuple(seen), apart


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _collectstatic(tree: SourceTree, env: Mapping[str, str]) -> str:
    manage = _manage(tree)
    if manage is None or not _mentions(tree, "django") or env.get("DISABLE_COLLECTSTATIC", "0") not in ("", "0"):
        return ""
    return (
        f'echo "-----> python {manage} collectstatic --noinput"\n'
        f"python {shlex.quote(manage)} collectstatic --noinput --verbosity 1 || {{ "
        'echo " !     collectstatic failed. Set STATIC_ROOT and what settings.py needs, or DISABLE_COLLECTSTATIC=1."; '
        'echo "collectstatic" > $OUT_DIR/failed; exit 1; }\n'
    )


def _manage(tree: SourceTree) -> str | None:
    found = [
        path
        for path in tree.paths
        if path.endswith("manage.py") and path.count("/") <= 2 and path.rpartition("/")[2] == "manage.py"
    ]
    return min(found, key=lambda path: (path.count("/"), path), default=None)


def _mentions(tree: SourceTree, package: str) -> bool:
    pattern = re.compile(rf"(?im)(^|[\s\"'\[]){re.escape(package)}($|[\s\"'=<>~!\[;,])")
    files = [
        "Pipfile",
        "pyproject.toml",
        *(path for path in tree.paths if path.endswith(".txt") and "requirements" in path),
    ]
    return any(pattern.search(tree.text(path) or "") for path in files)


def default_processes(tree: SourceTree) -> tuple[dict[str, str], str]:
    """What runs without a Procfile, where it can be guessed; else how to say it."""
    gunicorn = _mentions(tree, "gunicorn")
    manage = _manage(tree)
    if manage is not None and _mentions(tree, "django"):
        below = manage.rpartition("/")[0]
        modules = sorted(
            path for path in tree.paths if re.fullmatch(rf"{re.escape(below + '/' if below else '')}\w+/wsgi\.py", path)
        )
        if modules and gunicorn:
            module = modules[0][len(below) + 1 if below else 0 :].removesuffix(".py").replace("/", ".")
            chdir = f" --chdir {below}" if below else ""
            return {"web": f"gunicorn{chdir} --bind 0.0.0.0:$PORT {module}"}, ""
        return (
            {},
            "This is a Django app: add gunicorn to its requirements, and a Procfile: `web: gunicorn mysite.wsgi`.",
        )
    for path in ("app.py", "main.py", "wsgi.py", "application.py"):
        text = tree.text(path) or ""
        name = re.search(r"^(\w+)(?:[^\S\n]*:[^=\n]+)?[^\S\n]*=\s*(?:flask\.)?Flask\(|^(application)\s*=", text, re.M)
        if name and gunicorn:
            module = path.removesuffix(".py")
            return {"web": f"gunicorn --bind 0.0.0.0:$PORT {module}:{name[1] or name[2]}"}, ""
    asgi = _asgi(tree)
    if asgi is not None:
        command = f"uvicorn --host 0.0.0.0 --port $PORT {asgi}"
        if _has_uvicorn(tree):
            return {"web": command}, ""
        return {}, f"Add uvicorn to the requirements, and a Procfile with the line `web: {command}`."
    return {}, "Add a Procfile with a line such as `web: gunicorn app:app` (and gunicorn to the requirements)."


def _asgi(tree: SourceTree) -> str | None:
    """`module:name` of a FastAPI or Starlette application, where `fastapi run` looks for one, and in server.py."""
    for path in (f"{directory}{name}.py" for directory in ("", "app/") for name in ("main", "app", "api", "server")):
        name = re.search(
            r"^(\w+)(?:[^\S\n]*:[^=\n]+)?[^\S\n]*=\s*(?:\w+\.)?(?:FastAPI|Starlette)\(",
            tree.text(path) or "",
            re.MULTILINE,
        )
        if name:
            return f"{path.removesuffix('.py').replace('/', '.')}:{name[1]}"
    return None


def _has_uvicorn(tree: SourceTree) -> bool:
    """Named itself, brought by an extra of FastAPI, or locked."""
    locked = any(re.search(r'(?m)^name = "uvicorn"$', tree.text(lock) or "") for lock in ("uv.lock", "poetry.lock"))
    return locked or any(_mentions(tree, name) for name in ("uvicorn", "fastapi[all]", "fastapi[standard]"))
