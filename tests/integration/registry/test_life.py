"""The whole life of an installation as its change feed tells it: every writer says what it did."""

from datetime import timedelta

import pytest

from nuncio.registry.v1 import event_pb2, installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from tests.integration.registry.running import Registry, timestamp
from tests.integration.registry.watching import Feed, watching
from tests.unit.registry.builders import APP, hex_token, key

REGISTERED = event_pb2.INSTALLATION_EVENT_KIND_REGISTERED
ROTATED = event_pb2.INSTALLATION_EVENT_KIND_ROTATED
REPLACED = event_pb2.INSTALLATION_EVENT_KIND_REPLACED
INVALIDATED = event_pb2.INSTALLATION_EVENT_KIND_INVALIDATED
EXPIRED = event_pb2.INSTALLATION_EVENT_KIND_EXPIRED
RESTORED = event_pb2.INSTALLATION_EVENT_KIND_RESTORED
PERMISSION_CHANGED = event_pb2.INSTALLATION_EVENT_KIND_PERMISSION_CHANGED
CONSENT_CHANGED = event_pb2.INSTALLATION_EVENT_KIND_CONSENT_CHANGED
IDENTIFIED = event_pb2.INSTALLATION_EVENT_KIND_IDENTIFIED
ERASED = event_pb2.INSTALLATION_EVENT_KIND_ERASED
DELETED = event_pb2.INSTALLATION_EVENT_KIND_DELETED

GRANTED, DENIED = installation_pb2.CONSENT_STATE_GRANTED, installation_pb2.CONSENT_STATE_DENIED
ALLOWED, FORBIDDEN = installation_pb2.PERMISSION_GRANTED, installation_pb2.PERMISSION_DENIED
ID = str(key(1))


class Life:
    """What is done to installation 1, and to installation 2 that takes its token."""

    def __init__(self, registry: Registry, feed: Feed) -> None:
        self.registry = registry
        self._feed = feed
        self.now = installation_pb2.Installation()

    async def tells(self, *expected: tuple[int, str], other: tuple[int, ...] = ()) -> None:
        """The next events are these: kind and detail of installation 1, kinds of the other.

        `now` is installation 1 as the feed has shown it last.
        """
        events = await self._feed.events(len(expected) + len(other))
        mine = [event for event in events if event.installation_id == ID]
        assert [(event.kind, event.detail) for event in mine] == list(expected)
        assert [event.kind for event in events if event not in mine] == list(other)
        for event in mine:
            self.now = event.installation

    async def begins(self) -> None:
        consent = installation_pb2.ConsentChange(purpose="marketing", state=GRANTED)
        token = hex_token()
        for _ in range(2):  # What only repeats is no event.
            await self.registry.register(1, token, user_id="ada", consents=[consent])
        await self.registry.register(1)
        await self.tells(
            (REGISTERED, ""),
            (CONSENT_CHANGED, "marketing=granted"),
            (ROTATED, ""),
        )
        assert (self.now.user_id, dict(self.now.consents)) == ("ada", {"marketing": GRANTED})

    async def changes_its_mind(self) -> None:
        for permission in (FORBIDDEN, FORBIDDEN, ALLOWED):
            facts = installation_pb2.InstallationFacts(permission=permission)
            request = pb.UpdateInstallationRequest(app_id=APP, installation_id=ID, facts=facts)
            await self.registry.stub.UpdateInstallation(request)
        for state in (DENIED, DENIED, GRANTED):
            change = installation_pb2.ConsentChange(purpose="marketing", state=state)
            said = pb.SetConsentRequest(app_id=APP, installation_id=ID, changes=[change])
            await self.registry.stub.SetConsent(said)
        await self.tells(
            (PERMISSION_CHANGED, "denied"),
            (PERMISSION_CHANGED, "granted"),
            (CONSENT_CHANGED, "marketing=denied"),
            (CONSENT_CHANGED, "marketing=granted"),
        )

    async def changes_hands(self) -> None:
        stub = self.registry.stub
        for user_id in ("ada", "bob", "bob"):  # It is Ada's already.
            await stub.IdentifyInstallation(
                pb.IdentifyInstallationRequest(app_id=APP, installation_id=ID, user_id=user_id)
            )
        await self.tells((IDENTIFIED, ""))
        merge = pb.MergeUsersRequest(app_id=APP, from_user_id="bob", into_user_id="carol")
        for _ in range(2):
            await stub.MergeUsers(merge)
        await self.tells((IDENTIFIED, ""))
        assert self.now.user_id == "carol"
        for _ in range(2):
            await stub.ForgetUser(pb.ForgetUserRequest(app_id=APP, installation_id=ID))
        await self.tells((IDENTIFIED, ""))
        assert self.now.user_id == ""

    async def dies_and_comes_back(self) -> None:
        stub, clock = self.registry.stub, self.registry.clock
        (response,) = await self.registry.pages()
        dead = pb.DeadToken(
            installation_id=response.page.installation_ids,
            token_ref=response.page.token_refs,
            dead_since=timestamp(clock),
            reason="Unregistered",
        )
        for _ in range(2):
            await stub.InvalidateTokens(pb.InvalidateTokensRequest(app_id=APP, tokens=[dead]))
        await self.tells((INVALIDATED, "Unregistered"))
        assert self.now.token_state == token_pb2.TOKEN_STATE_INVALID
        clock.advance(1)
        since = timestamp(clock, seconds=-3600)
        for _ in range(2):
            await stub.RestoreTokens(pb.RestoreTokensRequest(app_id=APP, start_time=since))
        await self.tells((RESTORED, ""))
        assert self.now.token_state == token_pb2.TOKEN_STATE_ACTIVE

    async def loses_its_token(self) -> None:
        token = hex_token()
        await self.registry.register(1, token)
        await self.tells((ROTATED, ""))
        await self.registry.register(2, token)
        await self.tells((REPLACED, ""), other=(REGISTERED,))
        erased = pb.EraseInstallationRequest(app_id=APP, installation_id=str(key(2)))
        for _ in range(2):
            await self.registry.stub.EraseInstallation(erased)
        await self.tells(other=(ERASED,))
        async with watching(self.registry) as from_the_start:
            told = await from_the_start.events(1)
            while told[-1].kind != ERASED:
                told += await from_the_start.events(1)
        assert [event.kind for event in told if event.installation_id != ID] == [ERASED]

    async def ends(self) -> None:
        await self.registry.register(1)
        await self.tells((ROTATED, ""))
        self._feed.step = 600.0  # Hygiene looks once an hour.
        self.registry.clock.advance(timedelta(days=271).total_seconds())
        await self.tells((EXPIRED, ""))
        assert self.now.token_state == token_pb2.TOKEN_STATE_EXPIRED
        self.registry.clock.advance(timedelta(days=91).total_seconds())
        await self.tells((DELETED, ""))
        assert self.now == installation_pb2.Installation()


@pytest.mark.timeout(60)
async def test_the_feed_tells_the_whole_life_of_an_installation(registry: Registry) -> None:
    async with watching(registry, from_now=True) as feed:
        life = Life(registry, feed)
        await life.begins()
        await life.changes_its_mind()
        await life.changes_hands()
        await life.dies_and_comes_back()
        await life.loses_its_token()
        await life.ends()
