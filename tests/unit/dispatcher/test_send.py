"""A page goes through its lanes, and its answers come back in order."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import pytest

from nuncio_dispatcher.domain.dispatch import Audience
from nuncio_dispatcher.domain.model import (
    Answers,
    Destination,
    Environment,
    Message,
    Provider,
    PushToken,
    TargetColumns,
    Verdict,
)
from nuncio_dispatcher.domain.pages import Targets, request_ids
from nuncio_dispatcher.domain.send import NEW_PROVIDER, SILENT, TOO_LATE, Patience, send, split
from tests.unit.dispatcher.builders import HOUR, NOW, installation_ids, targets, work

A, F, W = Provider.APNS, Provider.FCM, Provider.WEB_PUSH
DISPATCH = UUID(int=77)
PATIENCE = Patience(within=HOUR, cut=asyncio.Event())


class EchoLane:
    """Answers each row with its own token as the reason."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[TargetColumns] = []
        self.stop: asyncio.Event | None = None
        self.urgent = False
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def send(
        self,
        _message: Message,
        targets: TargetColumns,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None = None,
        urgent: bool = False,
    ) -> Answers:
        self.stop = stop
        self.urgent = urgent
        assert expires_at == NOW + HOUR
        self.sent.append(targets)
        self.asked.set()
        await self.may_answer.wait()
        given = Answers.uniform(len(targets), Verdict.REFUSED, sent_at=NOW)
        given.reasons[:] = [token.reveal() for token in targets.tokens]
        return given

    async def aclose(self) -> None:
        pass


class EchoLanes:
    """A lane for every kind of token."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, Provider, Environment], EchoLane] = {}

    def lane(self, app_id: str, provider: Provider, environment: Environment) -> EchoLane:
        key = (app_id, provider, environment)
        return self.made.setdefault(key, EchoLane(f"{provider.name}/{environment.name}"))

    def check(self, message: Message, *, to: Destination | None = None) -> None:
        pass

    async def aclose(self) -> None:
        pass


def mixed(*kinds: tuple[int, int]) -> Targets:
    """One row per (provider, environment)."""
    providers, environments = zip(*kinds, strict=True)
    page = targets(*providers)
    return Targets(rows=page.rows, environments=bytes(environments), tokens=page.tokens)


async def test_answers_come_back_in_the_order_of_the_page() -> None:
    page = mixed((A, 1), (F, 1), (A, 2), (W, 1), (A, 1))
    given = await send(EchoLanes(), work(), page, now=NOW, patience=PATIENCE)
    assert given.reasons == [token.reveal() for token in page.tokens]
    assert set(given.verdicts) == {Verdict.REFUSED}


async def test_each_provider_and_environment_has_a_lane_of_its_own() -> None:
    lanes = EchoLanes()
    await send(lanes, work(), mixed((A, 1), (F, 1), (A, 2), (A, 1)), now=NOW, patience=PATIENCE)
    rows = {key[1:]: len(lane.sent[0]) for key, lane in lanes.made.items()}
    assert rows == {
        (A, Environment.PRODUCTION): 2,
        (A, Environment.SANDBOX): 1,
        (F, Environment.PRODUCTION): 1,
    }


async def test_a_slow_lane_does_not_hold_up_the_start_of_another() -> None:
    lanes = EchoLanes()
    slow = lanes.lane("shop", A, Environment.PRODUCTION)
    other = lanes.lane("shop", F, Environment.PRODUCTION)
    slow.may_answer.clear()
    sending = asyncio.create_task(send(lanes, work(), targets(A, F), now=NOW, patience=PATIENCE))
    await other.asked.wait()
    slow.may_answer.set()
    assert len(await sending) == 2


async def test_a_lane_that_does_not_come_back_keeps_no_answers_of_the_others() -> None:
    lanes = EchoLanes()
    lanes.lane("shop", A, Environment.PRODUCTION).may_answer.clear()
    hasty = Patience(within=timedelta(milliseconds=10), cut=asyncio.Event())
    given = await send(lanes, work(), targets(A, F), now=NOW, patience=hasty)
    assert list(given.verdicts) == [Verdict.UNKNOWN, Verdict.REFUSED]
    assert given.reasons[0] == SILENT
    assert given.sent_at[0] == NOW


async def test_lanes_are_told_when_their_answers_have_to_do() -> None:
    lanes = EchoLanes()
    await send(lanes, work(), targets(A), now=NOW, patience=PATIENCE)
    assert lanes.lane("shop", A, Environment.PRODUCTION).stop is PATIENCE.cut


@pytest.mark.parametrize(
    ("audience", "urgent"),
    [
        (Audience(expression="all()"), False),
        (Audience(user_ids=("u",)), True),
        (Audience(installation_ids=bytes(16)), True),
    ],
    ids=["expression", "users", "installations"],
)
async def test_messages_to_somebody_in_particular_are_urgent(
    audience: Audience, *, urgent: bool
) -> None:
    lanes = EchoLanes()
    page = targets(1)
    await send(lanes, work(audience=audience), page, now=NOW, patience=PATIENCE)
    assert [lane.urgent for lane in lanes.made.values()] == [urgent]


async def test_an_environment_that_is_not_said_is_production() -> None:
    lanes = EchoLanes()
    await send(lanes, work(), mixed((F, 0)), now=NOW, patience=PATIENCE)
    assert list(lanes.made) == [("shop", F, Environment.PRODUCTION)]


async def test_a_provider_of_a_newer_peer_waits_for_a_newer_dispatcher() -> None:
    given = await send(EchoLanes(), work(), mixed((9, 1), (A, 1)), now=NOW, patience=PATIENCE)
    assert list(given.verdicts) == [Verdict.MISCONFIGURED, Verdict.REFUSED]
    assert given.reasons[0] == NEW_PROVIDER


async def test_nothing_is_sent_after_the_end_of_the_dispatch() -> None:
    lanes = EchoLanes()
    given = await send(lanes, work(expires_at=NOW), targets(A, F), now=NOW, patience=PATIENCE)
    assert not lanes.made
    assert list(given.verdicts) == [Verdict.EXPIRED] * 2
    assert given.reasons == [TOO_LATE] * 2


def test_a_page_of_one_kind_is_not_taken_apart() -> None:
    assert split(targets(A, A, A)) == {(A, 1): range(3)}


def test_a_row_has_the_same_request_id_in_every_attempt_and_page() -> None:
    ids = installation_ids(5)
    every = request_ids(DISPATCH, ids)
    assert request_ids(DISPATCH, ids[32:48]) == [every[2]]
    assert request_ids(UUID(int=78), ids) != every
    assert len(set(every)) == 5


def test_request_ids_are_version_5_uuids_in_the_namespace_of_the_dispatch() -> None:
    name = "sixteen letters!"
    assert request_ids(DISPATCH, name.encode()) == [uuid5(DISPATCH, name)]


@pytest.mark.parametrize("shown", [repr, str, "{}".format])
def test_tokens_and_messages_show_nothing_of_themselves(shown: object) -> None:
    assert callable(shown)
    page = targets(A, W)
    secrets = [token.reveal() for token in page.tokens]
    columns = TargetColumns(ids=[DISPATCH], tokens=page.tokens, platforms=b"\1\3")
    texts = [shown(each) for each in (page, columns, page.tokens[1], work().message, work())]
    assert isinstance(page.tokens[0], PushToken)
    assert not [text for text in texts for secret in [*secrets, "Hello"] if secret in text]
