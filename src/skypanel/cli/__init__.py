import sys

# httpx has a command line of its own, which loads rich and pygments; it does without where that cannot be imported.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
