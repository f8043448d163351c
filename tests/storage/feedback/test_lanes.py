"""Where a token was called dead goes with it to the registry."""

from collections.abc import Sequence
from datetime import UTC, datetime

from nuncio_feedback.domain.model import DeadToken, InvalidationOutcome, Verdict
from nuncio_feedback.domain.policy import learn
from nuncio_feedback.storage.postgres import PostgresInvalidations, PostgresOutcomes
from tests.unit.feedback.pages import Row, page_of

APP = "com.example.app"
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


async def test_lane_and_campaign_are_kept_until_the_registry_is_asked(
    outcomes: PostgresOutcomes, invalidations: PostgresInvalidations
) -> None:
    lanes = ["apns/shop/production", "apns/shop/sandbox"]
    for name, campaign in (("one", "spring"), ("two", "")):
        rows = [
            Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=NOW, lane=lane)
            for lane in lanes
        ]
        page = page_of(*rows, page_id=name, campaign=campaign)
        await outcomes.record(page, learn(page, now=NOW), at=NOW)
    untold = page_of(
        Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=NOW), page_id="three"
    )
    await outcomes.record(untold, learn(untold, now=NOW), at=NOW)
    asked: list[tuple[str, str]] = []

    async def ask(tokens: Sequence[DeadToken]) -> Sequence[InvalidationOutcome]:
        asked.extend((token.lane, token.campaign) for token in tokens)
        return [InvalidationOutcome.INVALIDATED] * len(tokens)

    await invalidations.settle(APP, limit=10, ask=ask)
    assert sorted(asked) == [
        ("", "spring"),
        (lanes[0], ""),
        (lanes[0], "spring"),
        (lanes[1], ""),
        (lanes[1], "spring"),
    ]
