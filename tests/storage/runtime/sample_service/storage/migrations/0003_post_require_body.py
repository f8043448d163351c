"""No note without a body of its own, once no old code relies on the default."""

from alembic import op

from nuncio_runtime.migrate import sql_beside

revision, down_revision, phase = "0003", "0002", "post"


def upgrade() -> None:
    for statement in sql_beside(__file__):
        op.execute(statement)
