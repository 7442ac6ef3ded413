"""The dashboard: pages made on the server, without a script and without a request to any other host.

    from skypanel.dashboard.routes import dashboard_router

Give `dashboard_router()` to `api.app.create_api(services, extra_routers=[…])`. It calls the same verbs as the API.
"""
