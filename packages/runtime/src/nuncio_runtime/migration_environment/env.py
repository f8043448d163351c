"""What Alembic runs around the revisions: our connection, one transaction per revision."""

from typing import Any

from alembic import context

attributes = context.config.attributes


def note(step: Any, **_: Any) -> None:
    """Tell `migrate` which revision was applied."""
    attributes["applied"].append(step.up_revision_id)


context.configure(
    connection=attributes["connection"],
    version_table_schema=attributes["schema"],
    transaction_per_migration=True,
    on_version_apply=lambda **change: note(change["step"]),
)
with context.begin_transaction():
    context.run_migrations()
