"""Requests with an id and a body of their own, and a look at what came of them."""

import asyncio
import hashlib
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest

from nuncio_dispatcher.http2.exchange import Exchange, Field, Origin, Requests
from nuncio_dispatcher.http2.pool import Multiplex
from tests.conformance.outside import OUTSIDE, Running

# None of this is about speed: some of the servers take seconds, and many on a busy machine.
ANSWER_WITHIN: Final = 50.0
LOG_WITHIN: Final = 10.0
"""Seconds for a server that keeps its books in a file to write there what it has answered."""
FIELDS: Final = (("apns-topic", "com.example.app"), ("apns-push-type", "alert"))
PASSING: Final = (("authorization", "bearer " + "a" * 180), ("apns-priority", "10"))


def able_to(action: str) -> pytest.MarkDecorator:
    """Run the test with each server that can do this."""
    names = [outside.name for outside in OUTSIDE if action in outside.actions]
    return pytest.mark.parametrize("server", names, indirect=True)


@dataclass(kw_only=True)
class Sending:
    """Rows for one server, all of whose ids have a beginning of their own."""

    server: Running
    beginning: str = field(default_factory=lambda: uuid.uuid4().hex)
    origin: Origin | None = None
    """Another than the server's own."""
    fields: tuple[Field, ...] = FIELDS
    ids: list[str] = field(default_factory=list)
    paths: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def add(self, action: str, argument: object = "-", *, size: int = 200, times: int = 1) -> None:
        """More rows, which ask for this."""
        for _ in range(times):
            request_id = f"{self.beginning}-{len(self.ids):07}"
            self.ids.append(request_id)
            self.paths.append(self.server.path(action, str(argument), request_id))
            self.bodies.append(random.Random(request_id).randbytes(size))  # noqa: S311

    def exchange(self) -> Exchange:
        """All rows, not posted yet."""
        requests = Requests(
            origin=self.origin or self.server.origin,
            fields=self.fields,
            passing_fields=PASSING,
            paths=self.paths,
            bodies=self.bodies,
            own=("apns-id", [request_id.encode() for request_id in self.ids]),
        )
        return Exchange(requests, answer_within=ANSWER_WITHIN, heard=lambda *_: None)

    async def post(self, transport: Multiplex) -> Exchange:
        """Send all rows, and wait until each has ended."""
        exchange = self.exchange()
        transport.post(exchange)
        await exchange.ended.wait()
        return exchange

    async def received(self) -> Mapping[str, Sequence[str]]:
        """What the server says it got of them: by id, something about each time it came."""
        ask = self.server.received
        assert ask is not None, f"{self.server.name} keeps no books"
        received = await asyncio.to_thread(ask, self.beginning)
        async with asyncio.timeout(LOG_WITHIN):
            while len(received) < len(self.ids) and self.server.name == "nginx":
                await asyncio.sleep(0.05)
                received = await asyncio.to_thread(ask, self.beginning)
        return received

    async def assert_each_came_once(self) -> None:
        """As the server counted, and with its own body."""
        received = await self.received()
        assert {len(found) for found in received.values()} == {1}
        assert received.keys() == set(self.ids)
        if self.server.name != "nginx":
            assert received == {
                request_id: [hashlib.sha256(body).hexdigest()]
                for request_id, body in zip(self.ids, self.bodies, strict=True)
            }


def assert_all_accepted(exchange: Exchange) -> None:
    """Each row has a 200, and nothing went wrong on the way."""
    assert exchange.failures == {}, list(exchange.failures.items())[:9]
    assert exchange.replies == {}
    assert exchange.accepted == len(exchange.requests)
    assert set(exchange.statuses) == {200}
    assert None not in exchange.written_at
