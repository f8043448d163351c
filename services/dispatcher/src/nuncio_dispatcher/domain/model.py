"""What is sent, to whom, and what a provider answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final, Self
from uuid import UUID

from nuncio_dispatcher.domain.overrides import ApnsOverrides, FcmOverrides, WebPushOverrides
from nuncio_runtime.secret import Secret

APNS_KEEPS: Final = timedelta(days=30)
"""The longest time that APNs stores a notification."""


class Provider(IntEnum):
    """Who carries a message to the installation. The numbers are the wire enum's."""

    APNS = 1
    FCM = 2
    WEB_PUSH = 3


class Platform(IntEnum):
    """What an installation runs on. The numbers are the wire enum's."""

    IOS = 1
    ANDROID = 2
    WEB = 3
    MACOS = 4
    WATCHOS = 5
    TVOS = 6
    VISIONOS = 7


class Environment(IntEnum):
    """Which of a provider's worlds a token lives in. The numbers are the wire enum's."""

    PRODUCTION = 1
    SANDBOX = 2


class Verdict(IntEnum):
    """What one answer means for us. The numbers are the wire enum's: one byte per row."""

    ACCEPTED = 1  # the provider took it; says nothing about the screen
    TOKEN_DEAD = 2  # tell feedback; never send to it again
    TOKEN_DOUBTFUL = 3  # may be our environment or topic; count it, keep the token
    RETRY = 4  # their trouble; later, not before the time they name
    REFUSED = 5  # our message is wrong; trying again cannot help
    MISCONFIGURED = 6  # credential or topic; the lane needs a human
    UNKNOWN = 7  # bytes left, no answer came; may have been taken
    EXPIRED = 8  # time ran out before a provider took it


class Priority(IntEnum):
    """How urgent a message is. The numbers are the wire enum's."""

    HIGH = 1
    NORMAL = 2


@dataclass(frozen=True, kw_only=True, repr=False)
class Message:
    """What is to be shown, in words that every provider has. Its repr shows nothing of it.

    Empty text means that the part is not there. `badge`: None leaves the icon as it is, 0 clears
    it. `time_to_live`: how long the provider may keep trying; zero means now or never. `apns`,
    `fcm`, `web_push`: what goes before the neutral words at this provider.
    """

    title: str = ""
    body: str = ""
    image: str = ""
    sound: str = ""
    badge: int | None = None
    link: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    time_to_live: timedelta = timedelta(hours=1)
    collapse_key: str = ""
    priority: Priority = Priority.HIGH
    category: str = ""
    thread: str = ""
    apns: ApnsOverrides | None = None
    fcm: FcmOverrides | None = None
    web_push: WebPushOverrides | None = None

    def says_nothing(self) -> bool:
        """Whether there is nothing in it to deliver, to anybody."""
        neutral = self.title or self.body or self.image or self.sound or self.link or self.data
        overrides = self.apns or self.fcm or self.web_push
        return not (neutral or overrides) and self.badge is None

    def longest_life(self, now: datetime) -> timedelta:
        """The longest time from now on that a provider may keep trying, but for FCM's own words."""
        lives = [self.time_to_live]
        if self.apns is not None and self.apns.expiration is not None:
            until = self.apns.expiration
            lasting = until - now if isinstance(until, datetime) else until
            lives.append(min(lasting, APNS_KEEPS))
        if self.web_push is not None and self.web_push.time_to_live is not None:
            lives.append(self.web_push.time_to_live)
        return max(lives)


class PushToken(Secret[str]):
    """A provider's address of an installation: APNs token in hex, FCM token, Web Push endpoint.

    VoIP and Live Activity tokens of APNs are such tokens, too: the message's push type tells them
    apart. The subclasses are what is addressed in another way.
    """

    __slots__ = ()


class ApnsChannel(PushToken):
    """The id of a broadcast channel of APNs, in base64: everyone who follows a Live Activity."""

    __slots__ = ()


class FcmInstallation(PushToken):
    """A Firebase installation id (FID), which FCM takes in place of a registration token."""

    __slots__ = ()


class FcmTopic(PushToken):
    """The name of an FCM topic, without "/topics/": everyone who is subscribed to it."""

    __slots__ = ()


class FcmCondition(PushToken):
    """A condition over FCM topics: everyone whose subscriptions fulfil it."""

    __slots__ = ()


class WebPushToken(PushToken):
    """A Web Push subscription: the endpoint is the secret's value, the keys belong to it.

    p256dh: 65 bytes, an uncompressed P-256 point. auth: 16 bytes. vapid_key_id: the key that the
    subscription was made with; empty when that is not known.
    """

    __slots__ = ("auth", "p256dh", "vapid_key_id")

    def __init__(
        self, endpoint: str, *, p256dh: bytes, auth: bytes, vapid_key_id: str = ""
    ) -> None:
        super().__init__(endpoint)
        self.p256dh = p256dh
        self.auth = auth
        self.vapid_key_id = vapid_key_id


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a message goes that is sent past the registry.

    platform: a number of Platform; 0 where it is not known or there are several, as for a topic.
    """

    provider: Provider
    token: PushToken
    environment: Environment = Environment.PRODUCTION
    platform: int = 0


@dataclass(frozen=True, kw_only=True)
class TargetColumns:
    """Rows of one lane, by columns of equal length.

    ids: the request ids, chosen before the first attempt and the same in every later one
    (`apns-id`). tokens: in the Web Push lane each of them is a WebPushToken. platforms: numbers
    of Platform; a newer peer may have numbers that Platform does not know yet, and 0 stands for
    several or one that is not known.
    """

    ids: Sequence[UUID]
    tokens: Sequence[PushToken] = field(repr=False)
    platforms: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What came of rows that were sent, by columns of equal length, in the order of the rows.

    verdicts: one Verdict per byte. reasons: the provider's reason or ours, a short name from a
    bounded set, "" for accepted. dead_since: by the provider's own clock, None when it did not
    say. sent_at: when the request was written; None when provably nothing was. retry_after: how
    long the provider asks to wait, None when it does not.
    """

    verdicts: bytearray
    reasons: list[str]
    dead_since: list[datetime | None]
    sent_at: list[datetime | None]
    retry_after: list[timedelta | None]

    @classmethod
    def uniform(
        cls, count: int, verdict: Verdict, *, reason: str = "", sent_at: datetime | None = None
    ) -> Self:
        """The same answer for so many rows."""
        return cls(
            verdicts=bytearray([verdict]) * count,
            reasons=[reason] * count,
            dead_since=[None] * count,
            sent_at=[sent_at] * count,
            retry_after=[None] * count,
        )

    def __len__(self) -> int:
        return len(self.verdicts)
