"""Invalidations whose token another installation had since."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0006", "0005", "pre"


def upgrade() -> None:
    """Run the statements beside this file.

    Reports of dead tokens, restoring and erasure wait while the index is built. It is not built
    CONCURRENTLY, which partitioned tables cannot have as wholes: the table holds the deaths of a
    retention, not the installations.
    """
    for statement in sql_beside(__file__):
        op.execute(statement)
