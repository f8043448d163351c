"""How a message's overrides are kept in JSON. Names of parts never change; new ones may be absent.

Moments and spans are whole milliseconds (since 1970 UTC). What only a newer release knows is left
out, enum values of that kind as if they were not set.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final, TypeVar

from nuncio_dispatcher.domain.overrides import (
    ActivityEvent,
    ApnsOverrides,
    FcmOverrides,
    LiveActivity,
    PushType,
    Urgency,
    WebPushOverrides,
)

Kept = Mapping[str, Any]
E = TypeVar("E", bound=IntEnum)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def apns_json(apns: ApnsOverrides | None) -> Kept | None:
    """What is kept of the overrides for APNs."""
    if apns is None:
        return None
    lasting = apns.expiration if isinstance(apns.expiration, timedelta) else None
    moment = apns.expiration if isinstance(apns.expiration, datetime) else None
    return {
        "push_type": apns.push_type,
        "topic": apns.topic,
        "priority": apns.priority,
        "time_to_live_ms": None if lasting is None else lasting // _MILLISECOND,
        "expires_at_ms": _moment_ms(moment),
        "collapse_id": apns.collapse_id,
        "payload": apns.payload,
        "live_activity": _activity_json(apns.live_activity),
    }


def apns_from(kept: Kept | None) -> ApnsOverrides | None:
    """What `apns_json` kept."""
    if kept is None:
        return None
    lasting = kept.get("time_to_live_ms")
    return ApnsOverrides(
        push_type=_known(PushType, kept.get("push_type")),
        topic=kept.get("topic", ""),
        priority=kept.get("priority"),
        expiration=_moment(kept, "expires_at_ms") if lasting is None else lasting * _MILLISECOND,
        collapse_id=kept.get("collapse_id", ""),
        payload=kept.get("payload"),
        live_activity=_activity_from(kept.get("live_activity")),
    )


def fcm_json(fcm: FcmOverrides | None) -> Kept | None:
    """What is kept of the overrides for FCM."""
    return None if fcm is None else {"message": fcm.message}


def fcm_from(kept: Kept | None) -> FcmOverrides | None:
    """What `fcm_json` kept."""
    return None if kept is None else FcmOverrides(message=kept.get("message", {}))


def web_push_json(web_push: WebPushOverrides | None) -> Kept | None:
    """What is kept of the overrides for Web Push."""
    if web_push is None:
        return None
    lasting = web_push.time_to_live
    return {
        "urgency": web_push.urgency,
        "topic": web_push.topic,
        "time_to_live_ms": None if lasting is None else lasting // _MILLISECOND,
        "payload": b64encode(web_push.payload).decode(),
    }


def web_push_from(kept: Kept | None) -> WebPushOverrides | None:
    """What `web_push_json` kept."""
    if kept is None:
        return None
    lasting = kept.get("time_to_live_ms")
    return WebPushOverrides(
        urgency=_known(Urgency, kept.get("urgency")),
        topic=kept.get("topic", ""),
        time_to_live=None if lasting is None else lasting * _MILLISECOND,
        payload=b64decode(kept.get("payload", "")),
    )


def _activity_json(activity: LiveActivity | None) -> Kept | None:
    if activity is None:
        return None
    return {
        "event": activity.event,
        "content_state": activity.content_state,
        "stale_date_ms": _moment_ms(activity.stale_date),
        "dismissal_date_ms": _moment_ms(activity.dismissal_date),
        "relevance_score": activity.relevance_score,
        "attributes_type": activity.attributes_type,
        "attributes": activity.attributes,
        "input_push_channel": activity.input_push_channel,
        "input_push_token": activity.input_push_token,
    }


def _activity_from(kept: Kept | None) -> LiveActivity | None:
    """None as well for an event that only a newer release knows: it would be told wrongly."""
    event = _known(ActivityEvent, kept.get("event")) if kept else None
    if kept is None or event is None:
        return None
    return LiveActivity(
        event=event,
        content_state=kept.get("content_state"),
        stale_date=_moment(kept, "stale_date_ms"),
        dismissal_date=_moment(kept, "dismissal_date_ms"),
        relevance_score=kept.get("relevance_score"),
        attributes_type=kept.get("attributes_type", ""),
        attributes=kept.get("attributes"),
        input_push_channel=kept.get("input_push_channel", ""),
        input_push_token=kept.get("input_push_token", False),
    )


def _moment_ms(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MILLISECOND


def _moment(kept: Kept, name: str) -> datetime | None:
    found = kept.get(name)
    return None if found is None else _EPOCH + found * _MILLISECOND


def _known(kind: type[E], number: int | None) -> E | None:
    try:
        return None if number is None else kind(number)
    except ValueError:
        return None
