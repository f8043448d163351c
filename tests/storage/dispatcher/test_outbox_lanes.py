"""The journal keeps what feedback has to know of the lanes."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from nuncio_dispatcher.domain import books
from nuncio_dispatcher.domain.model import Provider, Verdict
from nuncio_dispatcher.domain.settle import settle
from tests.storage.dispatcher.conftest import Storage
from tests.unit.dispatcher.builders import NOW, answers, new_dispatch, resolved, terms

HOLD = timedelta(minutes=1)


@pytest.mark.parametrize("environments", [b"\1\1\1", b"\1\2\1", b""])
async def test_a_page_comes_back_with_its_environments(
    storage: Storage, environments: bytes
) -> None:
    await storage.dispatches.add(new_dispatch())
    (shard,) = await storage.journal.claim(
        owner=uuid4(), limit=1, term=HOLD, now=NOW + timedelta(hours=1)
    )
    part = resolved(Provider.APNS, Provider.APNS, Provider.FCM)
    page = await storage.journal.open_page(shard.lease, part, books.opened(3, {}), now=NOW)
    given = answers(Verdict.ACCEPTED, Verdict.RETRY, Verdict.TOKEN_DEAD)
    settled = settle(page, given, terms=terms(), now=NOW, jitter=lambda: 0.5)
    settled = replace(settled, environments=environments)
    await storage.journal.close_page(shard.lease, page, settled, now=NOW)
    (outcomes,) = await storage.outbox.take(8, hold=HOLD)
    assert outcomes.environments == environments[::2]
