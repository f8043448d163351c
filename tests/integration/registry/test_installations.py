"""Apps, and what happens to installations after their registration, over real gRPC."""

from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.duration_pb2 import Duration

from nuncio.registry.v1 import app_pb2, installation_pb2, predicate_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import Registry, timestamp
from tests.unit.registry.builders import APP, key

ONE = str(key(1))
GRANTED = installation_pb2.CONSENT_STATE_GRANTED
Facts = installation_pb2.InstallationFacts


def topics(*names: str) -> installation_pb2.TopicSet:
    return installation_pb2.TopicSet(topics=names)


async def test_creating_an_app_again_changes_nothing(registry: Registry) -> None:
    shop = app_pb2.App(app_id="shop", display_name="Shop", stale_after=Duration(seconds=7200))
    first = await registry.stub.CreateApp(pb.CreateAppRequest(app=shop))
    registry.clock.advance(60)
    again = await registry.stub.CreateApp(pb.CreateAppRequest(app=shop))
    read = await registry.stub.GetApp(pb.GetAppRequest(app_id="shop"))
    assert first.app == again.app == read.app
    assert read.app.stale_after == shop.stale_after


async def test_an_app_is_stale_after_thirty_days_unless_told(registry: Registry) -> None:
    read = await registry.stub.GetApp(pb.GetAppRequest(app_id=APP))
    assert read.app.stale_after.ToTimedelta().days == 30


async def test_an_app_with_other_content_exists(registry: Registry) -> None:
    other = app_pb2.App(app_id=APP, display_name="Other")
    with pytest.raises(RemoteError) as refused:
        await registry.stub.CreateApp(pb.CreateAppRequest(app=other))
    assert (refused.value.kind, refused.value.reason) == (Kind.ALREADY_EXISTS, "APP_EXISTS")
    assert refused.value.metadata == {"appId": APP, "fields": "display_name"}


@pytest.mark.parametrize(
    ("app", "field"),
    [
        (app_pb2.App(app_id="no blanks"), "app.app_id"),
        (app_pb2.App(app_id="a", display_name="x" * 201), "app.display_name"),
        (app_pb2.App(app_id="a", display_name="\0"), "app.display_name"),
        (app_pb2.App(app_id="a", stale_after=Duration(seconds=60)), "app.stale_after"),
        (app_pb2.App(app_id="a", stale_after=Duration(seconds=10**11)), "app.stale_after"),
        (app_pb2.App(app_id="a", stale_after=Duration(seconds=10**17)), "app.stale_after"),
    ],
)
async def test_bad_apps_are_refused(registry: Registry, app: app_pb2.App, field: str) -> None:
    with pytest.raises(RemoteError) as refused:
        await registry.stub.CreateApp(pb.CreateAppRequest(app=app))
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert refused.value.violations[0].field == field


async def test_apps_are_listed_by_id_in_pages(registry: Registry) -> None:
    for app_id in ("b", "Z", "a"):
        await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=app_id)))
    found: list[str] = []
    token = ""
    while token or not found:
        page = await registry.stub.ListApps(pb.ListAppsRequest(page_size=2, page_token=token))
        found += [app.app_id for app in page.apps]
        token = page.next_page_token
    assert found == ["Z", "a", "b", APP]


async def test_an_update_changes_only_what_it_names(registry: Registry) -> None:
    facts = Facts(language="de", device_model="A", topics=topics("a", "b"))
    facts.attributes["plan"].text = "free"
    facts.attributes["vip"].flag = True
    await registry.register(1, facts=facts)
    change = Facts(country="CH", device_model="")
    change.attributes["logins"].number = 3
    updated = await registry.stub.UpdateInstallation(
        pb.UpdateInstallationRequest(
            app_id=APP,
            installation_id=ONE,
            facts=change,
            add_topics=topics("c", "d"),
            remove_topics=topics("a", "d"),
            remove_attributes=["vip", "unknown"],
        )
    )
    told = updated.installation.facts
    assert (told.language, told.country, told.HasField("device_model")) == ("de", "CH", False)
    assert list(told.topics.topics) == ["b", "c"]
    assert {name: value.WhichOneof("kind") for name, value in told.attributes.items()} == {
        "plan": "text",
        "logins": "number",
    }
    assert updated.installation == await registry.installation(1)


async def test_every_type_of_attribute_comes_back_as_it_was(registry: Registry) -> None:
    facts = Facts()
    facts.attributes["text"].text = "true"
    facts.attributes["number"].number = 0.1
    facts.attributes["flag"].flag = False
    facts.attributes["time"].time.FromMicroseconds(-1)
    facts.attributes["version"].version = "1.20.0"
    await registry.register(1, facts=facts)
    assert (await registry.installation(1)).facts.attributes == facts.attributes


async def test_sets_that_would_grow_too_large_are_refused(registry: Registry) -> None:
    await registry.register(1, facts=Facts(topics=topics(*(f"t{n}" for n in range(200)))))
    request = pb.UpdateInstallationRequest(
        app_id=APP, installation_id=ONE, add_topics=topics("more")
    )
    with pytest.raises(RemoteError) as refused:
        await registry.stub.UpdateInstallation(request)
    assert refused.value.violations[0].field == "add_topics"
    assert len((await registry.installation(1)).facts.topics.topics) == 200


