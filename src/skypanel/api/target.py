"""The application a route is about: found for the viewer first (404), then his permission (403)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Path

from skypanel.apps.models import App
from skypanel.apps.queries import get_app
from skypanel.http.session import DbSession
from skypanel.http.viewer import CurrentViewer
from skypanel.orgs.access import Permission, require

AppId = Annotated[str, Path(description="Id or slug of the application", max_length=80)]
Version = Annotated[int, Path(description="Version of the deployment", ge=1, le=2**31 - 1)]


def _app_for(permission: Permission) -> Callable[..., App]:
    def find(id: AppId, session: DbSession, viewer: CurrentViewer) -> App:
        app = get_app(session, viewer, id)
        require(viewer, permission)
        return app

    return find


ViewedApp = Annotated[App, Depends(_app_for(Permission.VIEW))]
DeployedApp = Annotated[App, Depends(_app_for(Permission.DEPLOY))]
ConfiguredApp = Annotated[App, Depends(_app_for(Permission.CONFIGURE))]
DeletedApp = Annotated[App, Depends(_app_for(Permission.DELETE_APP))]
