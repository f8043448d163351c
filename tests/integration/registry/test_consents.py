"""The consent ledger over real gRPC: as the contract's comments say."""

import pytest

from nuncio.registry.v1 import installation_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import Registry, timestamp
from tests.unit.registry.builders import APP, key

GRANTED = installation_pb2.CONSENT_STATE_GRANTED
DENIED = installation_pb2.CONSENT_STATE_DENIED
Change = installation_pb2.ConsentChange


async def say(registry: Registry, *changes: installation_pb2.ConsentChange) -> None:
    await registry.stub.SetConsent(
        pb.SetConsentRequest(app_id=APP, installation_id=str(key(1)), changes=changes)
    )


def asked(number: int = 1, *, app: str = APP, token: str = "") -> pb.ListConsentEventsRequest:
    return pb.ListConsentEventsRequest(
        app_id=app, installation_id=str(key(number)), page_size=2, page_token=token
    )


async def test_the_ledger_tells_who_said_what_when_and_how(registry: Registry) -> None:
    first = Change(
        purpose="marketing",
        state=GRANTED,
        source="onboarding",
        prompt_strategy="pre_prompt",
        policy_version="2026-01",
        actor="support",
    )
    await registry.register(1, consents=[first])
    then = timestamp(registry.clock)
    registry.clock.advance(60)
    await say(registry, first)
    await say(registry, Change(purpose="marketing", state=DENIED))
    page = await registry.stub.ListConsentEvents(asked())
    assert list(page.events) == [
        installation_pb2.ConsentEvent(
            purpose="marketing", state=DENIED, record_time=timestamp(registry.clock)
        ),
        installation_pb2.ConsentEvent(
            purpose="marketing",
            state=GRANTED,
            source="onboarding",
            prompt_strategy="pre_prompt",
            policy_version="2026-01",
            actor="support",
            record_time=then,
        ),
    ]
    assert page.next_page_token == ""


async def test_the_ledger_is_paged_newest_first(registry: Registry) -> None:
    await registry.register(1)
    for number in range(5):
        await say(registry, Change(purpose=f"p{number}", state=GRANTED))
    purposes: list[str] = []
    request = asked()
    while not purposes or request.page_token:
        page = await registry.stub.ListConsentEvents(request)
        purposes += [event.purpose for event in page.events]
        request.page_token = page.next_page_token
    assert purposes == ["p4", "p3", "p2", "p1", "p0"]


async def test_the_page_token_of_another_ledger_is_refused(registry: Registry) -> None:
    for number in (1, 2):
        await registry.register(number)
    for number in range(3):
        await say(registry, Change(purpose=f"p{number}", state=GRANTED))
    token = (await registry.stub.ListConsentEvents(asked())).next_page_token
    assert token
    for request in (asked(2, token=token), asked(token="damaged")):
        with pytest.raises(RemoteError) as refused:
            await registry.stub.ListConsentEvents(request)
        assert refused.value.kind is Kind.INVALID_ARGUMENT
        assert refused.value.reason == "PAGE_TOKEN_MISMATCH"


async def test_an_installation_that_said_nothing_has_an_empty_ledger(registry: Registry) -> None:
    await registry.register(1)
    assert list((await registry.stub.ListConsentEvents(asked())).events) == []


@pytest.mark.parametrize(
    ("request_", "reason"),
    [(asked(9), "INSTALLATION_NOT_FOUND"), (asked(app="nobody"), "APP_NOT_FOUND")],
)
async def test_who_is_not_there_is_named(
    registry: Registry, request_: pb.ListConsentEventsRequest, reason: str
) -> None:
    with pytest.raises(RemoteError) as unknown:
        await registry.stub.ListConsentEvents(request_)
    assert (unknown.value.kind, unknown.value.reason) == (Kind.NOT_FOUND, reason)


async def test_without_consent_there_is_no_target_once_the_call_returned(
    registry: Registry,
) -> None:
    await registry.register(1, consents=[Change(purpose="marketing", state=GRANTED)])
    assert await registry.selected(purpose="marketing") == [1]
    await say(registry, Change(purpose="marketing", state=DENIED))
    assert await registry.selected(purpose="marketing") == []
    assert await registry.selected() == [1]
