"""Registry and targeting as two processes, and the few calls that the tests make of them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from google.protobuf.json_format import ParseDict

from nuncio.common.v1 import provider_pb2, target_pb2
from nuncio.registry.v1 import app_pb2, installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as registry_pb
from nuncio.registry.v1 import registry_service_pb2_grpc as registry_rpc
from nuncio.targeting.v1 import audience_pb2
from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio.targeting.v1 import targeting_service_pb2_grpc as rpc
from nuncio_runtime.client import connect
from tests.support.postgres import fresh_database
from tests.support.services import running_service


@dataclass(frozen=True)
class House:
    """Both services, reached as any client would."""

    registry: "registry_rpc.RegistryServiceAsyncStub"
    targeting: "rpc.TargetingServiceAsyncStub"

    async def app(self) -> str:
        """A new app."""
        app_id = f"app-{uuid4().hex}"
        await self.registry.CreateApp(registry_pb.CreateAppRequest(app=app_pb2.App(app_id=app_id)))
        return app_id

    async def installed(self, app_id: str, *, user_id: str | None = None, **facts: Any) -> UUID:
        """Register an Android installation that may be reached. facts: as in JSON."""
        installation_id = uuid4()
        registration = registry_pb.Registration(
            installation_id=str(installation_id),
            platform=provider_pb2.PLATFORM_ANDROID,
            token=token_pb2.Token(fcm=f"token-{installation_id}"),
            user_id=user_id,
            facts=ParseDict(
                {"permission": "PERMISSION_GRANTED", **facts}, installation_pb2.InstallationFacts()
            ),
        )
        await self.registry.RegisterToken(
            registry_pb.RegisterTokenRequest(app_id=app_id, registration=registration)
        )
        return installation_id

    async def login(self, app_id: str, installation_id: UUID, user_id: str) -> None:
        """Whoever used the installation logs out, and the user logs in."""
        await self.registry.ForgetUser(
            registry_pb.ForgetUserRequest(app_id=app_id, installation_id=str(installation_id))
        )
        await self.registry.IdentifyInstallation(
            registry_pb.IdentifyInstallationRequest(
                app_id=app_id, installation_id=str(installation_id), user_id=user_id
            )
        )

    async def consent(self, app_id: str, installation_id: UUID, purpose: str) -> None:
        """The person agrees to a purpose."""
        change = installation_pb2.ConsentChange(
            purpose=purpose, state=installation_pb2.CONSENT_STATE_GRANTED
        )
        await self.registry.SetConsent(
            registry_pb.SetConsentRequest(
                app_id=app_id, installation_id=str(installation_id), changes=[change]
            )
        )

    async def pages(
        self, app_id: str, audience: audience_pb2.Audience, **request: Any
    ) -> list[pb.ResolveAudienceResponse]:
        """All pages of an audience."""
        call = self.targeting.ResolveAudience(
            pb.ResolveAudienceRequest(app_id=app_id, audience=audience, **request)
        )
        return [page async for page in call]

    async def found(self, app_id: str, text: str) -> set[UUID]:
        """Who an expression finds."""
        return set(ids_of(await self.pages(app_id, expression(text))))

    async def segment(self, app_id: str, name: str, text: str) -> audience_pb2.Segment:
        """Save a segment."""
        segment = audience_pb2.Segment(name=name, expression=text)
        request = pb.CreateSegmentRequest(app_id=app_id, segment=segment)
        return (await self.targeting.CreateSegment(request)).segment


@asynccontextmanager
async def running_house(folder: Path) -> AsyncIterator[House]:
    """Both services, each with its own database. folder: for the registry's keys."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(fresh_database("nuncio_registry", "registry"))
        keys = {"KEYS__FOLDER": str(folder), "KEYS__CREATE": "true"}
        registry = await enter(running_service("registry", database=database, **keys))
        database = await enter(fresh_database("nuncio_targeting", "targeting"))
        targeting = await enter(
            running_service("targeting", database=database, REGISTRY__TARGET=registry)
        )
        yield House(
            registry_rpc.RegistryServiceStub(await enter(connect(registry))),
            rpc.TargetingServiceStub(await enter(connect(targeting))),
        )


def expression(text: str) -> audience_pb2.Audience:
    """Those whom an expression describes."""
    return audience_pb2.Audience(expression=text)


def installations(ids: Iterable[UUID]) -> audience_pb2.Audience:
    """These installations."""
    return audience_pb2.Audience(installations=these(ids))


def these(ids: Iterable[UUID]) -> audience_pb2.InstallationSet:
    """Installations, one by one."""
    packed = b"".join(each.bytes for each in ids)
    return audience_pb2.InstallationSet(installation_ids=packed)


def users(*user_ids: str) -> audience_pb2.Audience:
    """All installations of these users."""
    return audience_pb2.Audience(users=audience_pb2.UserSet(user_ids=user_ids))


def ids_of(pages: Iterable[pb.ResolveAudienceResponse]) -> list[UUID]:
    """The targets of pages, in their order."""
    packed = b"".join(page.page.installation_ids for page in pages)
    return [UUID(bytes=packed[at : at + 16]) for at in range(0, len(packed), 16)]


def suppressed_of(pages: Iterable[pb.ResolveAudienceResponse]) -> dict[str, int]:
    """Who is left out, by the reason's name."""
    total: dict[str, int] = {}
    for page in pages:
        for each in page.suppressed:
            name = target_pb2.SuppressionReason.Name(each.reason)
            name = name.removeprefix("SUPPRESSION_REASON_")
            total[name] = total.get(name, 0) + each.count
    return total
