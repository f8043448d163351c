"""The registry's words as values. Numbers of enumerations are those of the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple, TypeAlias
from uuid import UUID

from nuncio_runtime.secret import Secret


class Platform(IntEnum):
    """What an installation runs on."""

    IOS = 1
    ANDROID = 2
    WEB = 3
    MACOS = 4
    WATCHOS = 5
    TVOS = 6
    VISIONOS = 7


class Provider(IntEnum):
    """Who carries messages to an installation."""

    APNS = 1
    FCM = 2
    WEB_PUSH = 3


class Environment(IntEnum):
    """Which world a token lives in."""

    PRODUCTION = 1
    SANDBOX = 2


class Permission(IntEnum):
    """What the operating system or the browser allows."""

    UNDETERMINED = 1
    GRANTED = 2
    PROVISIONAL = 3
    DENIED = 4


class ConsentState(IntEnum):
    """What the person agreed to, for one purpose."""

    GRANTED = 1
    DENIED = 2


class TokenState(IntEnum):
    """Whether messages may be sent to a token, and if not, why."""

    ACTIVE = 1
    INVALID = 2
    EXPIRED = 3
    REPLACED = 4


class RegistrationOutcome(IntEnum):
    """What registering did."""

    CREATED = 1
    REFRESHED = 2
    ROTATED = 3
    REASSIGNED = 4
    STALE = 5


class InvalidationOutcome(IntEnum):
    """What invalidating one token did."""

    INVALIDATED = 1
    KEPT_NEWER = 2
    KEPT_OTHER_TOKEN = 3
    ALREADY_DEAD = 4
    UNKNOWN = 5


class ChangeKind(IntEnum):
    """What happened to an installation, for the change feed."""

    REGISTERED = 1
    ROTATED = 2
    REPLACED = 3
    INVALIDATED = 4
    EXPIRED = 5
    RESTORED = 6
    PERMISSION_CHANGED = 7
    CONSENT_CHANGED = 8
    IDENTIFIED = 9
    ERASED = 10
    DELETED = 11


class Suppression(IntEnum):
    """Why a matching installation may not be reached: the first of these that applies, in the
    order of their numbers. The one place for the rule in words; the function suppression of
    schema.sql carries it out.

    INACTIVE_TOKEN: the token is not ACTIVE. NO_PERMISSION: denied; or undetermined, except on
    Android, whose older versions never ask. NO_CONSENT: a purpose is asked for, and the person did
    not grant it. STALE: last seen longer ago than the app's stale_after.
    """

    INACTIVE_TOKEN = 2
    NO_PERMISSION = 3
    NO_CONSENT = 4
    STALE = 5


class PushToken(Secret[bytes]):
    """A provider's address in plain text: see `domain.tokens` for the form."""

    __slots__ = ()


class Version(NamedTuple):
    """A version of up to six numbers, as it was given: "2.3.1"."""

    text: str


# A typed constant: of an attribute, or to compare a field with.
Value: TypeAlias = str | float | bool | datetime | Version


class Facts(NamedTuple):
    """What an installation tells of itself. None leaves what is stored as it is.

    topics, tags: sorted. attributes: those to set. last_seen: at registration, None means now.
    """

    permission: Permission | None = None
    language: str | None = None
    country: str | None = None
    time_zone: str | None = None
    app_version: str | None = None
    os_version: str | None = None
    device_model: str | None = None
    sdk_version: str | None = None
    topics: tuple[str, ...] | None = None
    attributes: Mapping[str, Value] | None = None
    last_seen: datetime | None = None
    tags: tuple[str, ...] | None = None


class ConsentChange(NamedTuple):
    """A change of consent for one purpose."""

    purpose: str
    state: ConsentState
    source: str = ""
    prompt_strategy: str = ""
    policy_version: str = ""
    actor: str = ""


class Registration(NamedTuple):
    """A token and what its installation tells of itself.

    user_id: None leaves the user as it is. observed_at: None means now, and is never stale.
    content_hash: see `domain.repeats`; None when it is not known.
    """

    installation_id: UUID
    platform: Platform
    provider: Provider
    environment: Environment
    token: PushToken
    vapid_key_id: str = ""
    user_id: str | None = None
    facts: Facts = Facts()
    consents: tuple[ConsentChange, ...] = ()
    observed_at: datetime | None = None
    content_hash: bytes | None = None


class Change(NamedTuple):
    """An event of the change feed.

    value: of PERMISSION_CHANGED the permission, of CONSENT_CHANGED the state, else 0. detail: of
    CONSENT_CHANGED the purpose, of INVALIDATED the reason, else empty.
    """

    installation_id: UUID
    kind: ChangeKind
    platform: Platform
    value: int = 0
    detail: str = ""


class FactsChange(NamedTuple):
    """A change of facts: first they are set, then sets grow, then they shrink."""

    facts: Facts = Facts()
    add_topics: tuple[str, ...] = ()
    remove_topics: tuple[str, ...] = ()
    remove_attributes: tuple[str, ...] = ()
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What tokens are scoped to."""

    app_id: str
    display_name: str
    stale_after: timedelta
    expire_after: timedelta
    retention: timedelta
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One app instance, as stored. `facts` is complete; `user_id` is empty when anonymous."""

    installation_id: UUID
    platform: Platform
    provider: Provider
    environment: Environment
    user_id: str
    token_state: TokenState
    token_state_reason: str
    token_hash: bytes
    facts: Facts
    consents: Mapping[str, ConsentState]
    created_at: datetime
    registered_at: datetime
    token_changed_at: datetime
    last_opened_at: datetime | None
    died_at: datetime | None
    vapid_key_id: str

    @property
    def token_fingerprint(self) -> str:
        """The first 8 hexadecimal digits of the token's keyed hash."""
        return self.token_hash[:4].hex()


class ConsentEvent(NamedTuple):
    """An entry of the consent ledger. event_id: entries of an installation are in its order."""

    event_id: int
    change: ConsentChange
    recorded_at: datetime


class Touch(NamedTuple):
    """When an installation was last seen and opened; None: not told."""

    installation_id: UUID
    seen: datetime | None
    opened: datetime | None


class DeadToken(NamedTuple):
    """A token that a provider called dead. token_ref: the first 16 bytes of its keyed hash.

    lane and campaign: where it was heard of; empty when that was not told.
    """

    installation_id: UUID
    token_ref: bytes
    dead_since: datetime
    reason: str
    lane: str = ""
    campaign: str = ""
