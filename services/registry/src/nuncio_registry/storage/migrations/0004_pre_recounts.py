"""When an app is counted again before its turn, beside what was counted."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0004", "0003", "pre"


def upgrade() -> None:
    """Run the statements beside this file; it takes no time, and old processes do not notice."""
    for statement in sql_beside(__file__):
        op.execute(statement)
