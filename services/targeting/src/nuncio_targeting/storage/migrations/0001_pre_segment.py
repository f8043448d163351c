"""Segments, and which of them refer to which."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision = "0001"
down_revision = None
phase = "pre"


def upgrade() -> None:
    """Make the tables."""
    for statement in sql_beside(__file__):
        op.execute(statement)
