"""When other calls than registrations said what a late registration may not undo."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0005", "0004", "pre"


def upgrade() -> None:
    """Run the statements beside this file; it takes no time, and old processes do not notice."""
    for statement in sql_beside(__file__):
        op.execute(statement)
