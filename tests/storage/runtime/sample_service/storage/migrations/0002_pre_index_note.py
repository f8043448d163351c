"""An index that is built while notes are written."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0002", "0001", "pre"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in sql_beside(__file__):
            op.execute(statement)
