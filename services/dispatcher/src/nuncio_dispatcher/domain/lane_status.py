"""How lanes stand, and what a check of their credentials found: what people are told of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from nuncio_dispatcher.domain.model import Environment, Provider


class LaneState(IntEnum):
    """Whether a lane sends. The numbers are the wire enum's."""

    READY = 1
    PAUSED = 2  # the provider refuses the credential
    DOWN = 3  # the provider does not answer
    SLOWED = 4  # the provider asked for less
    MISCONFIGURED = 5  # no credential, or one that cannot be used


class LaneTransport(IntEnum):
    """What carries a lane's requests. The numbers are the wire enum's."""

    MULTIPLEX = 1
    REFERENCE = 2


class CredentialKind(IntEnum):
    """What proves an app to a provider. The numbers are the wire enum's."""

    PROVIDER_TOKEN = 1
    CERTIFICATE = 2
    SERVICE_ACCOUNT = 3
    VAPID = 4


class AlarmCause(StrEnum):
    """Why a lane needs somebody to look at it."""

    CREDENTIAL = "credential"
    """The provider refuses the credential, or it cannot be used."""
    BREAKER = "breaker"
    """The provider does not answer."""
    SLOWED = "slowed"
    """The provider asked for less."""


ALARMS: Final[Mapping[LaneState, AlarmCause]] = {
    LaneState.PAUSED: AlarmCause.CREDENTIAL,
    LaneState.MISCONFIGURED: AlarmCause.CREDENTIAL,
    LaneState.DOWN: AlarmCause.BREAKER,
    LaneState.SLOWED: AlarmCause.SLOWED,
}


@dataclass(frozen=True, kw_only=True)
class CredentialFacts:
    """What may be shown of a credential; empty where the kind has no such thing.

    fingerprint: the first 8 bytes of the public key's SHA-256, in hex. not_after: of a certificate.
    """

    kind: CredentialKind
    fingerprint: str
    loaded_at: datetime
    key_id: str = ""
    team_id: str = ""
    project_id: str = ""
    topic: str = ""
    not_after: datetime | None = None


class LaneAnswers(NamedTuple):
    """What came of a lane's rows since it was made; a row that is tried again counts again."""

    accepted: int = 0
    refused: int = 0
    """The token, the message or the credential."""
    failed: int = 0
    """The rest."""


class LaneTraffic(NamedTuple):
    """What a lane is doing now, with all its origins together."""

    connections: int = 0
    in_flight: int = 0
    waiting: int = 0
    """Rows that wait for a free stream or for the budget."""
    stream_limit: int = 0


NO_ANSWERS: Final = LaneAnswers()
NO_TRAFFIC: Final = LaneTraffic()


class Condition(NamedTuple):
    """Whether a lane sends, and why it does not."""

    state: LaneState = LaneState.READY
    reason: str = ""
    part: str = ""
    """What of the lane is concerned; empty: all of it."""
    since: datetime | None = None
    next_probe_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class LaneStatus:
    """A lane as it stands in this replica.

    rate, allowed_rate: rows per second, None without a limit. transport, credential: None while
    there is no usable credential.
    """

    app_id: str
    provider: Provider
    environment: Environment
    condition: Condition
    origins: Sequence[str] = ()
    transport: LaneTransport | None = None
    traffic: LaneTraffic = NO_TRAFFIC
    rate: float | None = None
    allowed_rate: float | None = None
    answers: LaneAnswers = NO_ANSWERS
    credential: CredentialFacts | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """What lanes are listed by."""
        return self.app_id, self.provider, self.environment


class CheckStepKind(IntEnum):
    """Steps of a check, in their order. The numbers are the wire enum's."""

    FILE = 1
    KEY = 2
    TOKEN = 3
    CONNECTION = 4
    ACCEPTANCE = 5


class CheckResult(IntEnum):
    """What came of a step. The numbers are the wire enum's."""

    OK = 1
    FAILED = 2
    SKIPPED = 3


class CheckStep(NamedTuple):
    """One step, and what was found, for people."""

    kind: CheckStepKind
    result: CheckResult
    text: str


@dataclass(frozen=True, kw_only=True)
class CredentialCheck:
    """What a check found out about one credential. credential: None when no key was loaded."""

    provider: Provider
    environment: Environment
    steps: Sequence[CheckStep]
    credential: CredentialFacts | None


class Reloaded(NamedTuple):
    """What looking at the credential files came to; lanes by name."""

    made: Sequence[str]
    """New, or in place of one whose credential changed."""
    let_go: Sequence[str]
    """Gone without another in their place."""
    unchanged: Sequence[str]
    problems: Sequence[str]
