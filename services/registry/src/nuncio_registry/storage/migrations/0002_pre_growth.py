"""Tables for growth: partitions, live tokens by themselves, history, audit and statistics."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0002", "0001", "pre"


def upgrade() -> None:
    """Run the statements beside this file. The registry has to stand still: see the changelog."""
    for statement in sql_beside(__file__):
        op.execute(statement)
