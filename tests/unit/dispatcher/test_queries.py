"""Every query is used."""

from pathlib import Path

from nuncio_dispatcher.storage import postgres


def test_every_query_is_used() -> None:
    source = Path(postgres.__file__).read_text()
    unused = [name for name in postgres.Q if f"Q.{name}" not in source]
    assert not unused
