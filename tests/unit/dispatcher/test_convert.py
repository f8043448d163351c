"""The contract's messages become the domain's values, and back."""

from datetime import timedelta
from uuid import UUID

import pytest

from nuncio.common.v1 import error_reason_pb2, provider_pb2, target_pb2
from nuncio.dispatcher.v1 import dispatch_pb2, message_pb2
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.targeting.v1 import audience_pb2, targeting_service_pb2
from nuncio_dispatcher.api import convert
from nuncio_dispatcher.clients.feedback import outcome_page
from nuncio_dispatcher.clients.targeting import resolved_from
from nuncio_dispatcher.domain.books import Books, Entry, Outcome
from nuncio_dispatcher.domain.commands import Refused
from nuncio_dispatcher.domain.dispatch import Audience, DeliveryPolicy
from nuncio_dispatcher.domain.errors import DispatchNotFound, UpstreamFault
from nuncio_dispatcher.domain.model import Message, Platform, Priority, Provider, WebPushToken
from nuncio_dispatcher.domain.pages import Outcomes, OutcomesOf, Rows
from nuncio_runtime.errors import InvalidField, ServiceError
from nuncio_runtime.paging import PageTokenMismatch
from tests.unit.dispatcher.builders import installation_ids
from tests.unit.dispatcher.test_watch import dispatch


def request(**message: object) -> pb.CreateDispatchRequest:
    return pb.CreateDispatchRequest(
        app_id="shop",
        client_ref="first",
        message=message_pb2.Message(**message),  # type: ignore[arg-type]
        audience=audience_pb2.Audience(expression="all()"),
    )


def test_what_an_order_leaves_out_has_its_documented_default() -> None:
    order = convert.order_from(request(title="t"))
    assert order.message == Message(title="t")
    assert order.message.time_to_live == timedelta(hours=1)
    assert order.message.priority is Priority.HIGH
    assert order.delivery is DeliveryPolicy.AT_LEAST_ONCE
    assert order.expires_at is None


def test_zero_is_not_the_same_as_left_out() -> None:
    wanted = request(badge=0)
    wanted.message.time_to_live.FromTimedelta(timedelta(0))
    message = convert.order_from(wanted).message
    assert (message.badge, message.time_to_live) == (0, timedelta(0))


@pytest.mark.parametrize("test", [False, True])
def test_a_test_is_ordered_and_reported_as_one(test: bool) -> None:
    wanted = request(title="t")
    wanted.test = test
    assert convert.order_from(wanted).test is test
    page = Outcomes(
        of=OutcomesOf(UUID(int=1), "shop", "", test),
        shard_no=1,
        number=1,
        rows=Rows(),
        verdicts=b"",
        reasons=(),
        reason_names=(),
        sent_at=(),
        dead_since=(),
    )
    assert outcome_page(page).test is test


def test_equal_orders_have_equal_digests_whatever_the_order_of_their_data() -> None:
    one = convert.order_from(request(data={"a": "1", "b": "2"}))
    two = convert.order_from(request(data={"b": "2", "a": "1"}))
    other = convert.order_from(request(data={"a": "1", "b": "3"}))
    assert one.content_digest == two.content_digest
    assert one.content_digest != other.content_digest


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        (audience_pb2.Audience(expression="all()"), Audience(expression="all()")),
        (
            audience_pb2.Audience(
                installations=audience_pb2.InstallationSet(installation_ids=b"i" * 32)
            ),
            Audience(installation_ids=b"i" * 32),
        ),
        (
            audience_pb2.Audience(users=audience_pb2.UserSet(user_ids=["u", "v"])),
            Audience(user_ids=("u", "v")),
        ),
    ],
    ids=["expression", "installations", "users"],
)
def test_an_audience_is_one_of_three_kinds(
    audience: audience_pb2.Audience, expected: Audience
) -> None:
    wanted = request()
    wanted.audience.CopyFrom(audience)
    assert convert.order_from(wanted).audience == expected


def test_a_time_beyond_the_calendar_is_refused() -> None:
    wanted = request()
    wanted.expire_time.seconds = 1 << 60
    with pytest.raises(InvalidField, match="expire_time"):
        convert.order_from(wanted)


def test_books_are_told_by_reason() -> None:
    books = Books(
        {
            Entry(Outcome.RESOLVED): 12,
            Entry(Outcome.SUPPRESSED, 0, "NO_CONSENT"): 2,
            Entry(Outcome.SUPPRESSED, 0, "77"): 1,
            Entry(Outcome.TOKEN_DEAD, Provider.FCM, "UNREGISTERED"): 4,
            Entry(Outcome.REJECTED, Provider.APNS, "BadDeviceToken"): 5,
            Entry(Outcome.RETRIED): 3,
        }
    )
    told = convert.books_to(books)
    assert told.resolved == 12
    assert told.retried == 3
    assert [(each.reason, each.count) for each in told.suppressed] == [
        (target_pb2.SUPPRESSION_REASON_NO_CONSENT, 2),
        (77, 1),
    ]
    assert list(told.rejected) == [
        dispatch_pb2.RejectedCount(
            provider=provider_pb2.PROVIDER_APNS, reason="BadDeviceToken", count=5
        ),
        dispatch_pb2.RejectedCount(
            provider=provider_pb2.PROVIDER_FCM, reason="UNREGISTERED", count=4, token_dead=True
        ),
    ]


