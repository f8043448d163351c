"""queries.sql holds what the storage uses, and nothing else."""

import inspect
import re

from nuncio_targeting.storage import postgres


def test_every_query_is_used() -> None:
    used = set(re.findall(r"\bQ\.(\w+)", inspect.getsource(postgres)))
    assert used == set(postgres.Q)