async def test_login_and_logout_move_an_installation(registry: Registry) -> None:
    await registry.register(1)
    ada = pb.IdentifyInstallationRequest(app_id=APP, installation_id=ONE, user_id="ada")
    bob = pb.IdentifyInstallationRequest(app_id=APP, installation_id=ONE, user_id="bob")
    out = pb.ForgetUserRequest(app_id=APP, installation_id=ONE)
    assert (await registry.stub.IdentifyInstallation(ada)).previous_user_id == ""
    assert (await registry.stub.IdentifyInstallation(bob)).previous_user_id == "ada"
    assert (await registry.installation(1)).user_id == "bob"
    assert (await registry.stub.ForgetUser(out)).previous_user_id == "bob"
    assert (await registry.stub.ForgetUser(out)).previous_user_id == ""
    assert (await registry.installation(1)).user_id == ""


async def test_consent_is_the_latest_state_of_each_purpose(registry: Registry) -> None:
    await registry.register(1)
    await set_consent(registry, news=1, offers=2)
    assert await set_consent(registry, offers=1, tips=2) == {"news": 1, "offers": 1, "tips": 2}
    assert dict((await registry.installation(1)).consents) == {"news": 1, "offers": 1, "tips": 2}


async def set_consent(registry: Registry, **states: int) -> dict[str, int]:
    changes = [
        installation_pb2.ConsentChange(
            purpose=purpose, state=installation_pb2.ConsentState.ValueType(state)
        )
        for purpose, state in states.items()
    ]
    response = await registry.stub.SetConsent(
        pb.SetConsentRequest(app_id=APP, installation_id=ONE, changes=changes)
    )
    return dict(response.consents)


async def test_installations_are_listed_in_pages_of_their_filter(registry: Registry) -> None:
    for number in range(1, 6):
        await registry.register(number)
    found: list[str] = []
    request = pb.ListInstallationsRequest(app_id=APP, page_size=2)
    while not found or request.page_token:
        page = await registry.stub.ListInstallations(request)
        found += [installation.installation_id for installation in page.installations]
        request.page_token = page.next_page_token
    assert found == [str(key(number)) for number in range(1, 6)]


async def test_a_page_token_of_another_filter_is_refused(registry: Registry) -> None:
    for number in (1, 2):
        await registry.register(number)
    page = await registry.stub.ListInstallations(
        pb.ListInstallationsRequest(app_id=APP, page_size=1)
    )
    everyone = predicate_pb2.Predicate(all_of=predicate_pb2.AllOf())
    for request in (
        pb.ListInstallationsRequest(
            app_id=APP, predicate=everyone, page_token=page.next_page_token
        ),
        pb.ListInstallationsRequest(app_id=APP, page_token="damaged"),
        pb.ListInstallationsRequest(app_id="other", page_token=page.next_page_token),
    ):
        with pytest.raises(RemoteError) as refused:
            await registry.stub.ListInstallations(request)
        assert refused.value.reason == "PAGE_TOKEN_MISMATCH"
        assert refused.value.kind is Kind.INVALID_ARGUMENT


Call = Callable[[Registry, str, str], Awaitable[object]]
CALLS: list[Call] = [
    lambda registry, app, id_: registry.stub.GetInstallation(
        pb.GetInstallationRequest(app_id=app, installation_id=id_)
    ),
    lambda registry, app, id_: registry.stub.UpdateInstallation(
        pb.UpdateInstallationRequest(app_id=app, installation_id=id_)
    ),
    lambda registry, app, id_: registry.stub.IdentifyInstallation(
        pb.IdentifyInstallationRequest(app_id=app, installation_id=id_, user_id="ada")
    ),
    lambda registry, app, id_: registry.stub.ForgetUser(
        pb.ForgetUserRequest(app_id=app, installation_id=id_)
    ),
    lambda registry, app, id_: registry.stub.SetConsent(
        pb.SetConsentRequest(
            app_id=app,
            installation_id=id_,
            changes=[
                installation_pb2.ConsentChange(
                    purpose="news", state=installation_pb2.CONSENT_STATE_GRANTED
                )
            ],
        )
    ),
]


async def test_an_unknown_installation_is_named(registry: Registry) -> None:
    for call in CALLS:
        with pytest.raises(RemoteError) as unknown:
            await call(registry, APP, ONE)
        assert unknown.value.kind is Kind.NOT_FOUND
        assert unknown.value.reason == "INSTALLATION_NOT_FOUND"
        assert unknown.value.metadata == {"appId": APP, "installationId": ONE}


async def test_an_unknown_app_is_named(registry: Registry) -> None:
    for call in CALLS:
        with pytest.raises(RemoteError) as unknown:
            await call(registry, "nobody", ONE)
        assert (unknown.value.kind, unknown.value.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")


async def test_an_app_id_with_nul_is_refused(registry: Registry) -> None:
    for call in CALLS:
        with pytest.raises(RemoteError) as refused:
            await call(registry, "no\0body", ONE)
        assert refused.value.violations[0].field == "app_id"


async def test_an_id_that_is_no_uuid_is_refused(registry: Registry) -> None:
    for call in CALLS:
        with pytest.raises(RemoteError) as refused:
            await call(registry, APP, "1")
        assert refused.value.violations[0].field == "installation_id"


async def test_the_other_calls_name_an_unknown_app_too(registry: Registry) -> None:
    dead = pb.DeadToken(
        installation_id=bytes(16), token_ref=bytes(16), dead_since=timestamp(registry.clock)
    )
    dead.reason = "Unregistered"
    for call in (
        registry.stub.GetApp(pb.GetAppRequest(app_id="nobody")),
        registry.stub.ListInstallations(pb.ListInstallationsRequest(app_id="nobody")),
        registry.stub.CountTargets(pb.CountTargetsRequest(app_id="nobody")),
        registry.stub.InvalidateTokens(pb.InvalidateTokensRequest(app_id="nobody", tokens=[dead])),
    ):
        with pytest.raises(RemoteError) as refused:
            await call
        assert refused.value.reason == "APP_NOT_FOUND"
