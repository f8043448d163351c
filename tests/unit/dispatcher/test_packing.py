"""What is kept comes back as it was."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_dispatcher.domain.model import Message, Priority, Provider, Verdict
from nuncio_dispatcher.domain.overrides import (
    ActivityEvent,
    ApnsOverrides,
    FcmOverrides,
    LiveActivity,
    PushType,
    Urgency,
    WebPushOverrides,
)
from nuncio_dispatcher.domain.pages import Settled
from nuncio_dispatcher.domain.settle import settle
from nuncio_dispatcher.storage.packing import (
    follow_up_columns,
    message_from,
    message_json,
    pack_reasons,
    pack_times,
    settled_columns,
    unpack_reasons,
    unpack_times,
)
from tests.unit.dispatcher.builders import NOW, answers, page, terms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.lists(st.none() | moments, max_size=20))
def test_times_come_back_to_the_microsecond(times: list[datetime | None]) -> None:
    micros = unpack_times(pack_times(times), count=len(times))
    back = [EPOCH + timedelta(microseconds=each) if each else None for each in micros]
    assert back == times


def test_a_column_without_times_takes_no_room() -> None:
    assert pack_times([None] * 1000) == b""


@given(st.lists(st.sampled_from(["", "Unregistered", "BadDeviceToken"]), max_size=30))
def test_reasons_come_back(reasons: list[str]) -> None:
    packed, names = pack_reasons(reasons)
    assert [names[place] for place in unpack_reasons(packed)] == reasons
    assert len(names) == len(set(reasons))


def test_a_message_comes_back_with_all_its_parts() -> None:
    message = Message(
        title="t",
        body="b",
        image="https://i",
        sound="default",
        badge=0,
        link="https://l",
        data={"k": "v"},
        time_to_live=timedelta(seconds=1.5),
        collapse_key="c",
        priority=Priority.NORMAL,
        category="g",
        thread="h",
    )
    assert message_from(message_json(message)) == message
    assert message_from(message_json(Message())) == Message()


ACTIVITY = LiveActivity(
    event=ActivityEvent.START,
    content_state={"score": 3, "share": 0.5, "names": ["a", None]},
    stale_date=NOW,
    dismissal_date=NOW + timedelta(milliseconds=1),
    relevance_score=1.5,
    attributes_type="T",
    attributes={},
    input_push_channel="c",
    input_push_token=True,
)
OVERRIDDEN = Message(
    apns=ApnsOverrides(
        push_type=PushType.LIVEACTIVITY,
        topic="t",
        priority=1,
        expiration=NOW,
        collapse_id="c",
        payload={"aps": {"n": 1}},
        live_activity=ACTIVITY,
    ),
    fcm=FcmOverrides(message={"android": {"ttl": "1s"}, "data": None}),
    web_push=WebPushOverrides(
        urgency=Urgency.LOW, topic="t", time_to_live=timedelta(0), payload=b"\x00\xff"
    ),
)


@pytest.mark.parametrize(
    "message",
    [
        OVERRIDDEN,
        Message(apns=ApnsOverrides(expiration=timedelta(0))),
        Message(apns=ApnsOverrides(), fcm=FcmOverrides(message={}), web_push=WebPushOverrides()),
        Message(apns=ApnsOverrides(live_activity=LiveActivity(event=ActivityEvent.END))),
    ],
    ids=["all", "now or never", "nothing in them", "a bare activity"],
)
def test_overrides_come_back_from_json_with_all_their_parts(message: Message) -> None:
    assert message_from(orjson.loads(orjson.dumps(message_json(message)))) == message


def test_what_only_a_newer_release_knows_of_overrides_is_left_out() -> None:
    kept = orjson.loads(orjson.dumps(message_json(OVERRIDDEN)))
    kept["apns"] |= {"push_type": 99, "hologram": "h"}
    kept["apns"]["live_activity"]["event"] = 9
    kept["web_push"] |= {"urgency": 9}
    back = message_from(kept)
    assert back.apns is not None
    assert back.web_push is not None
    assert (back.apns.push_type, back.apns.live_activity) == (None, None)
    assert back.web_push.urgency is None


def test_a_message_of_an_older_release_has_no_overrides() -> None:
    kept = message_json(Message(title="t"))
    for name in ("apns", "fcm", "web_push"):
        del kept[name]
    assert message_from(kept) == Message(title="t")


def test_what_only_a_newer_release_knows_of_a_message_is_left_out() -> None:
    kept = message_json(Message(title="t"))
    assert message_from(kept | {"hologram": "h", "priority": 9}) == Message(title="t")
    del kept["thread"]
    assert message_from(kept) == Message(title="t")


def test_a_page_without_final_outcomes_is_as_good_as_reported() -> None:
    def reported(*verdicts: Verdict) -> bool:
        return settled_columns(settled(*verdicts))[-1]

    assert reported(Verdict.RETRY, Verdict.MISCONFIGURED)
    assert reported()
    assert not reported(Verdict.RETRY, Verdict.ACCEPTED)


def test_follow_ups_become_columns() -> None:
    result = settled(Verdict.RETRY, Verdict.MISCONFIGURED)
    due, tries, sent_before, in_doubt, counts, *_ = follow_up_columns(result.follow_ups)
    assert len(due) == 2
    assert (list(tries), list(sent_before)) == ([1, 1], [True, True])
    assert list(in_doubt) == [False, False]
    assert list(counts) == [1, 1]
    assert len(follow_up_columns([])) == len(follow_up_columns(result.follow_ups))


def settled(*verdicts: Verdict) -> Settled:
    sent = page(*[Provider.APNS] * len(verdicts))
    return settle(sent, answers(*verdicts), terms=terms(), now=NOW, jitter=lambda: 0.5)
