"""Keys of the payment provider in a cluster: files of who needs them, in nobody's environment."""

from __future__ import annotations

from pathlib import Path

from skypanel.instance import Instance
from skypanel.manage.cluster import stack
from skypanel.manage.cluster.init import Options, choices_of
from skypanel.settings import Settings


def test_servers_and_workers_get_them_as_secrets_and_nobody_as_variables(tmp_path: Path) -> None:
    (tmp_path / "webhook").write_text("whsec_1\n")
    settings = Settings(
        data_dir=tmp_path, topup_min="10", stripe_secret_key="sk_live_1",
        stripe_webhook_secret_file=tmp_path / "webhook",
    )  # fmt: skip
    instance = Instance("i", 64_009, 64_009, "", 1)
    choices = choices_of(settings, instance, Options(), subnet="10.0.0.0/24")
    server, worker = stack.server_part(choices), stack.worker_part(choices)
    for part in (server, worker):
        assert {file.name: file.content for file in part.files} == {
            "stripe_secret_key_file": b"sk_live_1", "stripe_webhook_secret_file": b"whsec_1",
        }  # fmt: skip
        assert part.env["SKYPANEL_STRIPE_SECRET_KEY_FILE"] == "/run/secrets/stripe_secret_key_file"
    assert {file.owner for file in server.files} == {64_009}
    for part in (server, worker, stack.migrate_part(choices), stack.agent_part(choices, b"")):
        assert "sk_live_1" not in str(part.env)
        assert part.env["SKYPANEL_TOPUP_MIN"] == "10"
    assert stack.agent_part(choices, b"").env.keys().isdisjoint({"SKYPANEL_STRIPE_SECRET_KEY_FILE"})
