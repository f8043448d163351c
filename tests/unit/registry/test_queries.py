"""Each named query is used, and each that takes a predicate has its place."""

import re
from pathlib import Path

import pytest

import nuncio_registry.storage as storage
from nuncio_registry.storage.predicate import PLACE
from nuncio_runtime.postgres import parse_queries

FOLDER = Path(storage.__path__[0])
FILES = sorted(path for path in FOLDER.glob("*.sql") if path.stem != "schema")
LOADED = re.compile(r'load_queries\("nuncio_registry\.storage", "(\w+)\.sql"\)')


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_each_query_is_used_where_its_file_is_loaded(file: Path) -> None:
    loading = [
        source
        for source in (path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))
        if file.stem in LOADED.findall(source)
    ]
    assert len(loading) == 1
    # What a module loads, its neighbours may take from it by the name Q.
    sources = [path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")]
    queries = parse_queries(file.read_text(encoding="utf-8"))
    assert [name for name in queries if not any(f"Q.{name}" in s for s in sources)] == []


def test_predicates_have_one_place_in_the_queries_that_take_them() -> None:
    counts = {
        name: getattr(queries, name).count(PLACE)
        for queries in (parse_queries(file.read_text(encoding="utf-8")) for file in FILES)
        for name in queries
    }
    taking = {name for name, count in counts.items() if count}
    assert taking == {
        "installations", "installations_among", "scan_targets", "targets_among", "find_by_sets",
        "count_targets", "count_among",
    }  # fmt: skip
    assert set(counts.values()) == {0, 1}
