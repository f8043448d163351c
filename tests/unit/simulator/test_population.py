"""Tokens carry their fate, and devices change it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nuncio_simulator.contract import (
    Fault,
    FaultKind,
    Minted,
    MintRequest,
    Platform,
    ProviderName,
    Shares,
    Subscription,
    TokenBatch,
)
from nuncio_simulator.population import CannotMintError, Population
from nuncio_simulator.tokens import Fate, Known
from tests.unit.simulator.world import ALIVE, DEAD, ORIGIN, SLOW, THROTTLED, TOPICS, World, post

DAY = 86_400.0


def population(seed: bytes = b"seed") -> Population:
    return Population(
        seed, topics=TOPICS, vapid_public_key=b"key", webpush_origin=ORIGIN, clock=lambda: 1e9
    )


def mint(provider: ProviderName, count: int, **options: object) -> list[Known]:
    request = MintRequest.model_validate({"provider": provider, "count": count, **options})
    return population().mint(request, request.shares or ALIVE)


def test_the_same_seed_makes_the_same_tokens() -> None:
    assert mint(ProviderName.APNS, 3) == mint(ProviderName.APNS, 3)


@pytest.mark.parametrize(
    ("provider", "platform"),
    [
        (ProviderName.APNS, Platform.IOS),
        (ProviderName.FCM, Platform.ANDROID),
        (ProviderName.FCM, Platform.IOS),
        (ProviderName.WEBPUSH, Platform.FIREFOX),
        (ProviderName.WEBPUSH, Platform.EDGE),
    ],
)
def test_a_token_is_recognised_without_having_been_stored(
    provider: ProviderName, platform: Platform
) -> None:
    [token] = mint(provider, 1, platform=platform)
    assert population().find(token.text) == token
    assert population(b"other seed").find(token.text) is None


def test_an_endpoint_is_recognised_by_its_path() -> None:
    [token] = mint(ProviderName.WEBPUSH, 1)
    assert population().find(token.text.removeprefix(ORIGIN)) == token


def test_a_token_in_the_costume_of_another_provider_is_unknown() -> None:
    [token] = mint(ProviderName.FCM, 1)
    assert population().find(token.core.hex()) is None


@given(st.text() | st.binary(min_size=32, max_size=32).map(bytes.hex))
def test_what_was_not_minted_is_unknown(text: str) -> None:
    assert population().find(text) is None


def test_fates_come_in_the_shares_asked_for() -> None:
    shares = Shares(dead=0.1, throttled=0.2, slow=0.3)
    fates = [token.label.fate for token in mint(ProviderName.APNS, 5_000, shares=shares)]
    for fate, share in ((Fate.DEAD, 0.1), (Fate.THROTTLED, 0.2), (Fate.SLOW, 0.3)):
        assert fates.count(fate) / len(fates) == pytest.approx(share, abs=0.03)


def test_some_die_before_the_given_time_and_some_after() -> None:
    around = 1e9 - 10 * DAY
    shares = Shares(dead=1, dead_before=0.5, throttled=0, slow=0)
    tokens = mint(ProviderName.APNS, 400, shares=shares, around=around)
    times = [token.label.dead_since for token in tokens]
    assert all(around - 30 * DAY <= moment < 1e9 for moment in times)
    before = sum(moment < around for moment in times)
    assert 150 < before < 250


def test_nothing_dies_before_1970_though_that_is_asked_for() -> None:
    shares = Shares(dead=1, dead_before=0.5, throttled=0, slow=0)
    tokens = mint(ProviderName.APNS, 50, shares=shares, around=DAY)
    assert all(token.label.dead_since > 0 for token in tokens)


@pytest.mark.parametrize("moment", [-1.0, 2.0**32, float("inf"), float("nan")])
def test_times_that_cannot_be_are_refused(moment: float) -> None:
    with pytest.raises(ValidationError):
        TokenBatch(tokens=[], dead_since=moment)
    with pytest.raises(ValidationError):
        MintRequest(provider=ProviderName.APNS, count=1, around=moment)


@pytest.mark.parametrize(
    "wrong",
    [
        {"headers": {"a:b": "c"}},
        {"headers": {"a": "b\r\nc: d"}},
        {"retry_after": "soon\r\nc: d"},
        {"last_stream_id": 2**31},
    ],
)
def test_a_fault_that_cannot_be_written_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate({"provider": "fcm", "kind": "answer", **wrong})


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(ValueError, match="exceed 1"):
        Shares(dead=0.9, throttled=0.2)


@pytest.mark.parametrize(
    "options",
    [
        {"platform": Platform.ANDROID},
        {"topic": "com.example.unknown"},
        {"vapid_public_key": "not base64url!"},
    ],
)
def test_what_cannot_be_is_not_minted(options: dict[str, object]) -> None:
    with pytest.raises(CannotMintError):
        mint(ProviderName.APNS, 1, **options)


def test_a_token_dies_when_a_request_first_reaches_it(world: World) -> None:
    token = world.mint(ProviderName.APNS, DEAD)
    world.clock.now += 60
    died = world.population.dead_since(token)
    world.clock.now += 60
    assert died == world.population.dead_since(token) == world.clock.now - 60


def test_a_token_killed_is_dead_until_it_is_revived(world: World) -> None:
    token = world.mint(ProviderName.APNS)
    world.population.kill(token, 5.0)
    assert world.population.dead_since(token) == 5.0
    world.population.revive(token)
    assert world.population.dead_since(token) is None


def test_a_throttled_token_gives_way_after_one_or_two_refusals(world: World) -> None:
    token = world.mint(ProviderName.APNS, THROTTLED)
    refusals = [world.population.throttles(token) for _ in range(4)]
    assert refusals in ([True, False, False, False], [True, True, False, False])


def test_a_slow_token_takes_its_time(world: World) -> None:
    token = world.mint(ProviderName.APNS, SLOW)
    assert 0.2 <= world.population.delay(token) <= 1.0


def test_a_token_does_not_print_itself(world: World) -> None:
    token = world.mint(ProviderName.APNS)
    request = post(f"/3/device/{token.text}", {b"authorization": world.bearer()})
    printed = [
        repr(token),
        repr(request),
        repr(world.apns.answer(request, world.apns.open())),
        repr(Minted(tokens=[token.text])),
        repr(TokenBatch(tokens=[token.text])),
        repr(Subscription(endpoint=token.text, p256dh="", auth=token.text)),
        repr(Fault(provider=ProviderName.APNS, kind=FaultKind.CLOSE, tokens=[token.text])),
    ]
    assert not [text for text in printed if token.text in text]
