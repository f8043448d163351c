"""Repeated registrations known by their hash, and registrations as rows of one argument."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0003", "0002", "pre"


def upgrade() -> None:
    """Run the statements beside this file. The registry has to stand still: see the changelog."""
    for statement in sql_beside(__file__):
        op.execute(statement)
