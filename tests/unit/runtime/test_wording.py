"""Broken rules are told in words that people understand."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor

import nuncio.registry
from buf.validate import validate_pb2
from nuncio.common.v1.provider_pb2 import ENVIRONMENT_PRODUCTION, PLATFORM_IOS
from nuncio.registry.v1 import installation_pb2
from nuncio.registry.v1.registry_service_pb2 import (
    RegisterTokenRequest,
    RegisterTokensRequest,
    Registration,
)
from nuncio.registry.v1.token_pb2 import WebPushSubscription
from nuncio_runtime.interceptors.validation import violations
from nuncio_runtime.interceptors.wording import PATTERNS

GRANTED = installation_pb2.CONSENT_STATE_GRANTED
STUBS = Path(next(iter(nuncio.registry.__path__))).parent


def with_inner(descriptor: Descriptor) -> Iterator[Descriptor]:
    yield descriptor
    for inner in descriptor.nested_types:
        yield from with_inner(inner)


def patterns_in(rules: Any) -> Iterator[str]:
    """All patterns of a field's rules, those of items, keys and values included."""
    for field, value in rules.ListFields():
        if field.name == "pattern":
            yield value
        elif field.message_type is not None and not field.is_repeated:
            yield from patterns_in(value)


def patterns_of_the_contracts() -> set[str]:
    modules = [
        ".".join(file.relative_to(STUBS.parent).with_suffix("").parts)
        for file in STUBS.rglob("*_pb2.py")
    ]
    return {
        pattern
        for module in modules
        for message in import_module(module).DESCRIPTOR.message_types_by_name.values()
        for descriptor in with_inner(message)
        for field in descriptor.fields
        for pattern in patterns_in(field.GetOptions().Extensions[validate_pb2.field])
    }


def test_every_pattern_of_the_contracts_has_words() -> None:
    assert patterns_of_the_contracts() == set(PATTERNS)


def test_a_broken_pattern_is_told_in_words() -> None:
    registration = Registration(
        installation_id="00000000-0000-0000-0000-000000000001",
        platform=PLATFORM_IOS,
        environment=ENVIRONMENT_PRODUCTION,
        facts=installation_pb2.InstallationFacts(country="ch"),
    )
    registration.token.apns = "xyz"
    assert dict(violations(registration)) == {
        "token.apns": "must be hexadecimal digits, an even number of them, 2 to 400",
        "facts.country": 'must be two capital letters (ISO 3166-1), such as "CH"',
    }


def test_rules_that_are_in_words_already_stay() -> None:
    change = installation_pb2.ConsentChange(purpose="news", state=GRANTED, source="x" * 101)
    assert violations(change) == [("source", "must be at most 100 characters")]


def test_what_is_missing_or_unknown_is_told_in_words() -> None:
    consent = installation_pb2.ConsentChange(purpose="news")
    registration = Registration(
        installation_id="00000000-0000-0000-0000-000000000001",
        platform=99,  # type: ignore[arg-type]
        consents=[consent],
    )
    registration.token.SetInParent()
    assert dict(violations(registration)) == {
        "platform": "must be a value that the contract names",
        "token.kind": "exactly one of its fields must be set",
        "consents[0].state": "must be set",
    }
    assert violations(RegisterTokensRequest(app_id="shop")) == [
        ("registrations", "must not be empty")
    ]
    assert violations(RegisterTokenRequest()) == [
        ("app_id", "must not be empty"),
        ("registration", "must be set"),
    ]


def test_how_an_endpoint_and_a_key_must_begin_is_told_in_words() -> None:
    web_push = WebPushSubscription(
        endpoint="http://push.example.com/1", p256dh=b"\x05" * 65, auth=b"a" * 16
    )
    assert dict(violations(web_push)) == {
        "endpoint": 'must begin with "https://"',
        "p256dh": "must begin with the bytes 0x04",
    }
