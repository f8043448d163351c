"""What a page of outcomes teaches: which tokens have to go, and what is only counted."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from nuncio_feedback.domain.model import DeadToken, Lessons, OutcomePage, Tally, Verdict

ID_BYTES: Final = 16
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# The verdicts that cost an installation its token. Everything else is counted and nothing more:
INVALIDATING: Final = frozenset({Verdict.TOKEN_DEAD})
# TOKEN_DOUBTFUL: APNs' BadDeviceToken is as often a good token of the other environment, and
#   DeviceTokenNotForTopic a wrong topic of ours. One answer proves nothing about the token.
# REFUSED, MISCONFIGURED: the fault is in our message or our credential; tokens are not to blame.
# UNKNOWN, EXPIRED: no provider said anything about the token.

_HOUR: Final = 3_600_000_000  # microseconds


def learn(page: OutcomePage, *, now: datetime) -> Lessons:
    """Count the page, and find the tokens that the registry has to be told of."""
    return Lessons(tallies(page, now=now), list(dead_tokens(page, now=now)))


def tallies(page: OutcomePage, *, now: datetime) -> list[Tally]:
    """Count the rows by kind and by the hour of their last attempt.

    Rows of which nothing was sent (they expired waiting) are counted in the hour of `now`.
    """
    names, unsent = page.reason_names, (now - EPOCH) // timedelta(microseconds=1)
    kinds = Counter(
        zip(
            page.platforms,
            page.providers,
            page.verdicts,
            [names[index] for index in page.reasons],
            [(sent or unsent) // _HOUR for sent in page.sent_at],
            strict=True,
        )
    )
    return [
        Tally(platform, provider, verdict, reason, EPOCH + timedelta(hours=hour), count)
        for (platform, provider, verdict, reason, hour), count in kinds.items()
    ]


def dead_tokens(page: OutcomePage, *, now: datetime) -> Iterator[DeadToken]:
    """The tokens that are to be invalidated, each with the time since when it is dead."""
    # A test's answer may come from a simulator, a validate-only call or another environment.
    if page.test:
        return
    for row, verdict in enumerate(page.verdicts):
        # The registry compares this time with when the token was last seen. The provider's own
        # time is the better one (APNs 410 brings it); the send time is never too late to be safe,
        # since what is seen after it was not what the provider answered for.
        since = page.dead_since[row] or page.sent_at[row]
        # Without any time there is nothing to compare, and the token is left alone.
        if verdict in INVALIDATING and since:
            at = slice(row * ID_BYTES, (row + 1) * ID_BYTES)
            yield DeadToken(
                installation_id=UUID(bytes=page.installation_ids[at]),
                token_ref=page.token_refs[at],
                provider=page.providers[row],
                reason=page.reason_names[page.reasons[row]],
                # A clock that runs ahead must not kill a token that is registered tomorrow.
                dead_since=min(EPOCH + timedelta(microseconds=since), now),
                lane=page.lane_names[page.lanes[row]] if page.lanes else "",
                campaign=page.campaign,
            )
