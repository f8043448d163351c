"""What the admin interface takes and gives, for both of its ends."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Environment = Literal["production", "sandbox"]
Share = Annotated[float, Field(ge=0, le=1)]
UnixTime = Annotated[float, Field(ge=0, lt=2**32, allow_inf_nan=False)]
"""Seconds. A token keeps its time of death in 4 bytes."""
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HeaderText = Annotated[str, Field(pattern=r"^([!-~]([ -~]*[!-~])?)?$")]


class Model(BaseModel):
    """Refuses unknown names; its errors show no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ProviderName(StrEnum):
    """A simulated origin."""

    APNS = "apns"
    APNS_SANDBOX = "apns-sandbox"
    FCM = "fcm"
    OAUTH = "oauth"
    WEBPUSH = "webpush"


Mintable = Literal[ProviderName.APNS, ProviderName.FCM, ProviderName.WEBPUSH]


class Platform(StrEnum):
    """Where a token lives. ios: APNs or FCM; android and web: FCM; browsers: Web Push."""

    IOS = "ios"
    ANDROID = "android"
    WEB = "web"
    FIREFOX = "firefox"
    CHROME = "chrome"
    EDGE = "edge"
    SAFARI = "safari"


class Shares(Model):
    """How fates are spread over minted tokens; what is left is alive."""

    dead: Share = 0.03
    """Refused as gone."""
    dead_before: Share = 0.2
    """Of the dead: died before `around`, or within 30 days before minting. The others die at
    the first request that reaches them, or after `around`."""
    throttled: Share = 0.01
    """Refused with 429 once or twice, then accepted."""
    slow: Share = 0.005
    """Accepted after 200 to 1,000 ms."""

    @model_validator(mode="after")
    def _leave_no_debt(self) -> "Shares":
        if self.dead + self.throttled + self.slow > 1:
            raise ValueError("the shares of dead, throttled and slow exceed 1")
        return self


class MintRequest(Model):
    """Make tokens."""

    provider: Mintable
    platform: Platform | None = None
    """Default: ios for APNs, android for FCM, firefox for Web Push."""
    environment: Environment = "production"
    """Only APNs keeps them apart."""
    count: int = Field(ge=0, le=50_000)
    shares: Shares | None = None
    """Default: those the simulator was started with."""
    topic: str | None = None
    """APNs: the app's bundle id. Default: the first topic."""
    vapid_public_key: str | None = None
    """Web Push: the key the subscriptions are bound to, base64url. Default: the simulator's."""
    around: UnixTime | None = None
    """The dead die some before and some after it."""


class Subscription(Model):
    """A browser's Web Push subscription."""

    endpoint: str = Field(repr=False)
    p256dh: str
    auth: str = Field(repr=False)


class Minted(Model):
    """Tokens of APNs and FCM, or subscriptions of Web Push."""

    tokens: list[str] = Field(default=[], repr=False)
    subscriptions: list[Subscription] = []


class FaultKind(StrEnum):
    """What goes wrong."""

    ANSWER = "answer"
    """A refusal with `status` and `reason`."""
    NO_ANSWER = "no_answer"
    """The stream hangs."""
    RESET = "reset"
    """RST_STREAM with `code`."""
    REFUSED_STREAM = "refused_stream"
    """RST_STREAM 7: surely not taken."""
    GOAWAY = "goaway"
    """GOAWAY after `after_streams` requests of a connection, counted from the fault's start."""
    CLOSE = "close"
    """The connection is cut."""
    LATENCY = "latency"
    """The true answer, `latency_ms` later."""
    CREDENTIAL = "credential"
    """Every credential is refused; `reason` may say how."""
    RETRY_AFTER = "retry_after"
    """429, or `status`, with `retry_after`."""


class Fault(Model):
    """A scripted fault. It ends by count, by seconds, or when cleared; the oldest match acts."""

    provider: ProviderName
    kind: FaultKind
    share: Share = 1.0
    """Of the requests it may hit."""
    count: int | None = Field(default=None, ge=1)
    """How often it acts."""
    seconds: float | None = Field(default=None, gt=0)
    """How long it stays."""
    tokens: list[str] | None = Field(default=None, repr=False)
    """Only requests to these tokens or endpoints."""
    platform: Platform | None = None
    """Only requests to minted tokens of this platform."""
    status: int | None = Field(default=None, ge=200, le=599)
    reason: str | None = None
    """The provider's own word: an APNs reason, a name from fcm_errors.REFUSALS, a Web Push
    Problem. For goaway: the reason in the debug data."""
    retry_after: int | HeaderText | None = None
    """Seconds, or an HTTP date."""
    headers: dict[HeaderName, HeaderText] = {}
    """Added to the refusal, such as the location of a redirect."""
    code: int = Field(default=2, ge=0, le=0xFFFF_FFFF)
    """Of RST_STREAM; 2 is INTERNAL_ERROR."""
    after_streams: int = Field(default=0, ge=0)
    """goaway: requests of the connection that are answered first."""
    last_stream_id: int | None = Field(default=None, ge=0, lt=2**31)
    """goaway: default is the last answered stream."""
    latency_ms: int = Field(default=1_000, ge=0, le=86_400_000)
    after_accept: bool = False
    """no_answer, reset, close: the provider takes the message, then fails to say so."""


class FaultId(Model):
    """A fault that is in place."""

    fault_id: int


class TokenBatch(Model):
    """Tokens or endpoints to kill or revive."""

    tokens: list[str] = Field(repr=False)
    dead_since: UnixTime | None = None
    """Default: now."""


class AnswerCount(Model):
    """How often a provider gave one answer; status 0: it gave none."""

    status: int
    reason: str
    """Empty: accepted. validate_only: FCM found the message good and did not take it."""
    count: int


class TokenCount(Model):
    """What happened to one token."""

    accepted: int
    refused: int


class LedgerView(Model):
    """What one provider did since the last reset."""

    provider: ProviderName
    accepted: int
    answers: list[AnswerCount]
    accepted_ids: dict[str, int] = {}
    """apns-id, message name or message location: how often it was accepted."""
    tokens: dict[str, TokenCount] = {}
    """By ledger.token_hash of the token or endpoint."""
    plaintexts: dict[str, int] = {}
    """Web Push: SHA-256 of the decrypted messages."""


class State(Model):
    """The simulator at a glance."""

    pid: int
    connections: dict[ProviderName, int]
    minted: dict[ProviderName, int]
    faults: list[Fault]
