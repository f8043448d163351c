"""A registration that waited somewhere does not undo what was said since it was observed."""

from collections.abc import Awaitable, Callable

import pytest

from nuncio.registry.v1 import installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from tests.integration.registry.repeating import GRANTED, Facts, Row, outcomes, register, said
from tests.integration.registry.running import Registry, timestamp
from tests.unit.registry.builders import APP, hex_token, key

DENIED = installation_pb2.CONSENT_STATE_DENIED
REFRESHED = token_pb2.REGISTRATION_OUTCOME_REFRESHED
ROTATED = token_pb2.REGISTRATION_OUTCOME_ROTATED
ID = str(key(1))
Act = Callable[[Registry], Awaitable[object]]


async def identify(registry: Registry) -> None:
    request = pb.IdentifyInstallationRequest(app_id=APP, installation_id=ID, user_id="bob")
    await registry.stub.IdentifyInstallation(request)


async def forget(registry: Registry) -> None:
    await registry.stub.ForgetUser(pb.ForgetUserRequest(app_id=APP, installation_id=ID))


async def merge(registry: Registry) -> None:
    request = pb.MergeUsersRequest(app_id=APP, from_user_id="ada", into_user_id="bob")
    assert (await registry.stub.MergeUsers(request)).moved == 1


async def set_consent(
    registry: Registry, **states: installation_pb2.ConsentState.ValueType
) -> None:
    changes = [
        installation_pb2.ConsentChange(purpose=purpose, state=state)
        for purpose, state in states.items()
    ]
    request = pb.SetConsentRequest(app_id=APP, installation_id=ID, changes=changes)
    await registry.stub.SetConsent(request)


async def update(registry: Registry) -> None:
    facts = Facts(permission=installation_pb2.PERMISSION_DENIED)
    request = pb.UpdateInstallationRequest(app_id=APP, installation_id=ID, facts=facts)
    await registry.stub.UpdateInstallation(request)


async def queued(registry: Registry, act: Act, *, in_time: bool = False) -> Row:
    """A row that is observed before the act, or after it; a minute lies between all of them."""
    first = said(registry)
    first.observed_at.CopyFrom(timestamp(registry.clock))
    await register(registry, first)
    registry.clock.advance(60)
    row = said(registry, apns=first.token.apns)
    if not in_time:
        row.observed_at.CopyFrom(timestamp(registry.clock))
        registry.clock.advance(60)
    await act(registry)
    registry.clock.advance(60)
    if in_time:
        row.observed_at.CopyFrom(timestamp(registry.clock))
        registry.clock.advance(60)
    return row


@pytest.mark.parametrize("in_bulk", [False, True])
@pytest.mark.parametrize(("act", "user"), [(identify, "bob"), (forget, ""), (merge, "bob")])
async def test_an_old_login_does_not_come_back(
    registry: Registry, act: Act, user: str, *, in_bulk: bool
) -> None:
    row = await queued(registry, act)
    if in_bulk:
        assert await outcomes(registry, [row]) == [[REFRESHED]]
    else:
        assert (await register(registry, row)).outcome == REFRESHED
    assert (await registry.installation()).user_id == user


async def test_an_old_permission_does_not_come_back(registry: Registry) -> None:
    await register(registry, await queued(registry, update))
    assert (await registry.installation()).facts.permission == installation_pb2.PERMISSION_DENIED


async def test_an_old_agreement_does_not_come_back(registry: Registry) -> None:
    row = await queued(registry, lambda registry: set_consent(registry, news=DENIED))
    await register(registry, row)
    assert dict((await registry.installation()).consents) == {"news": DENIED}


async def test_a_refusal_counts_whenever_it_comes(registry: Registry) -> None:
    row = await queued(registry, lambda registry: set_consent(registry, ads=GRANTED))
    row.consents[0].state = DENIED
    await register(registry, row)
    assert dict((await registry.installation()).consents) == {"news": DENIED, "ads": GRANTED}


@pytest.mark.parametrize("act", [identify, update, lambda r: set_consent(r, news=DENIED)])
async def test_what_was_observed_afterwards_counts(registry: Registry, act: Act) -> None:
    await register(registry, await queued(registry, act, in_time=True))
    now = await registry.installation()
    assert (now.user_id, dict(now.consents)) == ("ada", {"news": GRANTED})
    assert now.facts.permission == installation_pb2.PERMISSION_GRANTED


async def test_what_is_late_of_one_thing_counts_for_the_others_and_for_its_token(
    registry: Registry,
) -> None:
    row = await queued(registry, identify)
    row.token.apns = hex_token()
    row.facts.language = "fr"
    row.consents[0].purpose = "ads"
    assert (await register(registry, row)).outcome == ROTATED
    now = await registry.installation()
    assert (now.user_id, now.facts.language) == ("bob", "fr")
    assert dict(now.consents) == {"news": GRANTED, "ads": GRANTED}


async def test_what_did_not_count_is_no_repeat_when_it_is_said_again(registry: Registry) -> None:
    row = await queued(registry, identify)
    await register(registry, row)
    row.ClearField("observed_at")
    await register(registry, row)
    assert (await registry.installation()).user_id == "ada"
