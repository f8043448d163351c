"""Where a token was called dead: the lane and the campaign."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0002", "0001", "pre"


def upgrade() -> None:
    """Run the statements beside this file."""
    for statement in sql_beside(__file__):
        op.execute(statement)
