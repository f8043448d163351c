"""Whatever comes in whatever order: the fast roads end where the slow one does."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import chain, count
from typing import NamedTuple, TypeAlias
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.bulk import Bulk
from nuncio_registry.api.rows import registration_of, repeat_of
from nuncio_registry.api.values import timestamp_of
from nuncio_registry.domain.coalesce import Again
from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentState,
    DeadToken,
    Facts,
    FactsChange,
    Permission,
    Provider,
    Registration,
    Touch,
)
from nuncio_registry.domain.ports.lifecycle import Window
from nuncio_registry.domain.register_one import Unread
from nuncio_registry.domain.tokens import plain_token
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.hygiene import PostgresHygiene
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.roads import Pools, Road, open_pools, road, tables_of
from tests.unit.registry.builders import NOW, app, key, key_ring

NUMBERS = (1, 2)
TOKENS = ("aa01", "bb02")
GERMAN = installation_pb2.InstallationFacts(
    permission=installation_pb2.PERMISSION_GRANTED, language="de"
)
DENYING = installation_pb2.InstallationFacts(permission=installation_pb2.PERMISSION_DENIED)
ZURICH = installation_pb2.InstallationFacts(time_zone="Europe/Zurich")
AGREED = installation_pb2.ConsentChange(
    purpose="news", state=installation_pb2.CONSENT_STATE_GRANTED, source="start"
)
CONTENTS = (
    pb.Registration(user_id="ada", facts=GERMAN, consents=[AGREED]),
    pb.Registration(user_id="bob", facts=DENYING),
    pb.Registration(facts=ZURICH, consents=[AGREED]),
    pb.Registration(environment=provider_pb2.ENVIRONMENT_SANDBOX),
)
SECONDS = (-3600, -1, 0, 1, 300)


class Row(NamedTuple):
    """A registration. observed, seen: seconds from now; None: not told."""

    number: int
    token: str
    content: int
    observed: int | None = None
    seen: int | None = None


class Pages(NamedTuple):
    """The pages of one stream."""

    pages: list[list[Row]]


class Calls(NamedTuple):
    """Two single registrations, of which the second one comes while the first one is looked at.

    The second one is of the other installation with the other token.
    """

    first: Row
    second: Row


class Pass(NamedTuple):
    """Time goes by, in seconds."""

    seconds: int


class Act(NamedTuple):
    """Something else happens to an installation."""

    kind: str
    number: int


Step: TypeAlias = Pages | Calls | Pass | Act
ACTS = ("update", "identify", "merge", "consent", "touch", "kill", "restore", "expire")

times = st.none() | st.none() | st.sampled_from(SECONDS)
contents = st.builds(
    Row,
    st.sampled_from(NUMBERS),
    st.sampled_from(TOKENS),
    st.sampled_from(range(len(CONTENTS))),
    observed=st.none(),
    seen=st.none(),
)


def walks_with(few: list[Row]) -> st.SearchStrategy[list[Step]]:
    """Steps in which a few registrations come again and again, at whatever times."""
    rows = st.builds(
        lambda row, observed, seen: row._replace(observed=observed, seen=seen),
        st.sampled_from(few),
        times,
        times,
    )
    pages = st.lists(st.lists(rows, min_size=1, max_size=3), min_size=1, max_size=3)
    steps = st.one_of(
        st.builds(lambda told: [Pages(told)], pages),
        st.builds(lambda first, second: [Calls(first, _beside(first, second))], rows, rows),
        st.builds(lambda seconds: [Pass(seconds)], st.sampled_from((1, 60))),
        st.builds(_changed_meanwhile, st.sampled_from(few), st.sampled_from(ACTS)),
    )
    return st.lists(steps, min_size=2, max_size=5).map(lambda found: list(chain(*found)))


def _beside(first: Row, second: Row) -> Row:
    """The second row, as one that has nothing to do with the first one."""
    (number,) = set(NUMBERS) - {first.number}
    (token,) = set(TOKENS) - {first.token}
    return second._replace(number=number, token=token)


def _changed_meanwhile(row: Row, kind: str) -> list[Step]:
    return [Pages([[row]]), Act(kind, row.number), Pages([[row]])]


walks = st.lists(contents, min_size=1, max_size=3, unique=True).flatmap(walks_with)


class Walk:
    """An app, as it is on one of the roads."""

    def __init__(self, pools: Pools, app_id: str, clock: ManualClock, *, slow: bool) -> None:
        self.app_id = app_id
        self._pools = pools
        self._clock = clock
        self._road: Road = road(pools, clock, slow=slow)

    async def take(self, step: Step) -> object:
        """What comes of the step."""
        if isinstance(step, Pages):
            return await self._stream(step.pages)
        if isinstance(step, Calls):
            return await self._calls(*map(self._unread, step))
        if isinstance(step, Act):
            return await self._act(step.kind, key(step.number))
        return None

    async def _stream(self, pages: Sequence[Sequence[Row]]) -> list[Sequence[int]]:
        """As the call does: each page is read before the one ahead of it is written."""
        bulk = Bulk(self._road.register, self._road.repeats)
        requests = [
            pb.RegisterTokensRequest(app_id=self.app_id, registrations=map(self._message, page))
            for page in pages
        ]
        answers: list[Sequence[int]] = []
        ahead = await bulk.read(requests[0])
        for following in [*requests[1:], None]:
            page = ahead
            if following is not None:
                ahead = await bulk.read(following)
            answers.append(list((await bulk.write(page)).outcomes))
        return answers

    async def _calls(self, first: Unread, second: Unread) -> list[object]:
        """The first one is looked at alone, and goes on beside the second one if it has to."""
        write, settle = self._road.together, self._road.settling
        answers: list[object] = []
        (looked,) = await write(self.app_id, [first])
        if isinstance(looked, Again):
            looked, beside = await write(self.app_id, [looked.row, second])
        else:
            (beside,) = await write(self.app_id, [second])
        if isinstance(beside, Again):
            (beside,) = await write(self.app_id, [beside.row])
        for written in (looked, beside):
            if isinstance(written, Registration):
                answers += await settle(self.app_id, [written])
            else:
                answers.append(written)
        return answers

    def _unread(self, row: Row) -> Unread:
        message = self._message(row)
        repeat = self._road.repeats.read(message, repeat_of)
        assert repeat is not None
        return Unread(repeat, lambda: self._road.register.read((message, repeat), registration_of))

    def _message(self, row: Row) -> pb.Registration:
        message = pb.Registration(
            installation_id=str(key(row.number)),
            platform=provider_pb2.PLATFORM_IOS,
            token=token_pb2.Token(apns=row.token),
        )
        message.MergeFrom(CONTENTS[row.content])
        if row.observed is not None:
            message.observed_at.CopyFrom(self._time(row.observed))
        if row.seen is not None:
            message.facts.last_seen.CopyFrom(self._time(row.seen))
        return message

    def _time(self, seconds: int) -> Timestamp:
        return timestamp_of(self._clock.now() + timedelta(seconds=seconds))

    async def _act(self, kind: str, id_: UUID) -> object:
        app_id, now, pool = self.app_id, self._clock.now(), self._pools.main
        installations, lifecycle = PostgresInstallations(pool), PostgresLifecycle(pool)
        hour = timedelta(hours=1)
        match kind:
            case "update":
                change = FactsChange(Facts(permission=Permission.PROVISIONAL, language="fr"))
                return await installations.update(app_id, id_, change, now=now)
            case "identify":
                return await installations.set_user(app_id, id_, "eve", now=now)
            case "merge":
                return await installations.merge_users(
                    app_id, from_user="ada", into_user="eve", limit=9, now=now
                )
            case "consent":
                denied = (ConsentChange("news", ConsentState.DENIED),)
                return await installations.set_consent(app_id, id_, changes=denied, now=now)
            case "touch":
                return await installations.touch(app_id, [Touch(id_, now + hour, now)])
            case "kill":
                return await lifecycle.invalidate(app_id, self._dead(id_), now=now)
            case "restore":
                window = Window(NOW - hour, now + hour)
                return await lifecycle.restore(
                    app_id, window, after=None, limit=9, now=now, dry_run=False
                )
            case _:
                hygiene = PostgresHygiene(pool)
                return await hygiene.expire(app_id, [id_], before=now + hour, now=now)

    def _dead(self, id_: UUID) -> list[DeadToken]:
        hashes = [key_ring().hash(Provider.APNS, plain_token(token)) for token in TOKENS]
        later = self._clock.now() + timedelta(hours=1)
        return [DeadToken(id_, token_hash[:16], later, "Gone") for token_hash in hashes]


async def walk_both(pools: Pools, number: int, walked: Sequence[Step]) -> None:
    """Take the steps on either road, and compare after each."""
    clock = ManualClock(NOW)
    fast = Walk(pools, f"fast-{number}", clock, slow=False)
    slow = Walk(pools, f"slow-{number}", clock, slow=True)
    for walk in (fast, slow):
        await PostgresApps(pools.main).create(app(walk.app_id))
    for step in walked:
        if isinstance(step, Pass):
            clock.advance(step.seconds)
            continue
        answers = [await walk.take(step) for walk in (fast, slow)]
        assert _plain(answers[0]) == _plain(answers[1])
        tables = [await tables_of(pools.main, walk.app_id) for walk in (fast, slow)]
        assert tables[0] == tables[1]


def _plain(answer: object) -> object:
    """Without the marks of batches, which are numbers that the database gives."""
    return getattr(answer, "outcomes", answer)


@pytest.mark.timeout(60)
def test_fast_and_slow_roads_end_at_the_same_place() -> None:
    numbers = count()

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        pools = runner.run(stack.enter_async_context(open_pools()))

        # A walk is short enough to be read as it was found: to shrink it takes minutes.
        @settings(
            max_examples=60,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(walks)
        def compare(walked: list[Step]) -> None:
            runner.run(walk_both(pools, next(numbers), walked))

        try:
            compare()
        finally:
            runner.run(stack.aclose())
