"""What HTTP faces share: services, session, viewer, problems, paging, idempotency.

A face needs four imports:

    from skypanel.http.context import ServicesDep          # values and ports the platform runs with
    from skypanel.http.session import ReadSession, WriteSession
    from skypanel.http.viewer import CurrentUser, CurrentViewer
    from skypanel.http.route import api_router             # APIRouter with problems, idempotency, documented errors
"""
