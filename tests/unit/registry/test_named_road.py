"""Rows that a predicate names are looked up by their ids, and asked all else."""

from collections.abc import Sequence
from uuid import UUID

from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY, KeySpan
from nuncio_registry.domain.ports.selection import ListedRows, Selection
from nuncio_registry.domain.predicate import AllOf, Comparison, Field, Operator, Predicate
from nuncio_registry.domain.walk import Walk
from tests.unit.registry.builders import APP, NOW, key

SWISS = Comparison(Field.COUNTRY, Operator.IN, ("CH",))


class Roads:
    """Notes what is asked for on the named road. There is no other one."""

    def __init__(self) -> None:
        self.asked: list[tuple[Predicate | None, list[UUID]]] = []

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> ListedRows:
        raise NotImplementedError

    async def among(self, selection: Selection, ids: Sequence[UUID]) -> ListedRows:
        self.asked.append((selection.predicate, list(ids)))
        return ListedRows([], ids[-1])

    async def find(self, selection: Selection, *, most: int) -> list[UUID] | None:
        raise NotImplementedError


async def asked(predicate: Predicate, span: KeySpan) -> list[tuple[Predicate | None, list[UUID]]]:
    roads = Roads()
    selection = Selection(APP, predicate, "", NOW, FIRST_KEY, LAST_KEY)
    walk = Walk(roads, selection, span, page_size=2)
    while await walk.next() is not None:
        pass
    return roads.asked


def ids(*numbers: int) -> Comparison:
    return Comparison(Field.INSTALLATION_ID, Operator.IN, tuple(str(key(n)) for n in numbers))


async def test_no_page_is_compared_with_all_ids_once_more() -> None:
    """A page of 1,000 compared with 10,000 ids is ten million comparisons."""
    assert await asked(ids(3, 1, 2), KeySpan()) == [(None, [key(1), key(2)]), (None, [key(3)])]
    assert await asked(AllOf((ids(1), SWISS)), KeySpan()) == [(AllOf((SWISS,)), [key(1)])]


async def test_only_ids_of_the_span_are_looked_up() -> None:
    assert await asked(ids(1, 2, 3), KeySpan().after(key(2))) == [(None, [key(3)])]
    assert await asked(ids(1, 2), KeySpan().after(key(2))) == []
