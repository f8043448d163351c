"""What registrations and updates are refused for, with the field and the rule in the answer."""

from datetime import datetime, timedelta

import pytest

from nuncio_registry.domain.decide import decide
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.language import is_language
from nuncio_registry.domain.limits import (
    MAX_ATTRIBUTE_BYTES,
    TOO_LARGE_ATTRIBUTES,
    attribute_sizes,
    broken_limit,
)
from nuncio_registry.domain.model import (
    Environment,
    Facts,
    Platform,
    Provider,
    TokenState,
    Touch,
    Value,
    Version,
)
from nuncio_registry.domain.ports.registration import Known
from nuncio_registry.domain.rules import check_facts, check_registration, check_touches
from nuncio_runtime.errors import FieldViolation, InvalidField
from tests.unit.registry.builders import NOW, key, key_ring, registration

LATEST = NOW + timedelta(minutes=10)
TOO_LATE = LATEST + timedelta(microseconds=1)
AHEAD = "must be at most 10 minutes in the future"


def broken(facts: Facts) -> FieldViolation:
    with pytest.raises(InvalidField) as refused:
        check_facts(facts, now=NOW, path="facts")
    (violation,) = refused.value.violations
    return violation


def texts(count: int, length: int = 500, letter: str = "x") -> dict[str, Value]:
    return {f"a{number:02}": letter * length for number in range(count)}


@pytest.mark.parametrize(
    ("facts", "field", "rule"),
    [
        (Facts(language="xx"), "language", "made of subtags that are registered"),
        (Facts(language="de-AB"), "language", "made of subtags that are registered"),
        (Facts(language="de-Abcd"), "language", "made of subtags that are registered"),
        (Facts(country="UK"), "country", "ISO 3166-1 alpha-2 code"),
        (Facts(country="ZZ"), "country", "ISO 3166-1 alpha-2 code"),
        (Facts(country="EU"), "country", "ISO 3166-1 alpha-2 code"),
        (Facts(time_zone="Europe/Atlantis"), "time_zone", "IANA time zone database"),
        (Facts(last_seen=TOO_LATE), "last_seen", AHEAD),
        (Facts(attributes=texts(33)), "attributes", "at most 16 KiB of names and values"),
        (Facts(attributes=texts(9, letter="\U0001f514")), "attributes", "at most 16 KiB"),
    ],
)
def test_facts_that_cannot_be_name_their_field_and_rule(
    facts: Facts, field: str, rule: str
) -> None:
    violation = broken(facts)
    assert violation.field == f"facts.{field}"
    assert rule in violation.rule


@pytest.mark.parametrize(
    "facts",
    [
        Facts(country="CH", time_zone="Europe/Zurich", last_seen=LATEST),
        Facts(country="XK"),
        Facts(attributes=texts(32)),
        Facts(attributes=texts(7, letter="\U0001f514")),
    ],
)
def test_facts_that_can_be_are_taken(facts: Facts) -> None:
    check_facts(facts, now=NOW, path="facts")


@pytest.mark.parametrize(
    "tag", ["de", "pt-BR", "zh-Hant-TW", "sr-Latn", "es-419", "en-001", "fil", "iw", "no", "yue"]
)
def test_languages_that_telephones_report_are_known(tag: str) -> None:
    assert is_language(tag)


@pytest.mark.parametrize("observed_at", [TOO_LATE, datetime.max.replace(tzinfo=NOW.tzinfo)])
def test_a_clock_far_ahead_is_refused(observed_at: datetime) -> None:
    row = registration(observed_at=observed_at)
    with pytest.raises(InvalidField) as refused:
        check_registration(row, guard=EndpointGuard(hosts=()), now=NOW)
    assert refused.value.violations == (FieldViolation("observed_at", AHEAD),)


@pytest.mark.parametrize("provider", [Provider.FCM, Provider.WEB_PUSH])
def test_a_sandbox_is_for_apns_alone(provider: Provider) -> None:
    """A token of the others is the same in both, and would have two owners."""
    sandbox = registration(environment=Environment.SANDBOX)
    check_registration(sandbox, guard=EndpointGuard(hosts=()), now=NOW)
    theirs = sandbox._replace(provider=provider, platform=Platform.WEB)
    with pytest.raises(InvalidField) as refused:
        check_registration(theirs, guard=EndpointGuard(hosts=()), now=NOW)
    assert refused.value.violations == (
        FieldViolation("environment", "must be production: only APNs has a sandbox"),
    )


def test_a_touch_that_lies_ahead_is_named_by_its_place() -> None:
    check_touches([Touch(key(1), LATEST, LATEST)], now=NOW, path="touches")
    for ahead, field in (
        (Touch(key(2), TOO_LATE, None), "touches[1].seen_time"),
        (Touch(key(2), None, TOO_LATE), "touches[1].open_time"),
    ):
        with pytest.raises(InvalidField) as refused:
            check_touches([Touch(key(1), NOW, None), ahead], now=NOW, path="touches")
        assert refused.value.violations == (FieldViolation(field, AHEAD),)


def test_every_byte_of_names_and_values_counts() -> None:
    sizes = attribute_sizes(
        {"text": "ä", "number": 0.1, "flag": True, "time": NOW, "version": Version("1.2")}
    )
    assert sizes == {"text": 6, "number": 14, "flag": 12, "time": 12, "version": 10}


def test_sixteen_kibibytes_are_allowed_and_one_byte_more_is_not() -> None:
    assert broken_limit({"a": MAX_ATTRIBUTE_BYTES}) is None
    assert broken_limit({"a": MAX_ATTRIBUTE_BYTES, "b": 1}) is TOO_LARGE_ATTRIBUTES


def test_a_registration_may_not_let_what_is_stored_grow_too_large() -> None:
    stored = dict.fromkeys(("a00", "b"), MAX_ATTRIBUTE_BYTES // 2)
    row = registration(facts=Facts(attributes={"a00": "x"}))
    added = row._replace(facts=Facts(attributes={"c": "x"}))
    token_hash = key_ring().hash(row.provider, row.token)
    known = Known(
        row.installation_id,
        row.platform,
        row.environment,
        token_hash,
        key_id=1,
        state=TokenState.ACTIVE,
        registered_at=NOW,
        observed_at=NOW,
        attributes=stored,
    )
    # A value that replaces another one counts instead of it.
    assert decide([row], [token_hash], known=[known], now=NOW).rounds
    refused = decide([added], [token_hash], known=[known], now=NOW)
    assert refused[:3] == ([TOO_LARGE_ATTRIBUTES], [], [])
