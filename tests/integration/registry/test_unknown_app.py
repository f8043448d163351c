"""Pages of registrations for an app that is not there, and one subscription in many spellings."""

from collections.abc import Iterator, Sequence

import pytest

from nuncio.common.v1 import error_reason_pb2, provider_pb2
from nuncio.registry.v1 import app_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_cli.errors import AppUnknown
from nuncio_cli.registering import PAGES_IN_FLIGHT, register_pages
from nuncio_runtime.metrics import REGISTRY
from tests.integration.registry.running import Registry
from tests.integration.registry.subscriptions import subscription
from tests.unit.registry.builders import APP, key

CREATED = token_pb2.REGISTRATION_OUTCOME_CREATED
REFRESHED = token_pb2.REGISTRATION_OUTCOME_REFRESHED
REASSIGNED = token_pb2.REGISTRATION_OUTCOME_REASSIGNED
REFUSED = token_pb2.REGISTRATION_OUTCOME_UNSPECIFIED
NOBODY = "nobody"


async def exchanged(
    registry: Registry, *pages: tuple[str, list[pb.Registration]]
) -> list[pb.RegisterTokensResponse]:
    requests = [pb.RegisterTokensRequest(app_id=app, registrations=rows) for app, rows in pages]
    return [response async for response in registry.stub.RegisterTokens(iter(requests))]


def assert_all_refused(response: pb.RegisterTokensResponse, rows: int) -> None:
    assert list(response.outcomes) == [REFUSED] * rows
    assert [error.row for error in response.errors] == list(range(rows))
    for error in response.errors:
        assert error.reason == error_reason_pb2.ERROR_REASON_APP_NOT_FOUND
        assert (error.field, error.rule) == ("app_id", "must be a known app")


def refused_so_far() -> float:
    return REGISTRY.get_sample_value("registry_registrations_total", {"outcome": "REFUSED"}) or 0


async def test_the_rows_of_an_unknown_app_are_refused_and_the_stream_goes_on(
    registry: Registry,
) -> None:
    before = refused_so_far()
    bad = registry.row(9, token=token_pb2.Token())
    first, unknown, again, last = await exchanged(
        registry,
        (APP, [registry.row(1)]),
        (NOBODY, [registry.row(2), bad, registry.row(3)]),
        (NOBODY, [registry.row(2)]),
        (APP, [registry.row(4)]),
    )
    assert_all_refused(unknown, 3)
    assert_all_refused(again, 1)
    assert [list(page.outcomes) for page in (first, last)] == [[CREATED], [CREATED]]
    assert refused_so_far() - before == 4
    assert await registry.selected() == [1, 4]


async def test_an_app_that_is_deleted_in_the_middle_of_a_stream_ends_no_stream(
    registry: Registry,
) -> None:
    await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id="other")))
    row = registry.row(1)
    call = registry.stub.RegisterTokens()

    async def exchange(app_id: str) -> pb.RegisterTokensResponse:
        await call.write(pb.RegisterTokensRequest(app_id=app_id, registrations=[row]))
        response = await call.read()
        assert isinstance(response, pb.RegisterTokensResponse)
        return response

    for outcome in (CREATED, REFRESHED):
        assert list((await exchange("other")).outcomes) == [outcome]
    erased = pb.EraseInstallationRequest(app_id="other", installation_id=str(key(1)))
    await registry.stub.EraseInstallation(erased)
    await registry.stub.DeleteApp(pb.DeleteAppRequest(app_id="other"))
    assert_all_refused(await exchange("other"), 1)
    assert list((await exchange(APP)).outcomes) == [CREATED]
    await call.done_writing()


async def test_the_command_line_ends_at_the_first_page_of_an_unknown_app(
    registry: Registry,
) -> None:
    taken = 0

    def pages() -> Iterator[Sequence[pb.Registration]]:
        nonlocal taken
        for taken in range(1, 101):
            yield [registry.row(taken)]

    with pytest.raises(AppUnknown) as unknown:
        async for _ in register_pages(registry.stub, pages(), app_id=NOBODY):
            pass
    assert unknown.value.metadata == {"appId": NOBODY}
    assert NOBODY in unknown.value.message
    assert taken <= PAGES_IN_FLIGHT + 1


async def test_one_subscription_has_one_owner_however_its_endpoint_is_written(
    registry: Registry,
) -> None:
    hosts = ("fcm.googleapis.com", "FCM.googleapis.com", "fcm.googleapis.com:443")
    rows = [
        registry.row(
            number,
            platform=provider_pb2.PLATFORM_WEB,
            token=token_pb2.Token(web_push=subscription(f"https://{host}/fcm/send/a")),
        )
        for number, host in enumerate(hosts, start=1)
    ]
    one, *others = rows
    singly = pb.RegisterTokenRequest(app_id=APP, registration=one)
    assert (await registry.stub.RegisterToken(singly)).outcome == CREATED
    (response,) = await exchanged(registry, (APP, others))
    assert list(response.outcomes) == [REASSIGNED, REASSIGNED]
    (page,) = await registry.pages()
    assert await registry.selected() == [3]
    assert list(page.page.tokens) == [b"https://fcm.googleapis.com/fcm/send/a"]


async def test_spellings_of_one_endpoint_on_one_page_are_one_token(registry: Registry) -> None:
    """First registrations that share a token are not stored side by side."""
    rows = [
        registry.row(
            number,
            platform=provider_pb2.PLATFORM_WEB,
            token=token_pb2.Token(web_push=subscription(f"https://{host}/fcm/send/b")),
        )
        for number, host in ((1, "fcm.googleapis.com"), (2, "Fcm.googleapis.com"))
    ]
    (response,) = await exchanged(registry, (APP, rows))
    assert list(response.outcomes) == [CREATED, REASSIGNED]
    assert await registry.selected() == [2]
    (again,) = await exchanged(registry, (APP, rows))
    assert list(again.outcomes) == [REASSIGNED, REASSIGNED]
    assert await registry.selected() == [2]
