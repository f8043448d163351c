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


class Malformation(StrEnum):
    """What a server must not send, or, the two unknown ones, what a client has to pass over."""

    BAD_FRAME_SIZE = "bad_frame_size"
    DATA_ON_STREAM_0 = "data_on_stream_0"
    BROKEN_BLOCK = "broken_block"
    OVERSIZED_FRAME = "oversized_frame"
    PUSH_PROMISE = "push_promise"
    CONTINUATION = "continuation"
    INTERRUPTED_BLOCK = "interrupted_block"
    WINDOW_OVERFLOW = "window_overflow"
    WINDOW_ZERO = "window_zero"
    BAD_SETTINGS = "bad_settings"
    IDLE_STREAM = "idle_stream"
    NO_STATUS = "no_status"
    UNKNOWN_FRAME = "unknown_frame"
    UNKNOWN_SETTINGS = "unknown_settings"


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
    """GOAWAY after `after_streams` requests of a connection, counted from the fault's start;
    without `count` on every connection again."""
    CLOSE = "close"
    """The connection is cut."""
    LATENCY = "latency"
    """The true answer, `latency_ms` later."""
    CREDENTIAL = "credential"
    """Every credential is refused; `reason` may say how."""
    RETRY_AFTER = "retry_after"
    """429, or `status`, with `retry_after`."""
    SHUTDOWN = "shutdown"
    """503, or `status` and `reason`, and then GOAWAY with the same reason."""
    OVERSIZED = "oversized"
    """A refusal with a body of `body_bytes`."""
    STALL = "stall"
    """A refusal whose body stops half-way, and then nothing."""
    MALFORMED = "malformed"
    """Bytes that no server may send; `malformation` says which. HTTP/2 only."""
    SETTINGS = "settings"
    """The true answer, behind the changed `settings`. HTTP/2 only."""
    PING_SILENCE = "ping_silence"
    """PINGs are not answered; requests are. HTTP/2 only."""
    INFORMATIONAL = "informational"
    """The true answer, behind a 103."""
    TRAILERS = "trailers"
    """The true answer, with a trailer. HTTP/2 only."""
    PADDING = "padding"
    """The true answer, with `padding` in each frame. HTTP/2 only."""
    SPLIT = "split"
    """The true answer, its fields with CONTINUATION, its body in several frames. HTTP/2 only."""


class ChangedSettings(Model):
    """SETTINGS to announce on a running connection; what is None stays."""

    max_concurrent_streams: int | None = Field(default=None, ge=0, lt=2**31)
    """Holds for the rest of the connection, or until the next change."""
    initial_window_size: int | None = Field(default=None, ge=0, lt=2**31)
    max_frame_size: int | None = Field(default=None, ge=16_384, lt=2**24)


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
    unprocessed: int = Field(default=0, ge=0)
    """goaway: so many requests after those are left open, so that streams above last_stream_id
    are in flight when it comes. The client has to have that many at a time."""
    goaway_code: int = Field(default=0, ge=0, le=0xFFFF_FFFF)
    debug: str | None = None
    """goaway: the debug data as it is, instead of the JSON with the reason."""
    latency_ms: int = Field(default=1_000, ge=0, le=86_400_000)
    delay_ms: int = Field(default=0, ge=0, le=86_400_000)
    """Refusals: how long they take."""
    body_bytes: int = Field(default=1 << 20, ge=1, le=1 << 26)
    """oversized: the length of the body."""
    padding: int = Field(default=16, ge=1, le=255)
    """padding: bytes in each frame."""
    malformation: Malformation = Malformation.BAD_FRAME_SIZE
    settings: ChangedSettings = ChangedSettings()
    after_accept: bool = False
    """no_answer, reset, close, malformed: the provider takes the message, then fails to say so."""


class FaultId(Model):
    """A fault that is in place."""

    fault_id: int


class TokenBatch(Model):
    """Tokens or endpoints to kill or revive."""

    tokens: list[str] = Field(repr=False)
    dead_since: UnixTime | None = None
    """Default: now."""
    fuzzy_seconds: float = Field(default=0, ge=0, le=1e9)
    """kill: for how long after that the provider goes on accepting."""


class OfflineBatch(Model):
    """Tokens or endpoints whose devices go out of reach, or come back."""

    tokens: list[str] = Field(repr=False)
    since: UnixTime | None = None
    """Going: since when. Default: now."""


class ChannelRequest(Model):
    """Make broadcast channels of APNs."""

    count: int = Field(default=1, ge=0, le=10_000)
    """Apple: at most 10,000 channels for an app and environment."""
    topic: str | None = None
    """The app's bundle id. Default: the first topic."""
    environment: Environment = "production"
    stores: bool = True
    """Whether the most recent broadcast is stored; without, apns-expiration has to be 0."""


class Channels(Model):
    """Channel ids, base64."""

    channels: list[str]


class Stored(Model):
    """What waited for devices that were out of reach: accepted ids, the oldest first."""

    accepted_ids: list[str]


class LedgerSummary(Model):
    """What one provider accepted since the last reset, in four numbers."""

    provider: ProviderName
    accepted: int
    """Messages, all told."""
    ids: int
    """Different apns-ids, message names or locations among them."""
    tokens: int
    """Different tokens among their addressees."""
    most_for_one_id: int
    most_for_one_token: int
    overflowed: int
    """Messages whose ids or tokens are not told apart any more, for want of room; then ids and
    tokens are too low, and nothing can be proven."""


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
    overflowed: int = 0
    """Messages that are counted, but not by id and token; see LedgerSummary."""
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
