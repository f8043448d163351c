"""RegisterToken and RegisterTokens over real gRPC."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1 import error_reason_pb2, provider_pb2
from nuncio.registry.v1 import app_pb2, installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from nuncio_runtime.metrics import REGISTRY
from tests.integration.registry.running import ORIGIN, Registry, timestamp
from tests.integration.registry.subscriptions import subscription
from tests.unit.registry.builders import APP, hex_token, key

CREATED = token_pb2.REGISTRATION_OUTCOME_CREATED
REFRESHED = token_pb2.REGISTRATION_OUTCOME_REFRESHED
ROTATED = token_pb2.REGISTRATION_OUTCOME_ROTATED
REASSIGNED = token_pb2.REGISTRATION_OUTCOME_REASSIGNED
STALE = token_pb2.REGISTRATION_OUTCOME_STALE
GRANTED = installation_pb2.CONSENT_STATE_GRANTED
DENIED = installation_pb2.CONSENT_STATE_DENIED
REFUSED = token_pb2.REGISTRATION_OUTCOME_UNSPECIFIED


async def test_registering_tells_what_happened(registry: Registry) -> None:
    token, other = hex_token(), hex_token()
    assert (await registry.register(1, token)).outcome == CREATED
    registry.clock.advance(60)
    refreshed = await registry.register(1, token)
    assert refreshed.outcome == REFRESHED
    assert refreshed.register_time == timestamp(registry.clock)
    assert (await registry.register(1, other)).outcome == ROTATED
    assert (await registry.register(2, other)).outcome == REASSIGNED
    stored = await registry.installation(1)
    assert stored.token_state == token_pb2.TOKEN_STATE_REPLACED
    assert stored.token_state_reason == "moved_to_another_installation"


async def test_an_offline_client_that_catches_up_changes_nothing(registry: Registry) -> None:
    token = hex_token()
    registered = await registry.register(1, token)
    registry.clock.advance(3600)
    late = await registry.register(
        1, observed_at=timestamp(registry.clock, seconds=-3601), user_id="somebody"
    )
    assert late.outcome == STALE
    assert late.register_time == registered.register_time
    assert (await registry.installation(1)).user_id == ""
    assert (await registry.pages())[0].page.tokens == [token.encode()]


async def test_a_client_clock_that_is_ahead_outdates_nothing(registry: Registry) -> None:
    await registry.register(1, observed_at=timestamp(registry.clock, seconds=599))
    registry.clock.advance(1)
    assert (await registry.register(1, observed_at=timestamp(registry.clock))).outcome == ROTATED


async def test_one_token_may_live_in_both_environments(registry: Registry) -> None:
    token, sandbox = hex_token(), provider_pb2.ENVIRONMENT_SANDBOX
    await registry.register(1, token)
    assert (await registry.register(2, token, environment=sandbox)).outcome == CREATED
    assert await registry.selected() == [1, 2]


async def test_one_token_may_live_in_two_apps(registry: Registry) -> None:
    token = hex_token()
    await registry.register(1, token)
    await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id="other")))
    other = pb.RegisterTokenRequest(app_id="other", registration=registry.row(2, token))
    assert (await registry.stub.RegisterToken(other)).outcome == CREATED
    assert await registry.selected() == [1]


async def test_new_keys_of_a_subscription_are_the_same_token(registry: Registry) -> None:
    web: dict[str, Any] = {"platform": provider_pb2.PLATFORM_WEB}
    first, second = subscription(f"{ORIGIN}/push/1"), subscription(f"{ORIGIN}/push/1")
    await registry.register(1, token=token_pb2.Token(web_push=first), **web)
    again = await registry.register(1, token=token_pb2.Token(web_push=second), **web)
    assert again.outcome == REFRESHED
    (response,) = await registry.pages()
    assert response.page.web_push_keys == second.p256dh + second.auth


async def test_registering_keeps_facts_that_it_does_not_tell(registry: Registry) -> None:
    facts = installation_pb2.InstallationFacts(
        language="pt_br",
        country="BR",
        time_zone="America/Sao_Paulo",
        app_version="2.10.0-rc1",
        device_model="A",
        topics=installation_pb2.TopicSet(topics=["b", "a"]),
        attributes={
            "plan": installation_pb2.AttributeValue(text="free"),
            "age": installation_pb2.AttributeValue(number=7),
        },
    )
    await registry.register(1, facts=facts, user_id="ada")
    later = installation_pb2.InstallationFacts(
        permission=installation_pb2.PERMISSION_PROVISIONAL,
        attributes={"plan": installation_pb2.AttributeValue(text="pro")},
    )
    await registry.register(1, facts=later)
    stored = await registry.installation(1)
    assert stored.user_id == "ada"
    assert stored.facts.language == "pt-BR"
    assert stored.facts.app_version == "2.10.0-rc1"
    assert list(stored.facts.topics.topics) == ["a", "b"]
    assert stored.facts.attributes["plan"].text == "pro"
    assert stored.facts.attributes["age"].number == 7
    assert stored.facts.permission == installation_pb2.PERMISSION_PROVISIONAL


async def test_a_new_installation_starts_undetermined_and_seen_now(registry: Registry) -> None:
    await registry.register(1, facts=installation_pb2.InstallationFacts())
    stored = await registry.installation(1)
    assert stored.facts.permission == installation_pb2.PERMISSION_UNDETERMINED
    assert stored.facts.last_seen == stored.create_time == timestamp(registry.clock)
    assert stored.environment == provider_pb2.ENVIRONMENT_PRODUCTION


FCM, WEB = provider_pb2.PLATFORM_ANDROID, provider_pb2.PLATFORM_WEB
FAR = Timestamp(seconds=4_000_000_000)


def facts(**fields: Any) -> dict[str, Any]:
    return {"facts": installation_pb2.InstallationFacts(**fields)}


def web_push(endpoint: str = f"{ORIGIN}/push/1", **fields: Any) -> dict[str, Any]:
    message = subscription(endpoint)
    message.MergeFrom(token_pb2.WebPushSubscription(**fields))
    return {"platform": WEB, "token": token_pb2.Token(web_push=message)}


BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"installation_id": "1"}, "installation_id"),
    ({"platform": 0}, "platform"),
    ({"platform": FCM}, "platform"),
    ({"platform": WEB, "token": token_pb2.Token(apns="ab")}, "platform"),
    ({"environment": 9}, "environment"),
    ({"token": token_pb2.Token()}, "token.kind"),
    ({"token": token_pb2.Token(apns="abc")}, "token.apns"),
    ({"token": token_pb2.Token(fcm="a b"), "platform": FCM}, "token.fcm"),
    (web_push("http://127.0.0.1:8443/push"), "token.web_push.endpoint"),
    (web_push("https://10.0.0.1/push"), "token.web_push.endpoint"),
    (web_push("https://fcm.googleapis.com:8443/x"), "token.web_push.endpoint"),
    (web_push(p256dh=b"\x04" + bytes(64)), "token.web_push.p256dh"),
    (web_push(auth=b"short"), "token.web_push.auth"),
    ({"user_id": ""}, "user_id"),
    ({"user_id": "a\0"}, "user_id"),
    (facts(time_zone="Mars/Base"), "facts.time_zone"),
    (facts(language="?"), "facts.language"),
    (facts(last_seen=FAR), "facts.last_seen"),
    (facts(device_model="\0"), "facts.device_model"),
    (
        facts(attributes={"a": installation_pb2.AttributeValue(text="\0")}),
        'facts.attributes["a"].text',
    ),
    (facts(attributes={"a\nb": installation_pb2.AttributeValue()}), 'facts.attributes["a\nb"]'),
    (
        facts(
            attributes={
                "a": installation_pb2.AttributeValue(time=Timestamp(seconds=10**15)),
            }
        ),
        'facts.attributes["a"].time',
    ),
    ({"observed_at": FAR}, "observed_at"),
    ({"observed_at": Timestamp(nanos=-1)}, "observed_at"),
    ({"consents": [installation_pb2.ConsentChange(purpose="a")]}, "consents[0].state"),
    (
        {"consents": [installation_pb2.ConsentChange(purpose="a", state=GRANTED)] * 2},
        "consents[1].purpose",
    ),
]


async def test_a_bad_row_is_refused_with_field_and_rule(registry: Registry) -> None:
    for fields, field in BAD_ROWS:
        with pytest.raises(RemoteError) as refused:
            await registry.register(1, **fields)
        assert refused.value.kind is Kind.INVALID_ARGUMENT
        assert refused.value.reason == "INVALID_FIELD"
        assert refused.value.violations[0].field == f"registration.{field}"
        assert refused.value.violations[0].rule


def attributes(start: int, stop: int) -> dict[str, Any]:
    flag = installation_pb2.AttributeValue(flag=True)
    return facts(attributes={f"a{number}": flag for number in range(start, stop)})


async def test_a_registration_that_would_leave_too_many_attributes_is_refused(
    registry: Registry,
) -> None:
    await registry.register(1, **attributes(0, 60))
    await registry.register(1, **attributes(60, 100))
    before = await registry.installation(1)
    with pytest.raises(RemoteError) as refused:
        await registry.register(1, **attributes(99, 101))
    assert (refused.value.kind, refused.value.reason) == (Kind.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refused.value.metadata == {"field": "registration.facts.attributes"}
    assert await registry.installation(1) == before


async def test_a_row_that_would_leave_too_many_attributes_is_refused_alone(
    registry: Registry,
) -> None:
    await registry.register(2, **attributes(0, 100))
    rows = [registry.row(number, **attributes(100, 101)) for number in (1, 2, 3)]
    (response,) = await exchanged(registry, [rows])
    assert list(response.outcomes) == [CREATED, REFUSED, CREATED]
    assert [(error.row, error.field) for error in response.errors] == [(1, "facts.attributes")]
    assert len((await registry.installation(2)).facts.attributes) == 100


async def test_bad_rows_of_a_page_are_reported_and_the_others_go_in(registry: Registry) -> None:
    rows = [registry.row(1)]
    rows += [registry.row(9, **fields) for fields, _ in BAD_ROWS]
    rows += [registry.row(2)]
    (response,) = await exchanged(registry, [rows])
    assert list(response.outcomes) == [CREATED, *[REFUSED] * len(BAD_ROWS), CREATED]
    fields = [(error.row, error.field) for error in response.errors]
    assert fields == [(i, field) for i, (_, field) in enumerate(BAD_ROWS, start=1)]
    assert {error.reason for error in response.errors} == {
        error_reason_pb2.ERROR_REASON_INVALID_FIELD
    }
    assert await registry.selected() == [1, 2]


async def exchanged(
    registry: Registry, pages: list[list[pb.Registration]], app_id: str = APP
) -> list[pb.RegisterTokensResponse]:
    async def requests() -> AsyncIterator[pb.RegisterTokensRequest]:
        for rows in pages:
            yield pb.RegisterTokensRequest(app_id=app_id, registrations=rows)

    return [response async for response in registry.stub.RegisterTokens(requests())]


async def test_pages_are_answered_in_order(registry: Registry) -> None:
    token = hex_token()
    pages = [
        [registry.row(1, token), registry.row(2)],
        [registry.row(1, token)],
        [registry.row(3, token), registry.row(4, token)],
    ]
    responses = await exchanged(registry, pages)
    assert [list(response.outcomes) for response in responses] == [
        [CREATED, CREATED],
        [REFRESHED],
        [REASSIGNED, REASSIGNED],
    ]
    assert await registry.selected() == [2, 4]


async def test_a_page_of_a_thousand_goes_in_at_once(registry: Registry) -> None:
    rows = [registry.row(number) for number in range(1, 1001)]
    (response,) = await exchanged(registry, [rows])
    assert set(response.outcomes) == {CREATED}
    (page,) = await registry.pages()
    assert page.page.count == 1000
    assert list(page.page.tokens) == [row.token.apns.encode() for row in rows]


async def test_a_page_with_too_many_rows_ends_the_stream(registry: Registry) -> None:
    rows = [registry.row(number) for number in range(1, 1002)]
    with pytest.raises(RemoteError) as refused:
        await exchanged(registry, [rows])
    assert refused.value.violations[0].field == "registrations"


async def test_registering_with_an_unknown_app_fails(registry: Registry) -> None:
    request = pb.RegisterTokenRequest(app_id="nobody", registration=registry.row(1))
    with pytest.raises(RemoteError) as refused:
        await registry.stub.RegisterToken(request)
    assert (refused.value.kind, refused.value.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")


async def test_tokens_and_keys_appear_in_no_log_and_no_error(
    registry: Registry, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    token = hex_token()
    secret = subscription("https://secret.example/endpoint-of-somebody")
    web: dict[str, Any] = {"platform": WEB, "token": token_pb2.Token(web_push=secret)}
    await registry.register(1, token)
    await registry.register(2, token)
    with pytest.raises(RemoteError) as bad_endpoint:
        await registry.register(3, **web)
    with pytest.raises(RemoteError) as bad_token:
        await registry.register(3, token + "x")
    await registry.pages()
    stored = str(await registry.installation(1))
    written = "".join([caplog.text, *capfd.readouterr(), stored])
    for error in (bad_endpoint.value, bad_token.value):
        written += f"{error}{error.metadata}{error.violations}"
    assert token not in written
    assert "endpoint-of-somebody" not in written
    assert secret.p256dh.hex() not in written


async def test_consent_can_come_with_the_registration(registry: Registry) -> None:
    consents = [
        installation_pb2.ConsentChange(purpose="news", state=GRANTED, source="onboarding"),
        installation_pb2.ConsentChange(purpose="offers", state=DENIED),
    ]
    await registry.register(1, consents=consents)
    assert dict((await registry.installation(1)).consents) == {"news": 1, "offers": 2}
    turned = [installation_pb2.ConsentChange(purpose="offers", state=GRANTED)]
    await registry.register(1, consents=turned)
    assert dict((await registry.installation(1)).consents) == {"news": 1, "offers": 1}


async def test_last_seen_never_goes_back(registry: Registry) -> None:
    await registry.register(1)
    old = timestamp(registry.clock, seconds=-timedelta(days=90).total_seconds())
    seen = installation_pb2.InstallationFacts(last_seen=old)
    await registry.register(1, facts=seen)
    assert (await registry.installation(1)).facts.last_seen == timestamp(registry.clock)
    await registry.register(2, facts=seen)
    assert (await registry.installation(2)).facts.last_seen == old


async def test_the_token_of_an_installation_is_never_shown(registry: Registry) -> None:
    await registry.register(1, "ab" * 32)
    stored = await registry.installation(1)
    (response,) = await registry.pages()
    assert stored.token_fingerprint == response.page.token_refs[:4].hex()
    assert stored.installation_id == str(key(1))


async def test_registrations_are_counted_by_outcome(registry: Registry) -> None:
    def count(outcome: str) -> float:
        return REGISTRY.get_sample_value("registry_registrations_total", {"outcome": outcome}) or 0

    before = {outcome: count(outcome) for outcome in ("CREATED", "REFUSED")}
    await exchanged(registry, [[registry.row(1), registry.row(2, platform=0), registry.row(3)]])
    assert count("CREATED") == before["CREATED"] + 2
    assert count("REFUSED") == before["REFUSED"] + 1
