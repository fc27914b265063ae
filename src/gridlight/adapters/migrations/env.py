"""Run by Alembic: the connection is handed in by `schema.migrate`."""

from alembic import context

from gridlight.adapters.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
