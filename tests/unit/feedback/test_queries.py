"""Every query is used."""

import inspect

from nuncio_feedback.storage import postgres


def test_every_query_is_used() -> None:
    source = inspect.getsource(postgres)
    assert [name for name in postgres.Q if f"Q.{name}" not in source] == []
