"""The APNs lane against the simulator: what it sends, and what it makes of answers and faults."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nuncio_dispatcher.domain.model import (
    Environment,
    Message,
    Provider,
    PushToken,
    TargetColumns,
    Verdict,
)
from nuncio_dispatcher.domain.ports import Lane
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import SYSTEM_CLOCK, ManualClock
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
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
    write_credentials,
    write_sections,
)


async def minted(simulator: Simulator, count: int) -> TargetColumns:
    found = await simulator.admin.mint(ProviderName.APNS, count)
    return rows(plain(found.tokens))


async def fault(simulator: Simulator, kind: FaultKind, **details: object) -> None:
    await simulator.admin.fault(
        Fault.model_validate({"provider": ProviderName.APNS, "kind": kind, **details})
    )


async def accepted_ids(simulator: Simulator) -> Counter[str]:
    return Counter((await simulator.admin.ledger(ProviderName.APNS)).accepted_ids)


async def test_a_page_is_accepted_under_its_own_ids(simulator: Simulator, apns: Lane) -> None:
    page = await minted(simulator, 300)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}
    assert None not in answers.sent_at
    assert await accepted_ids(simulator) == Counter(str(row_id) for row_id in page.ids)


async def test_large_bodies_wait_for_the_window(simulator: Simulator, apns: Lane) -> None:
    page = await minted(simulator, 120)
    message = Message(title="Long", body="x" * 3_900)
    answers = await apns.send(message, page, expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}


async def test_a_message_without_text_is_a_background_push(
    simulator: Simulator, apns: Lane
) -> None:
    answers = await apns.send(
        Message(data={"sync": "now"}), await minted(simulator, 1), expires_at=soon()
    )
    assert verdicts(answers) == [Verdict.ACCEPTED]


async def test_pages_sent_at_the_same_time_share_the_lane(simulator: Simulator, apns: Lane) -> None:
    pages = [await minted(simulator, 50) for _ in range(4)]
    sends = [apns.send(MESSAGE, page, expires_at=soon()) for page in pages]
    for answers in await asyncio.gather(*sends):
        assert set(verdicts(answers)) == {Verdict.ACCEPTED}


async def test_an_empty_page_is_answered_at_once(apns: Lane) -> None:
    assert len(await apns.send(MESSAGE, rows([]), expires_at=soon())) == 0


async def test_410_tells_since_when_the_token_is_dead(simulator: Simulator, apns: Lane) -> None:
    page = await minted(simulator, 2)
    died = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    await simulator.admin.kill([page.tokens[1].reveal()], dead_since=died.timestamp())
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED, Verdict.TOKEN_DEAD]
    assert answers.reasons == ["", "Unregistered"]
    assert answers.dead_since == [None, died]


async def test_a_token_of_the_other_environment_is_only_doubtful(
    simulator: Simulator, lanes: FolderLanes
) -> None:
    sandbox = lanes.lane(APP, Provider.APNS, Environment.SANDBOX)
    answers = await sandbox.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(answers) == [Verdict.TOKEN_DOUBTFUL]
    assert answers.reasons == ["BadDeviceToken"]


async def test_a_strange_token_cannot_leave_its_place_in_the_path(
    simulator: Simulator, apns: Lane
) -> None:
    page = rows([PushToken("../../4/channels?x=\r\ny"), *(await minted(simulator, 1)).tokens])
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.TOKEN_DOUBTFUL, Verdict.ACCEPTED]


async def test_refused_streams_are_written_again_under_the_same_id(
    simulator: Simulator, apns: Lane
) -> None:
    await fault(simulator, FaultKind.REFUSED_STREAM, count=3)
    page = await minted(simulator, 20)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}
    assert await accepted_ids(simulator) == Counter(str(row_id) for row_id in page.ids)


async def test_a_row_refused_again_and_again_goes_back_as_not_sent(
    simulator: Simulator, apns: Lane
) -> None:
    await fault(simulator, FaultKind.REFUSED_STREAM)
    answers = await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(answers) == [Verdict.RETRY]
    assert answers.reasons == ["REFUSED_STREAM"]
    assert answers.sent_at == [None]


async def test_a_reset_request_is_unknown_and_not_sent_again(
    simulator: Simulator, apns: Lane
) -> None:
    await fault(simulator, FaultKind.RESET, count=1, after_accept=True)
    page = await minted(simulator, 5)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert Counter(verdicts(answers)) == {Verdict.UNKNOWN: 1, Verdict.ACCEPTED: 4}
    row = verdicts(answers).index(Verdict.UNKNOWN)
    assert answers.reasons[row] == "STREAM_RESET"
    assert answers.sent_at[row] is not None
    assert set((await accepted_ids(simulator)).values()) == {1}


async def test_goaway_resends_only_what_apns_never_saw(simulator: Simulator, apns: Lane) -> None:
    await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    await simulator.admin.reset_ledger()
    await fault(simulator, FaultKind.GOAWAY, after_streams=10, count=1, reason="Shutdown")
    page = await minted(simulator, 40)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}
    assert await accepted_ids(simulator) == Counter(str(row_id) for row_id in page.ids)


async def test_answers_still_come_after_goaway(simulator: Simulator, apns: Lane) -> None:
    await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    page = await minted(simulator, 6)
    slow = [token.reveal() for token in page.tokens[:3]]
    await fault(simulator, FaultKind.LATENCY, latency_ms=300, tokens=slow)
    last = page.tokens[-1].reveal()
    # The connection's first request was stream 1; the page has 3, 5, 7, 9, 11 and 13.
    await fault(simulator, FaultKind.GOAWAY, tokens=[last], count=1, last_stream_id=11)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}
    assert set((await accepted_ids(simulator)).values()) == {1}


async def test_a_lost_connection_leaves_written_rows_unknown_and_the_lane_alive(
    simulator: Simulator, apns: Lane
) -> None:
    await fault(simulator, FaultKind.CLOSE, count=1)
    page = await minted(simulator, 30)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED, Verdict.UNKNOWN}
    assert set(answers.reasons) == {"", "CONNECTION_LOST"}


async def test_silence_ends_at_the_deadline_and_takes_nobody_along(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    change_credentials(tmp_path, answer_within=0.5)
    apns = lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    page = await minted(simulator, 10)
    await fault(simulator, FaultKind.NO_ANSWER, tokens=[page.tokens[4].reveal()])
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert Counter(verdicts(answers)) == {Verdict.UNKNOWN: 1, Verdict.ACCEPTED: 9}
    assert answers.reasons[4] == "NO_ANSWER"


async def test_nothing_is_sent_after_the_expiry(simulator: Simulator, apns: Lane) -> None:
    answers = await apns.send(MESSAGE, await minted(simulator, 2), expires_at=soon(-1))
    assert set(verdicts(answers)) == {Verdict.EXPIRED}
    assert answers.sent_at == [None, None]


async def test_rows_that_expire_while_they_wait_are_not_written(
    simulator: Simulator, apns: Lane
) -> None:
    """A new connection has one stream until its first answer, so the second row has to wait."""
    await fault(simulator, FaultKind.LATENCY, latency_ms=700, count=1)
    answers = await apns.send(MESSAGE, await minted(simulator, 2), expires_at=soon(0.4))
    assert verdicts(answers) == [Verdict.ACCEPTED, Verdict.EXPIRED]
    assert answers.sent_at[1] is None


async def test_an_unreachable_apns_means_not_sent(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    path = tmp_path / f"{APP}.toml"
    path.write_text(path.read_text().replace(simulator.apns.origin, "https://127.0.0.1:1"))
    apns = lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    answers = await apns.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.RETRY}
    assert answers.reasons == ["CONNECT_FAILED"] * 3
    assert answers.sent_at == [None] * 3


async def test_an_issuer_that_is_not_trusted_is_not_talked_to(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    path = tmp_path / f"{APP}.toml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("ca_file")]
    path.write_text("\n".join(kept))
    apns = lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    answers = await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert answers.reasons == ["NOT_TRUSTED"]


async def test_a_refused_credential_is_no_fault_of_the_tokens(
    simulator: Simulator, apns: Lane
) -> None:
    await fault(simulator, FaultKind.CREDENTIAL)
    answers = await apns.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.MISCONFIGURED}
    assert set(answers.reasons) == {"InvalidProviderToken"}


async def test_a_refused_credential_costs_one_request_and_no_time(
    simulator: Simulator, apns: Lane
) -> None:
    await fault(simulator, FaultKind.CREDENTIAL)
    page = await minted(simulator, 1_000)
    async with asyncio.timeout(2):
        answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert Counter(verdicts(answers)) == {Verdict.MISCONFIGURED: 1_000}
    assert set(answers.reasons) == {"InvalidProviderToken"}
    assert [row for row, at in enumerate(answers.sent_at) if at is not None] == [0]
    given = await answers_given(simulator, ProviderName.APNS)
    assert given == {"InvalidProviderToken": 1}


async def test_a_lane_in_use_stops_when_its_credential_is_refused(
    simulator: Simulator, apns: Lane
) -> None:
    await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    await fault(simulator, FaultKind.CREDENTIAL)
    await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    pages = [await minted(simulator, 200) for _ in range(3)]
    sends = [apns.send(MESSAGE, page, expires_at=soon()) for page in pages]
    for answers in await asyncio.gather(*sends):
        assert set(verdicts(answers)) == {Verdict.MISCONFIGURED}
        assert set(answers.sent_at) == {None}
    given = await answers_given(simulator, ProviderName.APNS)
    assert given == {"": 1, "InvalidProviderToken": 1}


async def test_a_paused_lane_tries_one_row_after_the_wait(
    simulator: Simulator, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    apns = hand_lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    await fault(simulator, FaultKind.CREDENTIAL)
    await apns.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    hand_clock.advance(30)
    again = await apns.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert [at is None for at in again.sent_at] == [False, True, True]
    await simulator.admin.clear_faults()
    hand_clock.advance(30)
    probe = await apns.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert verdicts(probe) == [Verdict.ACCEPTED, Verdict.MISCONFIGURED, Verdict.MISCONFIGURED]
    after = await apns.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert verdicts(after) == [Verdict.ACCEPTED] * 3


async def test_a_changed_credential_is_a_lane_that_is_open(
    simulator: Simulator, tmp_path: Path, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    await fault(simulator, FaultKind.CREDENTIAL)
    refused = hand_lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    await refused.send(MESSAGE, await minted(simulator, 2), expires_at=soon())
    await simulator.admin.clear_faults()
    change_credentials(tmp_path, answer_within=4)
    hand_clock.advance(1)
    changed = hand_lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    answers = await changed.send(MESSAGE, await minted(simulator, 2), expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED] * 2


async def test_a_throttled_token_waits_a_minute(simulator: Simulator, apns: Lane) -> None:
    page = await minted(simulator, 2)
    throttled = [page.tokens[0].reveal()]
    await fault(simulator, FaultKind.ANSWER, status=429, reason="TooManyRequests", tokens=throttled)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.RETRY, Verdict.ACCEPTED]
    assert answers.retry_after == [timedelta(minutes=1), None]


async def test_a_stop_brings_back_what_there_is(simulator: Simulator, apns: Lane) -> None:
    await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    page = await minted(simulator, 20)
    silent = [token.reveal() for token in page.tokens[10:]]
    await fault(simulator, FaultKind.NO_ANSWER, tokens=silent, after_accept=True)
    when = taken(simulator, ProviderName.APNS, 21)
    answers = await send_until_stopped(apns, page, when=when)
    assert verdicts(answers) == [Verdict.ACCEPTED] * 10 + [Verdict.UNKNOWN] * 10
    assert answers.reasons == [""] * 10 + ["NO_ANSWER"] * 10
    assert None not in answers.sent_at


async def test_what_a_stop_finds_unwritten_was_not_sent(simulator: Simulator, apns: Lane) -> None:
    """A new connection has one stream until its first answer."""
    await fault(simulator, FaultKind.NO_ANSWER, after_accept=True)
    when = taken(simulator, ProviderName.APNS, 1)
    answers = await send_until_stopped(apns, await minted(simulator, 4), when=when)
    assert verdicts(answers) == [Verdict.UNKNOWN] + [Verdict.RETRY] * 3
    assert answers.reasons == ["NO_ANSWER"] + ["NOT_SENT"] * 3
    assert [at is None for at in answers.sent_at] == [False, True, True, True]


async def test_answers_that_come_within_a_moment_of_the_stop_count(
    simulator: Simulator, apns: Lane
) -> None:
    await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    page = await minted(simulator, 2)
    await fault(simulator, FaultKind.LATENCY, latency_ms=200, tokens=[page.tokens[0].reveal()])
    when = taken(simulator, ProviderName.APNS, 2)
    answers = await send_until_stopped(apns, page, when=when)
    assert verdicts(answers) == [Verdict.ACCEPTED] * 2


async def test_after_a_stop_nothing_is_begun(simulator: Simulator, apns: Lane) -> None:
    stop = asyncio.Event()
    stop.set()
    page = await minted(simulator, 3)
    answers = await apns.send(MESSAGE, page, expires_at=soon(), stop=stop)
    assert verdicts(answers) == [Verdict.RETRY] * 3
    assert answers.sent_at == [None] * 3


async def test_a_request_that_cannot_be_written_is_answered_and_the_lane_goes_on(
    simulator: Simulator, apns: Lane
) -> None:
    unwritable = Message(title="x", collapse_key="\ud800")
    async with asyncio.timeout(3):
        answers = await apns.send(unwritable, await minted(simulator, 5), expires_at=soon())
    assert verdicts(answers) == [Verdict.RETRY] * 5
    assert answers.sent_at == [None] * 5
    again = await apns.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert verdicts(again) == [Verdict.ACCEPTED] * 3


async def test_an_unrelated_key_is_cured_by_a_connection_or_not_at_all(
    simulator: Simulator, apns: Lane
) -> None:
    await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    await fault(simulator, FaultKind.ANSWER, reason="UnrelatedKeyIdInToken")
    used = await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(used) == [Verdict.RETRY]
    new = await apns.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(new) == [Verdict.MISCONFIGURED]


@pytest.fixture
async def late_clock() -> ManualClock:
    """Runs 70 minutes behind, so that its JWTs look expired."""
    return ManualClock(datetime.now(UTC) - timedelta(minutes=70))


async def test_an_expired_jwt_is_replaced_on_a_new_connection(
    simulator: Simulator, tmp_path: Path, transport: str, late_clock: ManualClock
) -> None:
    write_credentials(tmp_path, simulator, transport)
    lanes = FolderLanes(tmp_path, clock=late_clock)
    apns = lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    expires_at = soon(3_600)
    first = await apns.send(MESSAGE, await minted(simulator, 2), expires_at=expires_at)
    assert verdicts(first) == [Verdict.MISCONFIGURED] * 2  # young by our clock: the clock is wrong
    late_clock.advance(25 * 60)
    second = await apns.send(MESSAGE, await minted(simulator, 1), expires_at=expires_at)
    # Old enough to be replaced: the row that told us comes back, the next one is accepted.
    assert verdicts(second) == [Verdict.RETRY]
    assert second.reasons == ["ExpiredProviderToken"]
    third = await apns.send(MESSAGE, await minted(simulator, 1), expires_at=expires_at)
    assert verdicts(third) == [Verdict.ACCEPTED]
    await lanes.aclose()


async def test_rows_that_wait_go_out_with_the_new_jwt_within_the_send(
    simulator: Simulator, tmp_path: Path, transport: str
) -> None:
    clock = ManualClock(datetime.now(UTC) - timedelta(minutes=30))
    write_credentials(tmp_path, simulator, transport)
    lanes = FolderLanes(tmp_path, clock=clock)
    sandbox = lanes.lane(APP, Provider.APNS, Environment.SANDBOX)  # has the JWT made
    await sandbox.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    clock.advance(25 * 60)
    apns = lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    await fault(simulator, FaultKind.ANSWER, reason="ExpiredProviderToken", count=1)
    page = await minted(simulator, 20)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    # One stream until a token was taken: only the first row is refused.
    assert verdicts(answers) == [Verdict.RETRY] + [Verdict.ACCEPTED] * 19
    assert await accepted_ids(simulator) == Counter(str(row_id) for row_id in page.ids[1:])
    await lanes.aclose()


async def test_a_replaced_lane_ends_what_it_is_sending(
    simulator: Simulator, tmp_path: Path, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    old = hand_lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    page = await minted(simulator, 20)
    await fault(simulator, FaultKind.LATENCY, latency_ms=300, count=1)
    sending = asyncio.create_task(old.send(MESSAGE, page, expires_at=soon()))
    await taken(simulator, ProviderName.APNS, 1)
    change_credentials(tmp_path, answer_within=4)
    hand_clock.advance(1)
    new = hand_lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    assert new is not old
    answers = await new.send(MESSAGE, await minted(simulator, 3), expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED] * 3
    assert verdicts(await sending) == [Verdict.ACCEPTED] * 20
    late = await old.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert late.reasons == ["NOT_SENT"]


async def test_urgent_rows_do_not_wait_behind_the_others(simulator: Simulator, apns: Lane) -> None:
    """A new connection has one stream until its first answer."""
    bulk, urgent = await minted(simulator, 50), await minted(simulator, 3)
    await fault(simulator, FaultKind.LATENCY, latency_ms=200, count=1)
    sending = asyncio.create_task(apns.send(MESSAGE, bulk, expires_at=soon()))
    await taken(simulator, ProviderName.APNS, 1)
    await apns.send(MESSAGE, urgent, expires_at=soon(), urgent=True)
    await sending
    order = list(await accepted_ids(simulator))
    assert {str(row_id) for row_id in urgent.ids} == set(order[1:4])


async def test_a_cancelled_send_leaves_the_lane_usable(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    change_credentials(tmp_path, answer_within=0.5)
    apns = lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    await fault(simulator, FaultKind.NO_ANSWER, count=1)
    page = await minted(simulator, 3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await apns.send(MESSAGE, page, expires_at=soon())
    other = await minted(simulator, 3)
    answers = await apns.send(MESSAGE, other, expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.ACCEPTED}
    assert await accepted_ids(simulator) == Counter(str(row_id) for row_id in other.ids)


async def test_a_certificate_proves_the_connection_instead_of_a_jwt(
    simulator: Simulator, tmp_path: Path, transport: str
) -> None:
    access = simulator.apns
    section: dict[str, object] = {
        "certificate_file": str(access.client_certificate_file),
        "certificate_key_file": str(access.client_key_file),
        "topic": access.topics[0],
        "origin": access.origin,
        "ca_file": str(simulator.ca_file),
        "transport": transport,
    }
    write_sections(tmp_path / f"{APP}.toml", {"apns.production": section})
    lanes = FolderLanes(tmp_path, clock=SYSTEM_CLOCK)
    apns = lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    page = await minted(simulator, 20)
    answers = await apns.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED] * 20
    assert await accepted_ids(simulator) == Counter(str(row_id) for row_id in page.ids)
    await lanes.aclose()
