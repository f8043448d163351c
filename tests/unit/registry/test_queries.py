"""Each named query is used, and each that takes a predicate has its place."""

from pathlib import Path

import nuncio_registry.storage.postgres as postgres
from nuncio_registry.storage.predicate import PLACE


def test_each_query_is_used() -> None:
    source = Path(postgres.__file__).read_text(encoding="utf-8")
    assert [name for name in postgres.Q if f"Q.{name}" not in source] == []


def test_predicates_have_one_place_in_the_queries_that_take_them() -> None:
    counts = {name: getattr(postgres.Q, name).count(PLACE) for name in postgres.Q}
    taking = {name for name, count in counts.items() if count}
    assert taking == {"installations", "select_targets", "count_targets"}
    assert set(counts.values()) == {0, 1}
