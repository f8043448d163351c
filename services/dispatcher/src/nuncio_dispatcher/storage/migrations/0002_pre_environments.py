"""Which of a provider's worlds the rows of a page live in, so that feedback learns of the lane."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0002", "0001", "pre"


def upgrade() -> None:
    """Run the statements beside this file."""
    for statement in sql_beside(__file__):
        op.execute(statement)
