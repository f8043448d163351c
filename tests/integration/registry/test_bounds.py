"""Bounds of lists and of purposes, and tags with extensions, over real gRPC."""

from collections.abc import AsyncIterator

import pytest

from nuncio.registry.v1 import installation_pb2, predicate_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.room import RESPONSE_BYTES
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import Registry
from tests.unit.registry.builders import APP, hex_token, key

GRANTED = installation_pb2.CONSENT_STATE_GRANTED
Facts = installation_pb2.InstallationFacts


def large() -> installation_pb2.InstallationFacts:
    """About 55 KB: all that an installation may tell of itself."""
    labels = [f"{number:03}" + "x" * 97 for number in range(200)]
    facts = Facts(
        topics=installation_pb2.TopicSet(topics=labels),
        tags=installation_pb2.TagSet(tags=labels),
    )
    for number in range(32):
        facts.attributes[f"a{number}"].text = "x" * 500
    return facts


def told(first: int, last: int) -> list[installation_pb2.ConsentChange]:
    numbers = range(first, last + 1)
    return [installation_pb2.ConsentChange(purpose=f"p{n}", state=GRANTED) for n in numbers]


async def rows(registry: Registry, count: int) -> AsyncIterator[pb.RegisterTokensRequest]:
    facts = large()
    for start in range(1, count + 1, 20):
        page = [registry.row(number, facts=facts) for number in range(start, start + 20)]
        yield pb.RegisterTokensRequest(app_id=APP, registrations=page)


async def test_pages_of_large_installations_are_such_that_any_client_takes_them(
    registry: Registry,
) -> None:
    async for answer in registry.stub.RegisterTokens(rows(registry, 120)):
        assert set(answer.outcomes) == {token_pb2.REGISTRATION_OUTCOME_CREATED}
    for predicate in (None, language("IN", "de", negated=True)):
        found: list[str] = []
        sizes: list[int] = []
        request = pb.ListInstallationsRequest(app_id=APP, predicate=predicate, page_size=1_000)
        while not found or request.page_token:
            page = await registry.stub.ListInstallations(request)
            found += [row.installation_id for row in page.installations]
            sizes.append(page.ByteSize())
            request.page_token = page.next_page_token
        assert found == [str(key(number)) for number in range(1, 121)]
        assert max(sizes) < 1.1 * RESPONSE_BYTES
        assert min(sizes[:-1]) > 0.9 * RESPONSE_BYTES
        assert len(sizes) > 5


def language(operator: str, tag: str, *, negated: bool = False) -> predicate_pb2.Predicate:
    comparison = predicate_pb2.Predicate(
        comparison=predicate_pb2.Comparison(
            field=predicate_pb2.PREDICATE_FIELD_LANGUAGE,
            operator=predicate_pb2.PredicateOperator.Value(f"PREDICATE_OPERATOR_{operator}"),
            values=[predicate_pb2.PredicateValue(text=tag)],
        )
    )
    return predicate_pb2.Predicate(none_of=comparison) if negated else comparison


async def test_languages_with_extensions_are_stored_without_them_and_found(
    registry: Registry,
) -> None:
    await registry.register(1, facts=Facts(language="en_us-u-mu-celsius"))
    await registry.register(2)
    await registry.stub.UpdateInstallation(
        pb.UpdateInstallationRequest(
            app_id=APP, installation_id=str(key(2)), facts=Facts(language="en-US-x-me")
        )
    )
    for number in (1, 2):
        assert (await registry.installation(number)).facts.language == "en-US"
    for tag in ("en-US", "en", "en-US-u-mu-celsius"):
        request = pb.ListInstallationsRequest(app_id=APP, predicate=language("IN", tag))
        listed = (await registry.stub.ListInstallations(request)).installations
        assert [row.installation_id for row in listed] == [str(key(1)), str(key(2))]


async def test_too_many_purposes_are_refused_by_field_and_rule_on_both_roads(
    registry: Registry,
) -> None:
    token, rule = hex_token(), "must leave at most 200 purposes"
    await registry.register(1, token)
    for first in range(1, 200, 20):
        request = pb.SetConsentRequest(
            app_id=APP, installation_id=str(key(1)), changes=told(first, first + 19)
        )
        await registry.stub.SetConsent(request)
    one_more = pb.SetConsentRequest(app_id=APP, installation_id=str(key(1)), changes=told(200, 201))
    with pytest.raises(RemoteError) as refused:
        await registry.stub.SetConsent(one_more)
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert [(v.field, v.rule) for v in refused.value.violations] == [("changes", rule)]
    with pytest.raises(RemoteError) as refused:
        await registry.register(1, token, consents=told(200, 201))
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert [(v.field, v.rule) for v in refused.value.violations] == [
        ("registration.consents", rule)
    ]
    bad, good = (registry.row(1, token, consents=told(at, at)) for at in (201, 200))
    pages = iter([pb.RegisterTokensRequest(app_id=APP, registrations=[bad, good])])
    (answer,) = [page async for page in registry.stub.RegisterTokens(pages)]
    assert [(error.row, error.field, error.rule) for error in answer.errors] == [
        (0, "consents", rule)
    ]
    assert answer.outcomes[1] == token_pb2.REGISTRATION_OUTCOME_REFRESHED
    assert len((await registry.installation(1)).consents) == 200
