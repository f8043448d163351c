"""How much an installation may have, and which words it may use for its language and zone."""

from collections.abc import Iterable
from importlib.resources import files

import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from nuncio.registry.v1 import installation_pb2
from nuncio_registry.api.room import RESPONSE_BYTES, Room
from nuncio_registry.domain.decide import decide
from nuncio_registry.domain.language import canonical_language, is_language
from nuncio_registry.domain.limits import MAX_PURPOSES, PURPOSES_RULE
from nuncio_registry.domain.model import ConsentChange, ConsentState, Facts, TokenState
from nuncio_registry.domain.ports.registration import Known, Registered
from nuncio_registry.domain.rules import check_facts
from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.interceptors.validation import violations
from tests.unit.registry.builders import NOW, key_ring, registration

GRANTED, DENIED = ConsentState
TOO_MANY = FieldViolation("consents", PURPOSES_RULE)
TOKEN = "ab" * 32


def purposes(first: int, last: int) -> list[str]:
    return [f"p{number}" for number in range(first, last + 1)]


def told(names: Iterable[str], state: ConsentState = GRANTED) -> tuple[ConsentChange, ...]:
    return tuple(ConsentChange(name, state) for name in names)


def decided(stored: Iterable[str], *consents: tuple[ConsentChange, ...]) -> list[bool]:
    """For each of the rows, which say these consents, whether it is taken; else as it should."""
    rows = [registration(1, TOKEN, consents=said) for said in consents]
    hashes = [key_ring().hash(row.provider, row.token) for row in rows]
    known = Known(
        rows[0].installation_id,
        rows[0].platform,
        rows[0].environment,
        hashes[0],
        key_id=1,
        state=TokenState.ACTIVE,
        registered_at=NOW,
        observed_at=NOW,
        purposes=frozenset(stored),
    )
    results = decide(rows, hashes, known=[known], now=NOW).results
    assert all(result == TOO_MANY for result in results if not isinstance(result, Registered))
    return [isinstance(result, Registered) for result in results]


def test_a_registration_may_not_let_the_purposes_grow_too_many() -> None:
    almost = purposes(2, MAX_PURPOSES)
    assert decided(almost, told(["p1"])) == [True]
    assert decided(almost, told(["p1", "q"])) == [False]


def test_the_rows_of_a_page_add_up() -> None:
    almost = purposes(3, MAX_PURPOSES)
    rows = [told(["p1"]), told(["q", "r"]), told(["p2"]), told(["q"])]
    assert decided(almost, *rows) == [True, False, True, False]


@pytest.mark.parametrize("stored", [MAX_PURPOSES, MAX_PURPOSES + 1_000])
def test_purposes_that_are_there_may_always_change(stored: int) -> None:
    """Also of an installation that has more of them, from before there was a limit."""
    full = purposes(1, stored)
    assert decided(full, told(["p1", "p2"], DENIED), (), told(["q"])) == [True, True, False]


LONG = "-u-ca-gregory-cu-chf-fw-mon-hc-h23-mu-celsius-nu-latn-rg-chzzzz-ss-none-tz-chzrh"
TAGS = [
    ("en-US-u-mu-celsius", "en-US"),
    ("EN_us_U_mu_celsius", "en-US"),
    ("zh-hant-tw-u-hc-h12-t-jp-x-me", "zh-Hant-TW"),
    ("de-t-en", "de"),
    ("de-x-a", "de"),
    ("sl-rozaj-u-ca-gregory", "sl-rozaj"),
    (f"de-CH{LONG}", "de-CH"),
]


@pytest.mark.parametrize(("tag", "stored"), TAGS)
def test_tags_with_extensions_are_kept_without_them(tag: str, stored: str) -> None:
    assert violations(installation_pb2.InstallationFacts(language=tag)) == []
    assert canonical_language(tag) == stored
    assert is_language(stored)


@pytest.mark.parametrize(
    "tag",
    ["en-u", "en-US-u-", "x-me", "u-mu-celsius", "en-x-ninechars", "en-x" + "-a" * 21, "en--u-mu"],
)
def test_tags_that_are_malformed_or_without_end_are_refused(tag: str) -> None:
    (violation,) = violations(installation_pb2.InstallationFacts(language=tag))
    assert violation.field == "language"
    assert "BCP 47" in violation.rule


@pytest.mark.parametrize(
    "zone", ["Factory", "localtime", "posixrules", "posix/UTC", "europe/zurich"]
)
def test_zones_that_say_nothing_or_not_everywhere_the_same_are_refused(zone: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_facts(Facts(time_zone=zone), now=NOW, path="facts")
    assert refused.value.violations[0].field == "facts.time_zone"


def test_all_other_zones_of_the_package_are_taken() -> None:
    names = files("tzdata").joinpath("zones").read_text().splitlines()
    assert {"Europe/Zurich", "America/Argentina/Ushuaia", "Asia/Calcutta", "UTC"} < set(names)
    for name in names:
        if name != "Factory":
            check_facts(Facts(time_zone=name), now=NOW, path="facts")


def test_a_response_has_room_for_about_a_mebibyte_and_for_one_message_always() -> None:
    quarter = BytesValue(value=bytes(RESPONSE_BYTES // 4))
    room = Room()
    assert [room.takes(quarter) for _ in range(4)] == [True, True, True, False]
    assert not Room().takes(BytesValue(value=bytes(RESPONSE_BYTES)))
