"""The registry's words as values. Numbers of enumerations are those of the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.secret import Secret

MAX_TOPICS: Final = 200
MAX_ATTRIBUTES: Final = 100

TOO_MANY_ATTRIBUTES: Final = FieldViolation(
    "facts.attributes", f"must leave at most {MAX_ATTRIBUTES} attributes"
)


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
    """Why a matching installation may not be reached, in the order of the checks."""

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

    topics: sorted. attributes: those to set. last_seen: at registration, None means now.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What tokens are scoped to."""

    app_id: str
    display_name: str
    stale_after: timedelta
    created_at: datetime

    def has_content_of(self, other: "App") -> bool:
        """Whether both say the same, whenever they were created."""
        mine = (self.app_id, self.display_name, self.stale_after)
        return mine == (other.app_id, other.display_name, other.stale_after)


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

    @property
    def token_fingerprint(self) -> str:
        """The first 8 hexadecimal digits of the token's keyed hash."""
        return self.token_hash[:4].hex()

    def check_limits(self) -> None:
        """Raise InvalidField when its sets have grown too large."""
        if len(self.facts.topics or ()) > MAX_TOPICS:
            rule = f"must leave at most {MAX_TOPICS} topics"
            raise InvalidField(FieldViolation("add_topics", rule))
        if len(self.facts.attributes or ()) > MAX_ATTRIBUTES:
            raise InvalidField(TOO_MANY_ATTRIBUTES)


class DeadToken(NamedTuple):
    """A token that a provider called dead. token_ref: the first 16 bytes of its keyed hash."""

    installation_id: UUID
    token_ref: bytes
    dead_since: datetime
    reason: str