def test_a_reason_that_only_a_newer_release_can_name_is_not_specified() -> None:
    told = convert.books_to(Books({Entry(Outcome.SUPPRESSED, 0, "MOON_PHASE"): 1}))
    (suppressed,) = told.suppressed
    assert suppressed.reason == target_pb2.SUPPRESSION_REASON_UNSPECIFIED


def test_a_running_dispatch_has_no_finish_time() -> None:
    assert not convert.dispatch_to(dispatch()).HasField("finish_time")
    assert convert.dispatch_to(dispatch(finished=True)).HasField("finish_time")


def test_a_list_goes_on_where_its_token_says() -> None:
    wanted = pb.ListDispatchesRequest(app_id="shop", campaign="spring")
    wanted.page_token = convert.next_page_token(wanted, dispatch())
    assert convert.list_cursor(wanted) == (dispatch().created_at, dispatch().dispatch_id)
    assert convert.list_cursor(pb.ListDispatchesRequest(app_id="shop")) is None


def test_a_token_of_another_list_is_refused() -> None:
    wanted = pb.ListDispatchesRequest(app_id="shop", campaign="spring")
    wanted.page_token = convert.next_page_token(wanted, dispatch())
    wanted.campaign = "summer"
    with pytest.raises(PageTokenMismatch):
        convert.list_cursor(wanted)


def test_a_refusal_carries_reason_and_metadata() -> None:
    event = convert.event_to("c", Refused(DispatchNotFound(UUID(int=9))))
    assert event.command_id == "c"
    assert event.refused.reason == error_reason_pb2.ERROR_REASON_DISPATCH_NOT_FOUND
    assert event.refused.metadata == {"dispatchId": str(UUID(int=9))}


def test_a_refusal_for_a_reason_that_is_not_in_the_contract_is_a_fault_of_ours() -> None:
    class Novel(ServiceError):
        """Something new."""

        reason = "INTERNAL_NOVELTY"

    event = convert.event_to("c", Refused(Novel()))
    assert event.refused.reason == error_reason_pb2.ERROR_REASON_INTERNAL


def target_page() -> target_pb2.TargetPage:
    """Four rows, the first and the third of them Web Push."""
    return target_pb2.TargetPage(
        count=4,
        installation_ids=installation_ids(4),
        token_refs=installation_ids(4),
        platforms=bytes([Platform.WEB, Platform.IOS, Platform.WEB, Platform.ANDROID]),
        providers=bytes([Provider.WEB_PUSH, Provider.APNS, Provider.WEB_PUSH, Provider.FCM]),
        environments=b"\1\1\1\1",
        tokens=[b"https://a", b"00ff", b"https://b", b"f:1"],
        web_push_keys=b"A" * 65 + b"a" * 16 + b"B" * 65 + b"b" * 16,
        vapid_key_ids=["", "spring"],
    )


@pytest.mark.parametrize(
    "column",
    [
        "installation_ids",
        "token_refs",
        "platforms",
        "providers",
        "environments",
        "tokens",
        "web_push_keys",
        "vapid_key_ids",
    ],
)
def test_a_page_whose_columns_do_not_fit_together_is_a_fault_of_targeting(column: str) -> None:
    page = target_page()
    shorten(page, column)
    with pytest.raises(UpstreamFault, match=column) as caught:
        resolved_from(targeting_service_pb2.ResolveAudienceResponse(page=page))
    assert caught.value.metadata == {"service": "targeting"}


def shorten(page: target_pb2.TargetPage, column: str) -> None:
    """Take the last element off a column."""
    short = getattr(page, column)[:-1]
    page.ClearField(column)  # type: ignore[arg-type]
    page.MergeFrom(target_pb2.TargetPage(**{column: short}))


def test_an_older_registry_names_no_vapid_keys() -> None:
    page = target_page()
    del page.vapid_key_ids[:]
    found = resolved_from(targeting_service_pb2.ResolveAudienceResponse(page=page))
    assert len(found.targets) == 4


def test_a_token_that_is_no_text_is_for_its_provider_to_refuse() -> None:
    page = target_page()
    page.tokens[1] = b"\xff"
    found = resolved_from(targeting_service_pb2.ResolveAudienceResponse(page=page))
    assert found.targets.tokens[1].reveal() == "\ufffd"


def test_a_page_of_targets_keeps_its_keys_with_their_subscriptions() -> None:
    page = target_page()
    suppressed = [
        target_pb2.SuppressedCount(reason=target_pb2.SUPPRESSION_REASON_STALE, count=2),
        target_pb2.SuppressedCount(reason=77, count=1),  # type: ignore[arg-type]
    ]
    resolved = resolved_from(
        targeting_service_pb2.ResolveAudienceResponse(page=page, suppressed=suppressed, cursor=b"c")
    )
    tokens = resolved.targets.tokens
    assert [token.reveal() for token in tokens] == ["https://a", "00ff", "https://b", "f:1"]
    subscriptions = [token for token in tokens if isinstance(token, WebPushToken)]
    assert [(each.p256dh[:1], each.auth[:1], each.vapid_key_id) for each in subscriptions] == [
        (b"A", b"a", ""),
        (b"B", b"b", "spring"),
    ]
    assert resolved.suppressed == {"STALE": 2, "77": 1}
