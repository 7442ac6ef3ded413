"""Revisions of the schema, applied by `skypanel.manage.migrate`."""
