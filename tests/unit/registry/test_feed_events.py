"""Events and positions as callers of the change feed get them."""

import base64
import hashlib

import pytest

from nuncio.registry.v1 import event_pb2
from nuncio_registry.api.feed import responses_from
from nuncio_registry.api.room import RESPONSE_BYTES
from nuncio_registry.domain.feed import EVENTS_PER_PAGE, position_of, position_text
from nuncio_registry.domain.model import (
    ChangeKind,
    ConsentState,
    Environment,
    Facts,
    Installation,
    Permission,
    Platform,
    Provider,
    TokenState,
)
from nuncio_registry.domain.ports.feed import FeedEvent, FeedPage, Position
from nuncio_runtime.errors import InvalidField
from tests.unit.registry.builders import APP, NOW, key

HERE = Position(700, 7)


def event(
    number: int = 1,
    kind: int = ChangeKind.ROTATED,
    *,
    value: int = 0,
    detail: str = "",
    installation: Installation | None = None,
) -> FeedEvent:
    """An event whose position has its number."""
    place = Position(800, number)
    return FeedEvent(place, key(number), kind, value, detail, NOW, installation)


def test_a_position_is_read_back_in_its_own_app() -> None:
    position = Position(2**40, 2**50)
    assert position_of(position_text(position, APP), APP) == position
    assert position_of("", APP) is None


def of_a_newer_release() -> str:
    """A position whose version is another, sealed as ours are."""
    place = b"\x02" + bytes(16)
    key_ = hashlib.sha256(APP.encode()).digest()
    seal = hashlib.blake2b(place, key=key_, digest_size=7).digest()
    return base64.urlsafe_b64encode(place + seal).decode()


GOOD = position_text(HERE, APP)


@pytest.mark.parametrize(
    "text",
    [
        position_text(HERE, "com.example.other"),
        of_a_newer_release(),
        GOOD[:-4],
        GOOD + "AAAA",
        GOOD[:-1],
        "AAAA" + GOOD[4:],
        GOOD[:12] + "BBBB" + GOOD[16:],
        "!",
        "ü",
        "now",
    ],
)
def test_what_is_no_position_of_the_app_is_refused(text: str) -> None:
    with pytest.raises(InvalidField) as refused:
        position_of(text, APP)
    assert refused.value.violations[0].field == "position"
    assert text not in str(refused.value)


def installation(attributes: int = 0) -> Installation:
    """An installation with so many attributes of 500 characters."""
    return Installation(
        installation_id=key(1),
        platform=Platform.IOS,
        provider=Provider.APNS,
        environment=Environment.PRODUCTION,
        user_id="ada",
        token_state=TokenState.ACTIVE,
        token_state_reason="",
        token_hash=b"h" * 32,
        facts=Facts(attributes={f"a{n}": "x" * 500 for n in range(attributes)}),
        consents={},
        created_at=NOW,
        registered_at=NOW,
        token_changed_at=NOW,
        last_opened_at=None,
        died_at=None,
        vapid_key_id="",
    )


@pytest.mark.parametrize(
    ("kind", "value", "detail", "told"),
    [
        (ChangeKind.REGISTERED, 0, "", ""),
        (ChangeKind.PERMISSION_CHANGED, Permission.DENIED, "", "denied"),
        (ChangeKind.PERMISSION_CHANGED, 99, "", ""),
        (ChangeKind.CONSENT_CHANGED, ConsentState.GRANTED, "news", "news=granted"),
        (ChangeKind.INVALIDATED, 0, "Unregistered", "Unregistered"),
        (ChangeKind.EXPIRED, 0, "internal", ""),
        (99, 3, "newer", ""),
    ],
)
def test_the_detail_is_what_the_contract_says(
    kind: int, value: int, detail: str, told: str
) -> None:
    only = event(1, kind, value=value, detail=detail, installation=installation())
    (response,) = responses_from(FeedPage([only], only.position), APP)
    (message,) = response.events
    assert (message.kind, message.detail) == (kind, told)
    assert message.installation_id == message.installation.installation_id == str(key(1))
    assert message.event_time.ToDatetime(NOW.tzinfo) == NOW


def test_an_event_of_what_is_gone_has_no_installation() -> None:
    only = event(1, ChangeKind.ERASED)
    (response,) = responses_from(FeedPage([only], only.position), APP)
    assert response.events[0].kind == event_pb2.INSTALLATION_EVENT_KIND_ERASED
    assert not response.events[0].HasField("installation")


def test_large_installations_are_spread_over_responses_that_any_client_takes() -> None:
    large = installation(attributes=30)
    events = [event(n, installation=large) for n in range(1, EVENTS_PER_PAGE + 1)]
    events = [each._replace(installation_id=key(1)) for each in events]
    responses = list(responses_from(FeedPage(events, events[-1].position), APP))
    assert len(responses) > 10
    assert max(response.ByteSize() for response in responses) < 1.1 * RESPONSE_BYTES
    assert sum(len(response.events) for response in responses) == EVENTS_PER_PAGE
    given = 0
    for response in responses:
        given += len(response.events)
        assert position_of(response.position, APP) == Position(800, given)
