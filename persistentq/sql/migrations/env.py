"""Alembic's environment: the revisions run in the transaction that `persistentq.sql.schema` has opened."""

from __future__ import annotations

from alembic import context

settings = context.config.attributes
context.configure(connection=settings["connection"], version_table=settings["version_table"])
context.run_migrations()
