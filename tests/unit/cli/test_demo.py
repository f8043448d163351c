"""The demo's people, its funnel, and what it demands of the result."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nuncio.common.v1.provider_pb2 import (
    PLATFORM_ANDROID,
    PLATFORM_IOS,
    PLATFORM_WEB,
    PROVIDER_APNS,
    Platform,
)
from nuncio.common.v1.target_pb2 import (
    SUPPRESSION_REASON_INACTIVE_TOKEN,
    SUPPRESSION_REASON_NO_CONSENT,
    SuppressedCount,
)
from nuncio.dispatcher.v1.dispatch_pb2 import Books, RejectedCount
from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio.registry.v1.token_pb2 import Token, WebPushSubscription
from nuncio_cli.demo.funnel import funnel_of
from nuncio_cli.demo.population import platforms, population
from nuncio_cli.demo.result import Result
from nuncio_cli.demo.sample import write_sample
from nuncio_cli.imports.formats import Format, reader_for
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.registration import registration_from
from nuncio_cli.imports.rows import Row
from nuncio_cli.imports.source import open_source
from nuncio_runtime.interceptors.validation import violations

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def tokens(count: int) -> dict[Platform.ValueType, list[Token]]:
    counts = platforms(count)
    return {
        PLATFORM_IOS: [Token(apns=f"{n:064x}") for n in range(counts[PLATFORM_IOS])],
        PLATFORM_ANDROID: [Token(fcm=f"token-{n}") for n in range(counts[PLATFORM_ANDROID])],
        PLATFORM_WEB: [
            Token(
                web_push=WebPushSubscription(
                    endpoint=f"https://push.example.com/{n}",
                    p256dh=b"\x04" + bytes(64),
                    auth=bytes(16),
                )
            )
            for n in range(counts[PLATFORM_WEB])
        ],
    }


def people(count: int, *, seed: int = 7) -> list[Registration]:
    return list(population(tokens(count), seed=seed, now=NOW))


def test_the_same_seed_gives_the_same_people() -> None:
    assert people(300) == people(300)
    assert people(300) != people(300, seed=8)


def test_every_person_keeps_the_contract() -> None:
    assert [problem for person in people(400) for problem in violations(person)] == []


def test_people_are_as_varied_as_an_apps() -> None:
    everyone = people(2000)
    owners = Counter(person.user_id for person in everyone if person.user_id)
    assert len(everyone) == 2000
    assert len({person.installation_id for person in everyone}) == 2000
    assert {person.platform for person in everyone} == {
        PLATFORM_IOS, PLATFORM_ANDROID, PLATFORM_WEB,
    }  # fmt: skip
    assert max(owners.values()) > 1
    absences = [NOW - person.facts.last_seen.ToDatetime(UTC) for person in everyone]
    stale = sum(absence > timedelta(days=30) for absence in absences)
    assert 0.04 < stale / 2000 < 0.1
    assert len({person.facts.country for person in everyone}) > 10
    assert len({person.consents[0].state for person in everyone}) == 2


@pytest.mark.parametrize("count", [100, 101, 9_999])
def test_platforms_add_up(count: int) -> None:
    assert sum(platforms(count).values()) == count


def books(**terms: int) -> Books:
    return Books(
        suppressed=[
            SuppressedCount(reason=SUPPRESSION_REASON_NO_CONSENT, count=3),
            SuppressedCount(reason=SUPPRESSION_REASON_INACTIVE_TOKEN, count=2),
        ],
        rejected=[
            RejectedCount(provider=PROVIDER_APNS, reason="Unregistered", count=4, token_dead=True),
            RejectedCount(provider=PROVIDER_APNS, reason="PayloadTooLarge", count=1),
        ],
        **terms,
    )


def test_the_funnel_is_closed_when_the_sum_holds_and_nothing_is_open() -> None:
    assert funnel_of(books(resolved=110, accepted=100)).closed
    assert not funnel_of(books(resolved=111, accepted=100)).closed
    still_open = funnel_of(books(resolved=110, accepted=90, queued=7, in_flight=3))
    assert still_open.accounted == still_open.resolved
    assert not still_open.closed
    assert still_open.settled == 100


def test_the_funnel_names_reasons_in_the_order_of_the_checks() -> None:
    funnel = funnel_of(books(resolved=110, accepted=100, retried=6))
    assert list(funnel.suppressed) == ["INACTIVE_TOKEN", "NO_CONSENT"]
    assert funnel.rejected == {("apns", "Unregistered"): 4, ("apns", "PayloadTooLarge"): 1}
    assert funnel.dead == 4
    document = funnel.document()
    assert (document["suppressed"], document["rejected"]) == (5, 5)
    assert funnel.lines()[-1].number == 6


def test_a_suppression_reason_of_a_newer_service_is_shown_as_its_number() -> None:
    unknown = Books(resolved=1, suppressed=[SuppressedCount(reason=77, count=1)])  # type: ignore[arg-type]
    assert funnel_of(unknown).suppressed == {"77": 1}


def test_the_demo_holds_only_when_dead_tokens_are_gone_and_the_returned_ones_stay() -> None:
    first = funnel_of(books(resolved=110, accepted=100))
    second = funnel_of(books(resolved=113, accepted=103))._replace(
        suppressed={"INACTIVE_TOKEN": 5}, rejected={}, dead=0, accepted=108
    )
    result = Result(1000, [("a", first), ("b", second)], invalidated=3, kept=1, returned=1)
    assert result.checks() == dict.fromkeys(result.checks(), True)
    result.kept, result.invalidated = 0, 4
    assert not result.holds


def test_the_sample_of_the_simulator_can_be_imported_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "sample.csv"
    write_sample(file, people(200))
    with open_source(file) as source:
        rows = list(reader_for(Format.CSV, source, FieldMapping()))
    for row, person in zip(rows, people(200), strict=True):
        assert isinstance(row, Row)
        read = registration_from(row.values, app_id="demo", attribute_types={})
        assert violations(read) == []
        assert (read.token, read.platform) == (person.token, person.platform)
        assert read.HasField("user_id") == bool(person.user_id)
        assert read.facts.last_seen == person.facts.last_seen
        assert read.facts.topics == person.facts.topics
        assert read.consents[0].state == person.consents[0].state
