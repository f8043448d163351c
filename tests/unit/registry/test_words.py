"""Language tags, times and pages: small rules of their own."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio_registry.api.values import time_of
from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY, KeySpan
from nuncio_registry.domain.language import canonical_language
from nuncio_registry.domain.model import Value, Version
from nuncio_registry.domain.select import TargetPage
from nuncio_registry.storage.attributes import from_json, to_json
from nuncio_runtime.errors import InvalidField


@pytest.mark.parametrize(
    ("tag", "canonical"),
    [("DE", "de"), ("pt_br", "pt-BR"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")],
)
def test_languages_have_one_spelling(tag: str, canonical: str) -> None:
    assert canonical_language(tag) == canonical


@pytest.mark.parametrize(
    "time",
    [
        Timestamp(seconds=-62_135_596_801),
        Timestamp(seconds=253_402_300_800),
        Timestamp(nanos=1_000_000_000),
    ],
)
def test_impossible_times_are_refused(time: Timestamp) -> None:
    with pytest.raises(InvalidField, match="year 1 to 9999"):
        time_of(time, "field")


def test_times_are_kept_to_the_microsecond() -> None:
    assert time_of(Timestamp(seconds=1, nanos=1999), "field") == datetime(
        1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "value",
    ["1", 1.0, 0.1, True, False, datetime(1, 1, 1, tzinfo=UTC), Version("1.2.0")],
    ids=str,
)
def test_an_attribute_keeps_its_type(value: Value) -> None:
    stored = from_json(to_json(value))
    assert stored == value
    assert type(stored) is type(value)


def test_nothing_comes_after_the_last_key() -> None:
    assert KeySpan().after(LAST_KEY).is_empty
    assert not KeySpan().after(FIRST_KEY).is_empty


def test_a_page_of_targets_prints_its_length() -> None:
    page = TargetPage(
        installation_ids=bytes(16),
        token_refs=bytes(16),
        platforms=b"1",
        providers=b"1",
        environments=b"1",
        tokens=[b"token"],
        web_push_keys=b"",
        vapid_key_ids=[],
        registered_at=[0],
        suppressed={},
        cursor=FIRST_KEY,
    )
    assert repr(page) == "TargetPage(1 targets)"
