"""The built-in buildpacks without a compiler: a static site, and a Procfile that knows what it does."""

from __future__ import annotations

from importlib import resources

from skypanel.drivers.builder.sandbox.plans import Plan
from skypanel.drivers.builder.sandbox.tree import SourceTree

SERVER = ".skypanel/static_server.py"


def plan(tree: SourceTree) -> Plan:
    root = _root(tree)
    server = resources.files(__package__).joinpath("static_server.py").read_text()
    fallback = _fallback(tree)
    return Plan(
        name="Static site",
        files={SERVER: server},
        processes={"web": f'python3 -I "$HOME/{SERVER}" {root}{fallback}'},
        notes=[f"Files of {'the repository' if root == '.' else root + '/'} are served"],
    )


def procfile_plan() -> Plan:
    return Plan(
        name="Procfile", notes=["Nothing is compiled"], hint="Add a line such as `web: ./server` to the Procfile."
    )


def _root(tree: SourceTree) -> str:
    """`root` of static.json (a plain directory name), else public/ or dist/ where they hold a page, else the top."""
    named = tree.json("static.json").get("root") if "static.json" in tree else None
    if isinstance(named, str):
        name = named.strip("/")
        if (
            name
            and not name.startswith((".", "-"))
            and name.replace("/", "").replace("-", "").replace("_", "").isalnum()
        ):
            return name
    if "index.html" in tree:
        return "."
    return next((name for name in ("public", "dist") if f"{name}/index.html" in tree), ".")


def _fallback(tree: SourceTree) -> str:
    """A single-page application: static.json routes everything to index.html."""
    routes = tree.json("static.json").get("routes") if "static.json" in tree else None
    return " --fallback" if isinstance(routes, dict) and routes.get("/**") == "index.html" else ""
