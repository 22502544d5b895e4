"""What Alembic runs to migrate: on the transaction that `zweitblick.store.database` hands in, which also ends it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
