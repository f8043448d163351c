"""The engine and the reference transport, side by side: the same rows, the same trouble, the same
verdicts.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

import pytest

from nuncio_dispatcher.domain.model import (
    Answers,
    Environment,
    Message,
    Platform,
    Priority,
    Provider,
    PushToken,
    TargetColumns,
    Verdict,
)
from nuncio_dispatcher.domain.ports import Lane
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_simulator.contract import Fault, FaultKind, Malformation, Mintable, ProviderName
from nuncio_simulator.contract import Platform as Phone
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.sending import (
    APP,
    plain,
    rows,
    soon,
    subscribed,
    write_credentials,
)

SEED: Final = 9113
ROWS: Final = 600
PAGES: Final = 2
TROUBLED: Final = 90
"""Rows of a page with a fault of their own; few enough that no breaker opens."""

# What the true answer may come wrapped in, and what may come instead of it.
WRAPPED: Final = (
    FaultKind.INFORMATIONAL,
    FaultKind.TRAILERS,
    FaultKind.PADDING,
    FaultKind.SPLIT,
)
# httpx gives up its other requests when a body is too long to be read, so only APNs gets those.
OTHERS: Final = {
    Provider.APNS: (FaultKind.REFUSED_STREAM, FaultKind.RESET, FaultKind.OVERSIZED),
    Provider.FCM: (FaultKind.REFUSED_STREAM, FaultKind.RESET),
    Provider.WEB_PUSH: (FaultKind.REFUSED_STREAM, FaultKind.RESET),
}
NAMES: Final[Mapping[Provider, Mintable]] = {
    Provider.APNS: ProviderName.APNS,
    Provider.FCM: ProviderName.FCM,
    Provider.WEB_PUSH: ProviderName.WEBPUSH,
}
# None that concerns a credential: those pause a lane, and when depends on what was in flight.
REASONS: Final[Mapping[Provider, Sequence[tuple[int | None, str]]]] = {
    Provider.APNS: (
        (400, "BadDeviceToken"),
        (400, "DeviceTokenNotForTopic"),
        (400, "BadCollapseId"),
        (400, "MissingDeviceToken"),
        (410, "Unregistered"),
        (410, "ExpiredToken"),
        (413, "PayloadTooLarge"),
        (429, "TooManyRequests"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (418, "Teapot"),
    ),
    Provider.FCM: (
        (None, "UNREGISTERED"),
        (None, "UNREGISTERED_IOS"),
        (None, "APNS_TOKEN_DISABLED"),
        (None, "INVALID_TOKEN"),
        (None, "INVALID_TOKEN_FIELD"),
        (None, "INVALID_ARGUMENT"),
        (None, "INVALID_ARGUMENT_BARE"),
        (None, "UNSPECIFIED_ERROR"),
    ),
    Provider.WEB_PUSH: (
        (None, "unknown"),
        (None, "gone"),
        (None, "invalid_endpoint"),
        (None, "too_large"),
        (None, "bad_topic"),
        (None, "internal"),
        (None, "unavailable"),
    ),
}


class Sides(NamedTuple):
    """The same app's lanes, on the two transports."""

    engine: FolderLanes
    reference: FolderLanes

    def lanes(self, provider: Provider) -> tuple[Lane, Lane]:
        return (
            self.engine.lane(APP, provider, Environment.PRODUCTION),
            self.reference.lane(APP, provider, Environment.PRODUCTION),
        )


@pytest.fixture
async def sides(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Sides]:
    async with AsyncExitStack() as stack:
        made = []
        for transport in ("multiplex", "reference"):
            folder = tmp_path / transport
            folder.mkdir()
            write_credentials(folder, simulator, transport)
            lanes = FolderLanes(folder, clock=SYSTEM_CLOCK)
            stack.push_async_callback(lanes.aclose)
            made.append(lanes)
        yield Sides(*made)


