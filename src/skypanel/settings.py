"""Every setting of the platform, read once from the environment (`SKYPANEL_…`). Only `wiring`, `manage` and `server`
import this. Documented row by row in docs/reference/settings.md (a test compares)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from skypanel.kit.secret import Secret


def default_data_dir() -> Path:
    if sys.platform == "linux" and os.geteuid() == 0:
        return Path("/var/lib/skypanel")
    return Path.home() / ".local" / "share" / "skypanel"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SKYPANEL_", extra="ignore", arbitrary_types_allowed=True, frozen=True)

    data_dir: Path = Field(default_factory=default_data_dir, description="Where everything is kept")
    host: str = Field(default="127.0.0.1", description="Address the router listens on")
    http_port: int = Field(default=8080, ge=1, le=65535, description="The router's HTTP port")
    https_port: int = Field(default=8443, ge=1, le=65535, description="The router's HTTPS port")
    database_url: str | None = Field(
        default=None, description="postgresql://… or sqlite:///…; default: a file in the data directory"
    )
    runtime: Literal["auto", "oci", "process", "swarm"] = Field(default="auto", description="How applications run")
    default_domain: str = Field(default="apps.localhost", description="Applications answer at <subdomain>.<this>")
    dashboard_host: str = Field(default="localhost", description="Host name of the dashboard and the API")
    public_scheme: Literal["http", "https"] = Field(default="http", description="Scheme of printed URLs")

    git_allowed_private_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Git hosts on loopback or private addresses that may be fetched from, comma-separated"
    )
    git_https_token: str | None = Field(
        default=None, description="Token for private repositories over HTTPS", repr=False
    )
    git_https_token_file: Path | None = Field(default=None, description="Instead of the token, a file that holds it")
    git_ssh_key_file: Path | None = Field(default=None, description="SSH key for private repositories")
    git_credential_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("github.com",), description="Git hosts that get the token and the key, never over plain HTTP"
    )
    egress_allowed_private: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Private addresses or networks that containers may reach, comma-separated"
    )
    network_pool: str = Field(
        default="10.210.0.0/15", description="Pool the platform takes its /20 container network from"
    )

    docker_socket: Path = Field(default=Path("/var/run/docker.sock"), description="The Docker Engine's, for a cluster")
    node_name: str = Field(default="", description="Host name of this machine in the cluster; default: its own")
    swarm_address_pool: str = Field(
        default="10.64.0.0/10", description="Pool of a cluster's networks: one per organization"
    )
    swarm_network_bits: int = Field(
        default=24, ge=16, le=28, description="Size of each of them: 24 has some 250 replicas"
    )
    swarm_reserve_cpu_percent: int = Field(
        default=5, ge=0, le=100, description="Part of a replica's CPU limit that a machine must have free"
    )
    swarm_reserve_memory_percent: int = Field(
        default=25, ge=0, le=100, description="Part of a replica's memory limit that a machine must have free"
    )
    registry: str = Field(
        default="registry.skypanel.internal:5000", description="The cluster's image registry, as its machines name it"
    )
    registry_user: str = Field(default="skypanel", description="Who pushes and pulls there")
    registry_password_file: Path | None = Field(
        default=None, description="His password; default: in the keys directory"
    )
    registry_ca_file: Path | None = Field(
        default=None, description="Who signed the registry's certificate; default: in the keys directory"
    )
    registry_insecure: bool = Field(default=False, description="The registry speaks plain HTTP without a password")
    stack_image: str = Field(default="skypanel/stack:24", description="Builds and replicas of a cluster start from it")
    platform_image: str = Field(
        default="skypanel/platform:latest", description="Server, worker and router of a cluster"
    )
    postgres_image: str = Field(default="postgres:15", description="The database of a cluster without an external one")
    registry_image: str = Field(default="registry:2", description="The image registry of a cluster")
    control_plane: str = Field(
        default="skypanel-server:8000", description="Where a cluster's ingress nodes find the servers"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Networks of routers whose word on a client's address counts, comma-separated"
    )

    build_time_limit_s: int = Field(default=900, ge=10, description="Longest build, in seconds")
    build_memory_mb: int = Field(default=2048, ge=128, description="Memory of a build, in MB")
    build_disk_mb: int = Field(default=4096, ge=64, description="Disk of a build, in MB")
    build_log_limit_kb: int = Field(default=10_000, ge=16, description="Largest build log, in KB")
    slug_limit_mb: int = Field(default=1024, ge=1, description="Largest slug, in MB, compressed")
    build_concurrency: int = Field(default=2, ge=1, description="Builds at once on this machine")
    build_env_passthrough: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(
            "NODE_EXTRA_CA_CERTS",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "PIP_*",
            "UV_*",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "GIT_SSL_CAINFO",
            "NPM_CONFIG_*",
            "npm_config_*",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
        ),
        description="The platform's own environment variables that builds see (for registries behind a mirror)",
    )
    buildpack_cache_enabled: bool = Field(default=True, description="Keep caches between builds")
    buildpack_cache_ttl_hours: int = Field(default=24 * 14, ge=1, description="Unused build caches go after this long")
    buildpack_cache_max_size_mb: int = Field(default=2048, ge=16, description="Largest build cache of one application")

    keep_releases: int = Field(default=10, ge=2, description="Slugs kept per application for rollback")
    health_deadline_s: int = Field(default=60, ge=1, description="How long new replicas may take to become healthy")
    drain_timeout_s: int = Field(default=30, ge=0, description="How long old replicas may finish open requests")
    stop_grace_s: int = Field(default=10, ge=0, description="Time between SIGTERM and SIGKILL")
    release_command_timeout_s: int = Field(default=600, ge=1, description="Longest `release:` command")
    run_timeout_s: int = Field(default=3600, ge=1, description="Longest one-off command")

    log_retention_days: int = Field(default=7, ge=1, description="Log lines are kept this long")
    log_max_mb_per_app: int = Field(default=256, ge=1, description="Most log data of one application")
    log_max_mb: int = Field(default=10_240, ge=1, description="Most log data of all")

    max_apps_per_org: int = Field(default=10, ge=1, description="Applications an organization may have")
    max_deployments_per_hour: int = Field(
        default=0, ge=0, description="Deployments an application may ask for per hour; 0: no limit"
    )
    session_hours: int = Field(default=24, ge=1, description="A sign-in lasts this long")
    login_failures_per_quarter: int = Field(
        default=10, ge=1, description="Failed sign-ins per address and per account in 15 minutes"
    )
    registrations_per_quarter: int = Field(default=20, ge=1, description="Registrations per address in 15 minutes")
    registration: Literal["open", "invited"] = Field(default="open", description="Who may register")
    job_lease_s: float = Field(default=15.0, gt=0, description="A dead worker's jobs are taken over after this long")
    reconcile_interval_s: float = Field(
        default=30.0, gt=0, description="Desired and actual state are compared this often"
    )
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="Currency of prices (ISO 4217)")
    billing: bool = Field(default=True, description="New organizations pay for what they use from their wallets")
    signup_credit: str = Field(
        default="0", pattern=r"^[0-9]+(\.[0-9]{1,6})?$", description="What the wallet of somebody new begins with"
    )
    stripe_secret_key: str | None = Field(
        default=None, repr=False, description="Key of the Stripe account that takes cards; default: no top-up by card"
    )
    stripe_secret_key_file: Path | None = Field(default=None, description="Instead of the key, a file that holds it")
    stripe_webhook_secret: str | None = Field(
        default=None, repr=False, description="Signing secret (whsec_…) of the webhook at /api/hooks/stripe"
    )
    stripe_webhook_secret_file: Path | None = Field(
        default=None, description="Instead of the secret, a file that holds it"
    )
    stripe_api: str = Field(
        default="https://api.stripe.com", pattern=r"^https?://", description="Where Stripe answers; for tests"
    )
    topup_min: str = Field(default="5", pattern=r"^[0-9]+(\.[0-9]{1,6})?$", description="Least that a card tops up")
    topup_max: str = Field(default="5000", pattern=r"^[0-9]+(\.[0-9]{1,6})?$", description="Most that a card tops up")
    mail_url: str | None = Field(
        default=None, repr=False, description="smtp://user:password@host:587 or smtps://…:465; default: no mail is sent"
    )
    mail_url_file: Path | None = Field(default=None, description="Instead of the URL, a file that holds it")
    mail_from: str = Field(default="skypanel@localhost", description="Sender of mail")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Of the platform's own log"
    )

    @field_validator(
        "git_allowed_private_hosts",
        "git_credential_hosts",
        "egress_allowed_private",
        "build_env_passthrough",
        "trusted_proxies",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def token(self) -> Secret | None:
        if self.git_https_token:
            return Secret(self.git_https_token)
        return Secret(self.git_https_token_file.read_text().strip()) if self.git_https_token_file else None

    @property
    def stripe_key(self) -> Secret | None:
        return _secret(self.stripe_secret_key, self.stripe_secret_key_file)

    @property
    def stripe_webhook(self) -> Secret | None:
        return _secret(self.stripe_webhook_secret, self.stripe_webhook_secret_file)

    @property
    def mail(self) -> Secret | None:
        if self.mail_url:
            return Secret(self.mail_url)
        return Secret(self.mail_url_file.read_text().strip()) if self.mail_url_file else None

    @property
    def effective_database_url(self) -> str:
        """Of a cluster it is kept among the keys, since an environment is seen by whoever inspects a container."""
        kept = self.data_dir / "keys" / "database.url"
        if self.database_url is None and kept.exists():
            return kept.read_text().strip()
        return self.database_url or f"sqlite:///{self.data_dir / 'db' / 'skypanel.db'}"


def _secret(value: str | None, file: Path | None) -> Secret | None:
    if value:
        return Secret(value)
    return Secret(file.read_text().strip()) if file else None
