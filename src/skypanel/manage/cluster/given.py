"""Names of the settings that `cluster init` was given, so that one which is missing the next time is noticed.

`<data_dir>/cluster/settings-given.txt`: one name a line, never a value. Of a setting that has a form with `_FILE` the
plain name stands for both.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings

# Their defaults would lose data, visitors, money or who may come in. What only tunes may come and go.
KEPT = frozenset({
    "database_url", "http_port", "https_port", "default_domain", "dashboard_host", "public_scheme",
    "registry", "registry_user", "registry_password_file", "registry_ca_file", "registry_insecure",
    "stack_image", "platform_image", "postgres_image", "registry_image", "swarm_address_pool",
    "git_https_token", "git_ssh_key_file", "git_credential_hosts", "git_allowed_private_hosts",
    "egress_allowed_private", "registration", "currency", "billing",
    "stripe_secret_key", "stripe_webhook_secret", "mail_url", "mail_from",
})  # fmt: skip


def refuse_missing(settings: Settings, *, forget: Collection[str]) -> None:
    """Raises CannotStart when what was given the last time is neither given now nor to be forgotten."""
    missing = sorted(_names_in(_file(settings)) - given(settings) - set(forget))
    if missing:
        flags = " ".join(f"--forget {name}" for name in missing)
        raise CannotStart(
            f"Given at the last `cluster init` and missing now: {', '.join(missing)}. Give it again (keep the settings "
            f"in a file), or go back to the default with {flags}."
        )


def remember(settings: Settings) -> None:
    _file(settings).write_text("".join(f"{name}\n" for name in sorted(given(settings))))


def given(settings: Settings) -> set[str]:
    """Names as in the environment, of what is set to something."""
    fields = {name for name in settings.model_fields_set if getattr(settings, name) not in (None, "", ())}
    return {f"SKYPANEL_{name.upper()}" for name in map(_plain, fields) if name in KEPT}


def _plain(field: str) -> str:
    plain = field.removesuffix("_file")
    return plain if plain in KEPT else field


def _file(settings: Settings) -> Path:
    return settings.data_dir / "cluster" / "settings-given.txt"


def _names_in(file: Path) -> set[str]:
    """None of a cluster that was made before names were kept."""
    return set(file.read_text().split()) if file.exists() else set()
