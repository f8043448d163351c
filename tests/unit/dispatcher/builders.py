"""Dispatches, pages and answers as tests need them; every argument has a plain default."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from nuncio_dispatcher.domain.dispatch import (
    Audience,
    DeliveryPolicy,
    KeyRange,
    NewDispatch,
    Work,
    key_ranges,
)
from nuncio_dispatcher.domain.model import (
    Answers,
    Environment,
    Message,
    Platform,
    Provider,
    PushToken,
    Verdict,
    WebPushToken,
)
from nuncio_dispatcher.domain.pages import Page, Resolved, Rows, Targets
from nuncio_dispatcher.domain.retry import RetryPolicy, Terms

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

PLATFORM_OF: dict[int, int] = {
    Provider.APNS: Platform.IOS,
    Provider.FCM: Platform.ANDROID,
    Provider.WEB_PUSH: Platform.WEB,
}


def installation_ids(count: int, *, first: int = 1) -> bytes:
    """Ids in key order, 16 bytes each."""
    return b"".join(number.to_bytes(16) for number in range(first, first + count))


def rows(*providers: int, first: int = 1) -> Rows:
    """One row per provider, with ids from `first`."""
    ids = installation_ids(len(providers), first=first)
    return Rows(
        installation_ids=ids,
        token_refs=ids[::-1],
        platforms=bytes(PLATFORM_OF.get(provider, 9) for provider in providers),
        providers=bytes(providers),
    )


def targets(*providers: int, first: int = 1, environment: int = Environment.PRODUCTION) -> Targets:
    page = rows(*providers, first=first)
    return Targets(
        rows=page,
        environments=bytes([environment]) * len(providers),
        tokens=[token(provider, first + row) for row, provider in enumerate(providers)],
    )


def token(provider: int, number: int) -> PushToken:
    if provider != Provider.WEB_PUSH:
        return PushToken(f"token-{number}")
    return WebPushToken(f"https://push.example/{number}", p256dh=b"\4" * 65, auth=b"a" * 16)


def resolved(
    *providers: int, first: int = 1, suppressed: Mapping[str, int] | None = None
) -> Resolved:
    """A page whose cursor is its last id."""
    last = first + len(providers) - 1
    return Resolved(
        targets=targets(*providers, first=first),
        suppressed=suppressed or {},
        cursor=last.to_bytes(16),
    )


def page(
    *providers: int, tries: int = 0, sent_before: bool = False, in_doubt: bool = False
) -> Page:
    return Page(
        number=1,
        rows=rows(*providers),
        tries=tries,
        sent_before=sent_before,
        in_doubt=in_doubt,
        opened_at=NOW,
    )


def answers(
    *verdicts: Verdict,
    reasons: Sequence[str] | None = None,
    unsent: Sequence[int] = (),
    retry_after: timedelta | None = None,
) -> Answers:
    """Answers to rows that were written now, except those in `unsent`."""
    count = len(verdicts)
    return Answers(
        verdicts=bytearray(verdicts),
        reasons=list(reasons or ["" if v is Verdict.ACCEPTED else v.name for v in verdicts]),
        dead_since=[NOW if verdict is Verdict.TOKEN_DEAD else None for verdict in verdicts],
        sent_at=[None if row in unsent else NOW for row in range(count)],
        retry_after=[retry_after] * count,
    )


def terms(
    *,
    delivery: DeliveryPolicy = DeliveryPolicy.AT_LEAST_ONCE,
    expires_at: datetime = NOW + HOUR,
    policy: RetryPolicy | None = None,
) -> Terms:
    return Terms(delivery=delivery, expires_at=expires_at, policy=policy or RetryPolicy())


def work(
    *,
    dispatch_id: UUID | None = None,
    app_id: str = "shop",
    campaign: str = "",
    test: bool = False,
    audience: Audience | None = None,
    delivery: DeliveryPolicy = DeliveryPolicy.AT_LEAST_ONCE,
    expires_at: datetime = NOW + HOUR,
) -> Work:
    return Work(
        dispatch_id=dispatch_id or uuid4(),
        app_id=app_id,
        campaign=campaign,
        purpose="news",
        test=test,
        delivery=delivery,
        message=Message(title="Hello", badge=3, data={"k": "v"}, time_to_live=HOUR),
        audience=audience or Audience(expression="all()"),
        expires_at=expires_at,
    )


def new_dispatch(
    wanted: Work | None = None,
    *,
    client_ref: str = "first",
    digest: bytes = b"d" * 32,
    created_at: datetime = NOW,
    shards: int = 1,
) -> NewDispatch:
    return NewDispatch(
        work=wanted or work(),
        client_ref=client_ref,
        content_digest=digest,
        created_at=created_at,
        shards=key_ranges(shards) if shards > 1 else (KeyRange(),),
    )
