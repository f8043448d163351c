"""What a message says to one provider only. Nothing of it is shown by a repr."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]
"""A JSON object; whole numbers in it are integers."""


class PushType(IntEnum):
    """Kinds of APNs requests. The numbers are the wire enum's, the names in lower case APNs'."""

    ALERT = 1
    BACKGROUND = 2
    COMPLICATION = 3
    CONTROLS = 4
    FILEPROVIDER = 5
    LIVEACTIVITY = 6
    LOCATION = 7
    MDM = 8
    PUSHTOTALK = 9
    VOIP = 10
    WIDGETS = 11


class ActivityEvent(IntEnum):
    """What happens to a Live Activity. The numbers are the wire enum's."""

    START = 1
    UPDATE = 2
    END = 3


class Urgency(IntEnum):
    """RFC 8030, section 5.3. The numbers are the wire enum's."""

    VERY_LOW = 1
    LOW = 2
    NORMAL = 3
    HIGH = 4


@dataclass(frozen=True, kw_only=True, repr=False)
class LiveActivity:
    """One request for a Live Activity. None and empty text mean that the part is not there.

    input_push_channel and input_push_token: where an activity that starts gets its updates from;
    at most one of them.
    """

    event: ActivityEvent
    content_state: JsonObject | None = None
    stale_date: datetime | None = None
    dismissal_date: datetime | None = None
    relevance_score: float | None = None
    attributes_type: str = ""
    attributes: JsonObject | None = None
    input_push_channel: str = ""
    input_push_token: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class ApnsOverrides:
    """For APNs. None and empty text leave it to the neutral fields.

    expiration: until when APNs may keep trying, as a moment or from the attempt on; zero means one
    attempt. payload: merged over the body, RFC 7396.
    """

    push_type: PushType | None = None
    topic: str = ""
    priority: int | None = None
    expiration: datetime | timedelta | None = None
    collapse_id: str = ""
    payload: JsonObject | None = None
    live_activity: LiveActivity | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class FcmOverrides:
    """For FCM. message: merged over the rendered `message`, RFC 7396."""

    message: JsonObject


@dataclass(frozen=True, kw_only=True, repr=False)
class WebPushOverrides:
    """For Web Push. None and what is empty leave it to the neutral fields.

    payload: what the service worker gets, in place of nuncio's JSON.
    """

    urgency: Urgency | None = None
    topic: str = ""
    time_to_live: timedelta | None = None
    payload: bytes = b""
