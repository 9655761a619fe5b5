"""What Alembic executes: the migrations, in the transaction that `migrate` opened."""

from alembic import context

from e2email_server.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
context.run_migrations()