async def minted(simulator: Simulator, provider: Provider, count: int) -> list[PushToken]:
    admin = simulator.admin
    if provider is Provider.WEB_PUSH:
        browsers = (Phone.FIREFOX, Phone.CHROME, Phone.EDGE, Phone.SAFARI)
        found: list[PushToken] = []
        for browser in browsers:
            made = await admin.mint(ProviderName.WEBPUSH, count // len(browsers), platform=browser)
            found += subscribed(made.subscriptions, key_id="first")
        return found
    return plain((await admin.mint(NAMES[provider], count)).tokens)


def random_message(dice: random.Random) -> Message:
    """Any message that every provider takes."""
    words = ("Grüße", "👋", "Hello", "0", "a" * 300, '"quoted"', "\\", "näher")

    def text(most: int) -> str:
        return " ".join(dice.choices(words, k=dice.randint(0, most)))

    return Message(
        title=text(3) or "Hello",
        body=text(4),
        sound=dice.choice(("", "default")),
        badge=dice.choice((None, 0, 7)),
        link=dice.choice(("", "https://shop.example/1?a=b&c=%20")),
        data={f"key-{n}": text(2) for n in range(dice.randint(0, 4))},
        time_to_live=timedelta(seconds=dice.choice((0, 60, 3600))),
        collapse_key=dice.choice(("", "greeting")),
        priority=dice.choice(tuple(Priority)),
        category=dice.choice(("", "offer")),
        thread=dice.choice(("", "orders")),
    )


def random_faults(
    dice: random.Random, provider: Provider, tokens: Sequence[PushToken]
) -> list[Fault]:
    """Trouble for some of the tokens, a fault each."""
    return [
        random_fault(dice, provider, token.reveal())
        for token in dice.sample(list(tokens), TROUBLED)
    ]


def random_fault(dice: random.Random, provider: Provider, token: str) -> Fault:
    name, tokens = NAMES[provider], [token]
    kind = dice.choice((*WRAPPED, *[FaultKind.ANSWER] * 6, *OTHERS[provider]))
    if kind is FaultKind.ANSWER:
        status, reason = dice.choice(REASONS[provider])
        return Fault(provider=name, kind=kind, tokens=tokens, status=status, reason=reason)
    if kind is FaultKind.REFUSED_STREAM:
        return Fault(provider=name, kind=kind, tokens=tokens, count=1)
    if kind is FaultKind.RESET:
        return Fault(provider=name, kind=kind, tokens=tokens, code=dice.choice((1, 2, 5, 8)))
    # The status is that of OVERSIZED: a refusal that concerns its row alone.
    return Fault(provider=name, kind=kind, tokens=tokens, status=413)


@asynccontextmanager
async def in_place(simulator: Simulator, faults: Sequence[Fault]) -> AsyncIterator[None]:
    for fault in faults:
        await simulator.admin.fault(fault)
    yield
    await simulator.admin.clear_faults()


def random_targets(
    dice: random.Random, provider: Provider, tokens: Sequence[PushToken]
) -> TargetColumns:
    """Rows for the tokens. Only FCM renders by platform."""
    kinds = [Platform.IOS]
    if provider is Provider.FCM:
        kinds += [Platform.ANDROID, Platform.WEB]
    platforms = [dice.choice(kinds) for _ in tokens]
    return TargetColumns(ids=[uuid4() for _ in tokens], tokens=tokens, platforms=platforms)


class Seen(NamedTuple):
    """What the domain sees of a row, but for the moments: those are other ones each time."""

    verdict: Verdict
    reason: str
    retry_after: timedelta | None
    has_died: bool
    was_written: bool


def seen(answers: Answers, row: int) -> Seen:
    return Seen(
        Verdict(answers.verdicts[row]),
        answers.reasons[row],
        answers.retry_after[row],
        answers.dead_since[row] is not None,
        answers.sent_at[row] is not None,
    )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("provider", list(Provider))
async def test_both_transports_give_the_same_answers(
    simulator: Simulator, sides: Sides, provider: Provider
) -> None:
    dice = random.Random(SEED + provider)  # noqa: S311  # the same rows and troubles on every run
    tokens = await minted(simulator, provider, ROWS)
    found: set[Verdict] = set()
    for _ in range(PAGES):
        message = random_message(dice)
        targets = random_targets(dice, provider, tokens)
        faults = random_faults(dice, provider, tokens)
        sides_seen: list[list[Seen]] = []
        for lane in sides.lanes(provider):
            async with in_place(simulator, faults):
                answers = await lane.send(message, targets, expires_at=soon())
            sides_seen.append([seen(answers, row) for row in range(len(targets))])
        engine, reference = sides_seen
        assert engine == reference
        found |= {row.verdict for row in engine}
    assert len(found) >= 5, "the trouble was of many kinds"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("malformation", list(Malformation))
async def test_both_transports_survive_the_same_malformed_answer(
    simulator: Simulator, sides: Sides, malformation: Malformation
) -> None:
    fault = Fault(
        provider=ProviderName.APNS, kind=FaultKind.MALFORMED, malformation=malformation, count=1
    )
    tokens = await minted(simulator, Provider.APNS, 1)
    judged = []
    for lane in sides.lanes(Provider.APNS):
        async with in_place(simulator, [fault]):
            hit = await lane.send(Message(title="Hi"), rows(tokens), expires_at=soon())
        after = await lane.send(Message(title="Hi"), rows(tokens), expires_at=soon())
        judged.append(Verdict(hit.verdicts[0]))
        assert list(after.verdicts) == [Verdict.ACCEPTED], "the lane goes on"
    assert judged[0] is judged[1]
