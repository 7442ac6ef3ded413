"""Bodies that change an application."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from skypanel.apps.rules import HealthCheck
from skypanel.http.schema import RequestBody

BuildpackField = Annotated[
    str | list[str] | None,
    Field(description='`"auto"`, a short name such as heroku/nodejs, a Git URL, or a list of the latter two in order'),
]


class HealthCheckFields(RequestBody):
    """What is left out keeps its value, or has its default in a new application."""

    type: Literal["http", "tcp"] | None = Field(default=None, description="New applications: http at /")
    path: str | None = Field(
        default=None, description="Asked by an http check; below 400 is healthy", examples=["/health"]
    )
    interval_s: int | None = Field(default=None, ge=1, le=3600)
    timeout_s: int | None = Field(default=None, ge=1, le=60)
    retries: int | None = Field(default=None, ge=1, le=20, description="Failures in a row until a replica is restarted")

    def over(self, base: HealthCheck) -> HealthCheck:
        """`base` with what is given here. A path alone asks for an http check."""
        kind = self.type or ("http" if self.path is not None else base.type)
        return HealthCheck(
            type=kind,
            path=base.path if self.path is None else self.path,
            interval_s=base.interval_s if self.interval_s is None else self.interval_s,
            timeout_s=base.timeout_s if self.timeout_s is None else self.timeout_s,
            retries=base.retries if self.retries is None else self.retries,
        )


class NewAppBody(RequestBody):
    name: str = Field(max_length=200, examples=["Shop"])
    git_url: str = Field(max_length=2000, examples=["https://github.com/heroku/python-getting-started"])
    slug: str | None = Field(default=None, max_length=80, description="Left out: made from the name")
    branch: str | None = Field(default=None, max_length=300, description="Left out: the repository's default branch")
    buildpack: BuildpackField = None
    plan: str | None = Field(default=None, max_length=80, description="Slug of a plan; left out: the first one")
    replicas: int = Field(default=1, ge=1, le=1000)
    health_check: HealthCheckFields | None = None


class AppChangesBody(RequestBody):
    """What is left out stays as it is. Code settings take effect with the next deploy."""

    name: str | None = Field(default=None, max_length=200)
    git_url: str | None = Field(default=None, max_length=2000)
    branch: str | None = Field(default=None, max_length=300, description="Empty: the repository's default branch")
    buildpack: BuildpackField = None
    plan: str | None = Field(default=None, max_length=80, description="Rolls running replicas")
    health_check: HealthCheckFields | None = None
    build_cache: bool | None = None
