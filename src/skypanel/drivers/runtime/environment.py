"""The variables of a container with a root of its own."""

from __future__ import annotations

from skypanel.drivers.runtime.port import APP_DIR, DEFAULT_PORT, ContainerSpec
from skypanel.kit.secret import Secret

PATH = "/usr/local/bin:/usr/bin:/bin"


def environment(spec: ContainerSpec) -> dict[str, str]:
    """Secrets unwrapped; the port is the runtime's own choice."""
    given = {name: value.reveal() if isinstance(value, Secret) else value for name, value in spec.env.items()}
    merged = {"PATH": PATH, "HOME": APP_DIR, "LANG": "C.UTF-8", **given}
    if spec.port:
        merged["PORT"] = str(DEFAULT_PORT)
    return merged
