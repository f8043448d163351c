"""Dispatches, their shards, pages and books."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0001", None, "pre"


def upgrade() -> None:
    """Run the statements beside this file."""
    for statement in sql_beside(__file__):
        op.execute(statement)
