"""Alembic's entry: runs migrations on the connection, and in the transaction, that `fiveways.store.migrate` hands over."""

from alembic import context

from fiveways.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
