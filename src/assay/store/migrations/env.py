"""Alembic runs this: bring the connection that `assay.store.migrate` holds to a newer schema."""

from alembic import context

from assay.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()  # inside the caller's transaction: all of it, or nothing
