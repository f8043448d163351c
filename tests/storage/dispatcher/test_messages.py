"""A message is sent as it was ordered, whatever the database made of its JSON in between."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from nuncio_dispatcher.domain.model import Message
from nuncio_dispatcher.domain.overrides import FcmOverrides
from tests.storage.dispatcher.conftest import Storage
from tests.unit.dispatcher.builders import NOW, new_dispatch, work
from tests.unit.dispatcher.test_packing import OVERRIDDEN

NUMBERS = FcmOverrides(message={"webpush": {"notification": {"n": [0.5, 2**53, -3, 1e300, None]}}})


@pytest.mark.parametrize("message", [OVERRIDDEN, Message(fcm=NUMBERS)], ids=["all", "numbers"])
async def test_overrides_come_back_from_the_database(storage: Storage, message: Message) -> None:
    wanted = replace(work(), message=message)
    assert await storage.dispatches.add(new_dispatch(wanted))
    (shard,) = await storage.journal.claim(
        owner=uuid4(), limit=1, term=timedelta(seconds=30), now=NOW
    )
    assert shard.work.message == message
