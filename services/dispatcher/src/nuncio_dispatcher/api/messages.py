"""The contract's Message to the domain's, overrides included."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.dispatcher.v1 import message_pb2
from nuncio_dispatcher.domain.model import Message, Priority
from nuncio_dispatcher.domain.overrides import (
    ActivityEvent,
    ApnsOverrides,
    FcmOverrides,
    JsonObject,
    LiveActivity,
    PushType,
    Urgency,
    WebPushOverrides,
)
from nuncio_runtime.errors import FieldViolation, InvalidField

_LAST_SECOND: Final = 253_402_300_799  # of the year 9999, where Timestamp and datetime end
_LARGEST_WHOLE: Final = 2**53
"""Up to here a double has every whole number; beyond, an integer would claim too much."""


def message_from(message: message_pb2.Message) -> Message:
    """What is to be shown. Raises InvalidField for a time or a JSON value that does not exist."""
    life = {"time_to_live": message.time_to_live.ToTimedelta()}
    return Message(
        title=message.title,
        body=message.body,
        image=message.image,
        sound=message.sound,
        badge=message.badge if message.HasField("badge") else None,
        link=message.link,
        data=dict(message.data),
        collapse_key=message.collapse_key,
        priority=Priority(message.priority or Priority.HIGH),
        category=message.category,
        thread=message.thread,
        apns=_apns(message.apns) if message.HasField("apns") else None,
        fcm=_fcm(message.fcm) if message.HasField("fcm") else None,
        web_push=_web_push(message.web_push) if message.HasField("web_push") else None,
        **(life if message.HasField("time_to_live") else {}),
    )


def moment_from(timestamp: Timestamp, *, field: str) -> datetime:
    """The time. Raises InvalidField, naming the field, for one that does not exist."""
    if not 0 <= timestamp.seconds <= _LAST_SECOND or not 0 <= timestamp.nanos < 10**9:
        raise InvalidField(FieldViolation(field, "must be between 1970 and 9999"))
    return timestamp.ToDatetime(tzinfo=UTC)


def json_object(struct: Struct, *, field: str) -> JsonObject:
    """The object, with whole numbers as integers. Raises InvalidField for what JSON has not."""
    return {
        name: _json_value(value, field=f"{field}.{name}") for name, value in struct.fields.items()
    }


def _json_value(value: Value, *, field: str) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return json_object(value.struct_value, field=field)
        case "list_value":
            return _json_list(value.list_value.values, field=field)
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            return _number(value.number_value, field=field)
        case "null_value":
            return None
        case _:
            raise InvalidField(FieldViolation(field, "must have a value"))


def _json_list(values: Iterable[Value], *, field: str) -> list[Any]:
    return [_json_value(each, field=f"{field}[{at}]") for at, each in enumerate(values)]


def _number(number: float, *, field: str) -> int | float:
    if not math.isfinite(number):
        raise InvalidField(FieldViolation(field, "must be finite"))
    is_whole = number.is_integer() and abs(number) <= _LARGEST_WHOLE
    return int(number) if is_whole else number


def _apns(apns: message_pb2.ApnsOverrides) -> ApnsOverrides:
    has_activity, has_payload = apns.HasField("live_activity"), apns.HasField("payload")
    return ApnsOverrides(
        push_type=PushType(apns.push_type) if apns.push_type else None,
        topic=apns.topic,
        priority=apns.priority if apns.HasField("priority") else None,
        expiration=_expiration(apns),
        collapse_id=apns.collapse_id,
        payload=json_object(apns.payload, field="message.apns.payload") if has_payload else None,
        live_activity=_live_activity(apns.live_activity) if has_activity else None,
    )


def _expiration(apns: message_pb2.ApnsOverrides) -> datetime | timedelta | None:
    match apns.WhichOneof("expiration"):
        case "time_to_live":
            return apns.time_to_live.ToTimedelta()
        case "expire_time":
            return moment_from(apns.expire_time, field="message.apns.expire_time")
        case None:
            return None


def _live_activity(activity: message_pb2.LiveActivity) -> LiveActivity:
    field = "message.apns.live_activity"

    def struct(name: str, found: Struct) -> JsonObject | None:
        has_it = activity.HasField(name)  # type: ignore[arg-type]
        return json_object(found, field=f"{field}.{name}") if has_it else None

    def moment(name: str, found: Timestamp) -> datetime | None:
        has_it = activity.HasField(name)  # type: ignore[arg-type]
        return moment_from(found, field=f"{field}.{name}") if has_it else None

    has_score = activity.HasField("relevance_score")
    return LiveActivity(
        event=ActivityEvent(activity.event),
        content_state=struct("content_state", activity.content_state),
        stale_date=moment("stale_date", activity.stale_date),
        dismissal_date=moment("dismissal_date", activity.dismissal_date),
        relevance_score=activity.relevance_score if has_score else None,
        attributes_type=activity.attributes_type,
        attributes=struct("attributes", activity.attributes),
        input_push_channel=activity.input_push_channel,
        input_push_token=activity.input_push_token,
    )


def _fcm(fcm: message_pb2.FcmOverrides) -> FcmOverrides:
    return FcmOverrides(message=json_object(fcm.message, field="message.fcm.message"))


def _web_push(web_push: message_pb2.WebPushOverrides) -> WebPushOverrides:
    has_life = web_push.HasField("time_to_live")
    return WebPushOverrides(
        urgency=Urgency(web_push.urgency) if web_push.urgency else None,
        topic=web_push.topic,
        time_to_live=web_push.time_to_live.ToTimedelta() if has_life else None,
        payload=web_push.payload,
    )
