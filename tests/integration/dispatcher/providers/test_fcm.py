"""The FCM lane against the simulator: what it sends, and what it makes of answers and faults."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from nuncio_dispatcher.domain.model import (
    Environment,
    Message,
    Platform,
    Provider,
    TargetColumns,
    Verdict,
)
from nuncio_dispatcher.domain.ports import Lane
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import ManualClock
from nuncio_simulator import fcm_errors
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.contract import Platform as Simulated
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.sending import (
    APP,
    MESSAGE,
    answers_given,
    change_credentials,
    plain,
    rows,
    send_until_stopped,
    soon,
    taken,
    verdicts,
)

SIMULATED = {
    Platform.ANDROID: Simulated.ANDROID,
    Platform.IOS: Simulated.IOS,
    Platform.WEB: Simulated.WEB,
}


async def minted(
    simulator: Simulator, count: int, platform: Platform = Platform.ANDROID
) -> TargetColumns:
    found = await simulator.admin.mint(ProviderName.FCM, count, platform=SIMULATED[platform])
    return rows(plain(found.tokens), platform)


async def fault(
    simulator: Simulator,
    kind: FaultKind,
    provider: ProviderName = ProviderName.FCM,
    **details: object,
) -> None:
    await simulator.admin.fault(
        Fault.model_validate({"provider": provider, "kind": kind, **details})
    )


@pytest.mark.parametrize("platform", list(SIMULATED))
@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        Message(
            title="All",
            body="of it",
            image="https://example.com/a.png",
            sound="default",
            badge=3,
            link="https://example.com/offers",
            data={"k": "v"},
            time_to_live=timedelta(0),
            category="offers",
            thread="t",
        ),
        Message(data={"sync": "now"}),
        Message(badge=0),
    ],
    ids=["text", "everything", "data only", "badge only"],
)
async def test_fcm_takes_every_message_for_every_platform(
    simulator: Simulator, fcm: Lane, platform: Platform, message: Message
) -> None:
    answers = await fcm.send(message, await minted(simulator, 1, platform), expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED]


async def test_a_page_is_accepted_once_per_row(simulator: Simulator, fcm: Lane) -> None:
    page = await minted(simulator, 150)
    answers = await fcm.send(MESSAGE, page, expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}
    ledger = await simulator.admin.ledger(ProviderName.FCM)
    assert [count.accepted for count in ledger.tokens.values()] == [1] * 150


async def test_one_access_token_serves_many_sends(simulator: Simulator, fcm: Lane) -> None:
    for _ in range(3):
        await fcm.send(MESSAGE, await minted(simulator, 2), expires_at=soon())
    assert (await simulator.admin.ledger(ProviderName.OAUTH)).accepted == 1


async def test_a_dead_token_is_told_from_a_live_one(simulator: Simulator, fcm: Lane) -> None:
    page = await minted(simulator, 3)
    await simulator.admin.kill([page.tokens[1].reveal()])
    answers = await fcm.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.ACCEPTED]
    assert answers.reasons[1] == "UNREGISTERED"
    assert answers.dead_since == [None] * 3


REFUSALS = {
    "UNREGISTERED": Verdict.TOKEN_DEAD,
    "UNREGISTERED_IOS": Verdict.TOKEN_DEAD,
    "APNS_TOKEN_DISABLED": Verdict.TOKEN_DEAD,
    "INVALID_TOKEN": Verdict.TOKEN_DEAD,
    "INVALID_TOKEN_FIELD": Verdict.TOKEN_DEAD,
    "INVALID_ARGUMENT": Verdict.REFUSED,
    "INVALID_ARGUMENT_BARE": Verdict.REFUSED,
    "THIRD_PARTY_AUTH_ERROR": Verdict.MISCONFIGURED,
    "BAD_ENVIRONMENT_KEY": Verdict.MISCONFIGURED,
    # The access token is a moment old, so that another one would not help.
    "ACCESS_TOKEN_EXPIRED": Verdict.MISCONFIGURED,
    "ACCESS_TOKEN_INVALID": Verdict.MISCONFIGURED,
    "CREDENTIALS_MISSING": Verdict.MISCONFIGURED,
    "SENDER_ID_MISMATCH": Verdict.TOKEN_DOUBTFUL,
    "PERMISSION_DENIED": Verdict.MISCONFIGURED,
    "SERVICE_DISABLED": Verdict.MISCONFIGURED,
    "NOT_FOUND": Verdict.MISCONFIGURED,
    "QUOTA_EXCEEDED": Verdict.RETRY,
    "DEVICE_QUOTA_EXCEEDED": Verdict.RETRY,
    "TOPIC_QUOTA_EXCEEDED": Verdict.RETRY,
    "INTERNAL": Verdict.RETRY,
    "UNAVAILABLE": Verdict.RETRY,
    "BAD_GATEWAY": Verdict.RETRY,
}


@pytest.mark.parametrize("reason", REFUSALS)
async def test_refusals_as_fcm_words_them(simulator: Simulator, fcm: Lane, reason: str) -> None:
    await fault(simulator, FaultKind.ANSWER, reason=reason)
    answers = await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(answers) == [REFUSALS[reason]]


def test_every_refusal_of_the_simulator_is_tried() -> None:
    assert set(fcm_errors.REFUSALS) <= set(REFUSALS)


@pytest.mark.parametrize(("named", "wait"), [(7, 7), (None, 60)])
async def test_a_quota_answer_says_how_long_to_wait(
    simulator: Simulator, fcm: Lane, named: int | None, wait: int
) -> None:
    await fault(simulator, FaultKind.RETRY_AFTER, retry_after=named)
    answers = await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(answers) == [Verdict.RETRY]
    assert answers.retry_after == [timedelta(seconds=wait)]


@pytest.mark.parametrize(
    ("reason", "is_held"),
    [
        ("QUOTA_EXCEEDED", True),
        ("TOPIC_QUOTA_EXCEEDED", True),
        ("DEVICE_QUOTA_EXCEEDED", False),
        ("UNAVAILABLE", False),
    ],
)
async def test_a_quota_of_the_project_slows_the_lane_and_one_of_a_device_does_not(
    simulator: Simulator,
    hand_lanes: FolderLanes,
    hand_clock: ManualClock,
    reason: str,
    *,
    is_held: bool,
) -> None:
    fcm = hand_lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    await fault(simulator, FaultKind.ANSWER, reason=reason, count=1)
    await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    page = await minted(simulator, 2)
    answers = await fcm.send(MESSAGE, page, expires_at=soon())
    if is_held:
        assert answers.reasons == ["SLOWED_DOWN"] * 2
        assert answers.retry_after == [timedelta(minutes=1)] * 2
        assert answers.sent_at == [None] * 2
        hand_clock.advance(61)
        answers = await fcm.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED] * 2


async def test_rows_that_wait_when_the_lane_has_to_slow_down_are_given_back(
    simulator: Simulator, hand_lanes: FolderLanes
) -> None:
    fcm = hand_lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    await fault(simulator, FaultKind.ANSWER, reason="QUOTA_EXCEEDED", count=1)
    page = await minted(simulator, 240)  # more than the connections take at once
    answers = await fcm.send(MESSAGE, page, expires_at=soon())
    assert set(answers.reasons) == {"", "QUOTA_EXCEEDED", "SLOWED_DOWN"}
    for reason, sent_at in zip(answers.reasons, answers.sent_at, strict=True):
        assert (reason == "SLOWED_DOWN") == (sent_at is None)
    taken_rows = (await simulator.admin.ledger(ProviderName.FCM)).accepted
    assert taken_rows == answers.reasons.count("")


async def test_a_token_that_has_ended_is_replaced_within_the_send(
    simulator: Simulator, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    fcm = hand_lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    hand_clock.advance(120)  # old enough to be refused for its age
    await fault(simulator, FaultKind.ANSWER, reason="ACCESS_TOKEN_EXPIRED", count=1)
    page = await minted(simulator, 240)  # more than the connections take at once
    answers = await fcm.send(MESSAGE, page, expires_at=soon())
    assert Counter(verdicts(answers)) == {Verdict.ACCEPTED: 239, Verdict.RETRY: 1}
    assert (await simulator.admin.ledger(ProviderName.OAUTH)).accepted == 2


async def test_a_token_refused_while_fresh_is_a_credential_fault(
    simulator: Simulator, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    fcm = hand_lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    await fault(simulator, FaultKind.CREDENTIAL)
    answers = await fcm.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.MISCONFIGURED}
    await simulator.admin.clear_faults()
    early = await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(early) == [Verdict.MISCONFIGURED]
    hand_clock.advance(30)
    again = await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(again) == [Verdict.ACCEPTED]


async def test_a_refused_credential_stops_the_rows_that_are_not_on_their_way(
    simulator: Simulator, fcm: Lane
) -> None:
    await fault(simulator, FaultKind.ANSWER, reason="PERMISSION_DENIED")
    answers = await fcm.send(MESSAGE, await minted(simulator, 1_000), expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.MISCONFIGURED}
    assert set(answers.reasons) == {"PERMISSION_DENIED"}
    assert sum(at is not None for at in answers.sent_at) <= 100
    before = await answers_given(simulator, ProviderName.FCM)
    later = await fcm.send(MESSAGE, await minted(simulator, 10, Platform.IOS), expires_at=soon())
    assert later.sent_at == [None] * 10
    assert await answers_given(simulator, ProviderName.FCM) == before


async def test_a_wrong_apns_key_at_firebase_stops_ios_and_not_android(
    simulator: Simulator, fcm: Lane
) -> None:
    ios = await minted(simulator, 2, Platform.IOS)
    android = await minted(simulator, 2)
    tokens = [token.reveal() for token in ios.tokens]
    await fault(simulator, FaultKind.ANSWER, reason="THIRD_PARTY_AUTH_ERROR", tokens=tokens)
    refused = await fcm.send(MESSAGE, ios, expires_at=soon())
    assert verdicts(refused) == [Verdict.MISCONFIGURED] * 2
    mixed = TargetColumns(
        ids=[*ios.ids, *android.ids],
        tokens=[*ios.tokens, *android.tokens],
        platforms=[*ios.platforms, *android.platforms],
    )
    answers = await fcm.send(MESSAGE, mixed, expires_at=soon())
    assert verdicts(answers) == [Verdict.MISCONFIGURED] * 2 + [Verdict.ACCEPTED] * 2
    assert answers.sent_at[:2] == [None, None]
    assert answers.reasons[:2] == ["THIRD_PARTY_AUTH_ERROR"] * 2


async def test_a_refused_service_account_sends_nothing_and_is_not_asked_again_at_once(
    simulator: Simulator, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    fcm = hand_lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    await fault(simulator, FaultKind.ANSWER, ProviderName.OAUTH)
    for _ in range(3):
        answers = await fcm.send(MESSAGE, await minted(simulator, 2), expires_at=soon())
        assert set(verdicts(answers)) == {Verdict.MISCONFIGURED}
        assert answers.reasons == ["NO_ACCESS"] * 2
        assert answers.sent_at == [None] * 2
    assert (await answers_given(simulator, ProviderName.OAUTH)).total() == 1
    await simulator.admin.clear_faults()
    hand_clock.advance(30)
    probe = await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(probe) == [Verdict.ACCEPTED]


async def test_a_stop_brings_back_what_there_is(simulator: Simulator, fcm: Lane) -> None:
    page = await minted(simulator, 400)
    silent = [token.reveal() for token in page.tokens[10:]]
    await fault(simulator, FaultKind.NO_ANSWER, tokens=silent, after_accept=True)
    when = taken(simulator, ProviderName.FCM, 100)
    answers = await send_until_stopped(fcm, page, when=when)
    assert set(verdicts(answers)[:10]) == {Verdict.ACCEPTED}
    assert set(verdicts(answers)[10:]) == {Verdict.UNKNOWN, Verdict.RETRY}
    for verdict, sent_at in zip(verdicts(answers), answers.sent_at, strict=True):
        assert (verdict is Verdict.RETRY) == (sent_at is None)


async def test_a_stop_does_not_wait_for_an_access_token(simulator: Simulator, fcm: Lane) -> None:
    await fault(simulator, FaultKind.LATENCY, ProviderName.OAUTH, latency_ms=3_000)
    page = await minted(simulator, 2)
    answers = await send_until_stopped(fcm, page, when=asyncio.sleep(0.1))
    assert verdicts(answers) == [Verdict.RETRY] * 2
    assert answers.sent_at == [None] * 2


async def test_an_access_token_is_fetched_on_when_who_asked_for_it_has_left(
    simulator: Simulator, fcm: Lane
) -> None:
    await fault(simulator, FaultKind.LATENCY, ProviderName.OAUTH, latency_ms=1_000)
    left = await send_until_stopped(fcm, await minted(simulator, 1), when=asyncio.sleep(0.1))
    assert verdicts(left) == [Verdict.RETRY]
    answers = await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED]
    assert (await answers_given(simulator, ProviderName.OAUTH)).total() == 1


async def test_an_access_token_is_good_to_its_end_when_there_is_no_new_one(
    simulator: Simulator, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    fcm = hand_lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    page = await minted(simulator, 1)
    await fcm.send(MESSAGE, page, expires_at=soon())
    await fault(simulator, FaultKind.ANSWER, ProviderName.OAUTH)
    hand_clock.advance(56 * 60)
    for _ in range(3):
        answers = await fcm.send(MESSAGE, page, expires_at=soon(7_200))
        assert verdicts(answers) == [Verdict.ACCEPTED]
    hand_clock.advance(3.5 * 60)
    answers = await fcm.send(MESSAGE, page, expires_at=soon(7_200))
    assert answers.reasons == ["NO_ACCESS"]
    # The first; one while that was good, not repeated at once; and one when it no longer was.
    assert (await answers_given(simulator, ProviderName.OAUTH)).total() <= 3


async def test_after_a_stop_the_lane_sends_again(simulator: Simulator, fcm: Lane) -> None:
    await fault(simulator, FaultKind.NO_ANSWER, after_accept=True)
    when = taken(simulator, ProviderName.FCM, 50)
    await send_until_stopped(fcm, await minted(simulator, 150), when=when)
    await simulator.admin.clear_faults()
    answers = await fcm.send(MESSAGE, await minted(simulator, 150), expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}


async def test_refused_streams_are_written_again(simulator: Simulator, fcm: Lane) -> None:
    await fault(simulator, FaultKind.REFUSED_STREAM, count=1)
    answers = await fcm.send(MESSAGE, await minted(simulator, 5), expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}


async def test_a_row_refused_again_and_again_goes_back_as_not_sent(
    simulator: Simulator, fcm: Lane
) -> None:
    await fault(simulator, FaultKind.REFUSED_STREAM)
    answers = await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(answers) == [Verdict.RETRY]
    assert answers.sent_at == [None]


async def test_a_reset_request_is_unknown(simulator: Simulator, fcm: Lane) -> None:
    await fault(simulator, FaultKind.RESET, count=1, after_accept=True)
    answers = await fcm.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(answers) == [Verdict.UNKNOWN]
    assert answers.reasons == ["STREAM_RESET"]


async def test_a_lost_connection_leaves_written_rows_unknown(
    simulator: Simulator, fcm: Lane
) -> None:
    await fault(simulator, FaultKind.CLOSE, count=1)
    answers = await fcm.send(MESSAGE, await minted(simulator, 20), expires_at=soon())
    assert Verdict.UNKNOWN in verdicts(answers)
    for verdict, sent_at in zip(verdicts(answers), answers.sent_at, strict=True):
        assert (verdict is Verdict.RETRY) == (sent_at is None)


async def test_silence_ends_at_the_deadline_and_takes_nobody_along(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    change_credentials(tmp_path, answer_within=1.0)
    fcm = lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    page = await minted(simulator, 20)
    await fault(simulator, FaultKind.NO_ANSWER, tokens=[page.tokens[4].reveal()])
    answers = await fcm.send(MESSAGE, page, expires_at=soon())
    assert Counter(verdicts(answers)) == {Verdict.UNKNOWN: 1, Verdict.ACCEPTED: 19}
    assert answers.reasons[4] == "NO_ANSWER"


async def test_goaway_loses_no_row(simulator: Simulator, fcm: Lane) -> None:
    """httpx gives up on answers that are still to come, so some rows may end unknown."""
    await fault(simulator, FaultKind.GOAWAY, after_streams=5, count=1)
    page = await minted(simulator, 30)
    answers = await fcm.send(MESSAGE, page, expires_at=soon())
    assert set(verdicts(answers)) <= {Verdict.ACCEPTED, Verdict.UNKNOWN}
    ledger = await simulator.admin.ledger(ProviderName.FCM)
    assert all(count.accepted <= 1 for count in ledger.tokens.values())
    assert ledger.accepted >= verdicts(answers).count(Verdict.ACCEPTED)


async def test_a_lane_that_is_down_sends_nothing_and_says_for_how_long(
    simulator: Simulator, tmp_path: Path, hand_lanes: FolderLanes
) -> None:
    path = tmp_path / f"{APP}.toml"
    path.write_text(path.read_text().replace(simulator.fcm.origin, "https://127.0.0.1:1"))
    fcm = hand_lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    await fcm.send(MESSAGE, await minted(simulator, 100), expires_at=soon())
    answers = await fcm.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert verdicts(answers) == [Verdict.RETRY] * 3
    assert answers.reasons == ["LANE_DOWN"] * 3
    assert all(wait is not None and wait <= timedelta(seconds=1) for wait in answers.retry_after)


async def test_a_provider_that_answers_again_opens_the_lane_with_one_row(
    simulator: Simulator, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    fcm = hand_lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    await fault(simulator, FaultKind.ANSWER, reason="UNAVAILABLE")
    await fcm.send(MESSAGE, await minted(simulator, 100), expires_at=soon())
    await simulator.admin.clear_faults()
    await simulator.admin.reset_ledger()
    hand_clock.advance(1)
    probe = await fcm.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert verdicts(probe) == [Verdict.ACCEPTED, Verdict.RETRY, Verdict.RETRY]
    assert probe.reasons == ["", "LANE_DOWN", "LANE_DOWN"]
    after = await fcm.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert verdicts(after) == [Verdict.ACCEPTED] * 3


async def test_an_unreachable_fcm_means_not_sent(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    path = tmp_path / f"{APP}.toml"
    path.write_text(path.read_text().replace(simulator.fcm.origin, "https://127.0.0.1:1"))
    fcm = lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    answers = await fcm.send(MESSAGE, await minted(simulator, 100), expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.RETRY}
    assert set(answers.reasons) == {"CONNECT_FAILED"}
    assert set(answers.sent_at) == {None}
