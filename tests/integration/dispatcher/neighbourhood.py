"""The services around the dispatcher as real processes, and the simulated providers."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import grpc

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import app_pb2, installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as registry_pb
from nuncio.registry.v1 import registry_service_pb2_grpc as registry_rpc
from nuncio_runtime.client import connect
from nuncio_simulator.contract import Mintable, Minted, ProviderName, Shares
from nuncio_simulator.ledger import token_hash
from nuncio_simulator.process import Simulator, start_simulator
from tests.support.postgres import fresh_database
from tests.support.services import running_service

APP = "com.example.app"
DYING_APP = "com.example.dying"
HALF_APP = "com.example.half"
WHOLE_APP = "com.example.whole"
FAULTY_APP = "com.example.faulty"
SHARED_APP = "com.example.shared"
REFUSED_APP = "com.example.refused"
DIRECT_APP = "com.example.direct"
# One for each delivery policy: at most once, at least once.
SILENT_APPS = ("com.example.silent-once", "com.example.silent-again")
CRASH_APPS = ("com.example.crash-once", "com.example.crash-again")
APPS = (
    *(APP, DYING_APP, HALF_APP, WHOLE_APP, FAULTY_APP, SHARED_APP, REFUSED_APP, DIRECT_APP),
    *(*SILENT_APPS, *CRASH_APPS),
)
PROVIDERS: tuple[Mintable, ...] = (ProviderName.APNS, ProviderName.FCM, ProviderName.WEBPUSH)
ALL_ALIVE = Shares(dead=0, dead_before=0, throttled=0, slow=0)
FACTS = installation_pb2.InstallationFacts(permission=installation_pb2.PERMISSION_GRANTED)


@dataclass(frozen=True)
class Neighbourhood:
    """Addresses of the running services, and the folder with the app's credentials."""

    registry: "registry_rpc.RegistryServiceAsyncStub"
    registry_target: str
    targeting_target: str
    feedback: grpc.aio.Channel
    feedback_target: str
    simulator: Simulator
    credentials: Path

    def settings(self) -> dict[str, str]:
        """What a dispatcher among these has to be told; impatient, as tests are."""
        return {
            "TARGETING__TARGET": self.targeting_target,
            "FEEDBACK__TARGET": self.feedback_target,
            "CREDENTIALS": str(self.credentials),
            "RETRY__FIRST_WAIT": "0.2",
            "RETRY__UNSENT_WAIT": "0.2",
            "RETRY__PROBE_WAIT": "0.2",
            "RUNNER__LEASE": "2",
            "RUNNER__HEARTBEAT": "0.5",
            "RUNNER__POLL": "0.1",
            "SERVER__DRAIN_GRACE": "1",
        }

    async def install(
        self, provider: Mintable, count: int, *, app_id: str = APP, shares: Shares = ALL_ALIVE
    ) -> list[str]:
        """Register so many new installations of a provider; gives their addresses."""
        topic = app_id if provider is ProviderName.APNS else None
        minted = await self.simulator.admin.mint(provider, count, shares=shares, topic=topic)
        rows = _registrations(provider, minted)
        page = registry_pb.RegisterTokensRequest(app_id=app_id, registrations=rows)
        async for answer in self.registry.RegisterTokens(iter([page])):
            assert not answer.errors
        return minted.tokens or [each.endpoint for each in minted.subscriptions]

    async def installations(self, app_id: str) -> Sequence[installation_pb2.Installation]:
        """What the registry knows of an app's installations, of which there are few."""
        wanted = registry_pb.ListInstallationsRequest(app_id=app_id, page_size=1_000)
        return (await self.registry.ListInstallations(wanted)).installations

    async def login(self, installation_id: str, user_id: str, *, app_id: str) -> None:
        """The installation belongs to this user from now on."""
        await self.registry.IdentifyInstallation(
            registry_pb.IdentifyInstallationRequest(
                app_id=app_id, installation_id=installation_id, user_id=user_id
            )
        )

    async def accepted(self, provider: ProviderName, addresses: list[str]) -> list[int]:
        """How often the provider has accepted something for each of these addresses."""
        known = (await self.simulator.admin.ledger(provider)).tokens
        counts = [known.get(token_hash(address)) for address in addresses]
        return [count.accepted if count else 0 for count in counts]


@asynccontextmanager
async def neighbourhood(folder: Path) -> AsyncIterator[Neighbourhood]:
    """Registry, targeting, feedback and simulator, with a few apps."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        simulator = await enter(start_simulator(folder / "simulator", apns_topic=list(APPS)))
        registry = await enter(
            running_service(
                "registry",
                database=await enter(fresh_database("nuncio_registry", "registry")),
                KEYS__FOLDER=str(folder / "keys"),
                KEYS__CREATE="true",
                WEB_PUSH__ALLOWED_ORIGINS=simulator.webpush.origin,
            )
        )
        targeting = await enter(
            running_service(
                "targeting",
                database=await enter(fresh_database("nuncio_targeting", "targeting")),
                REGISTRY__TARGET=registry,
            )
        )
        feedback = await enter(
            running_service(
                "feedback",
                database=await enter(fresh_database("nuncio_feedback", "feedback")),
                REGISTRY__TARGET=registry,
            )
        )
        stub = registry_rpc.RegistryServiceStub(await enter(connect(registry)))
        credentials = folder / "credentials"
        credentials.mkdir()
        for app_id in APPS:
            await stub.CreateApp(registry_pb.CreateAppRequest(app=app_pb2.App(app_id=app_id)))
            (credentials / f"{app_id}.toml").write_text(credentials_of(app_id, simulator))
        yield Neighbourhood(
            registry=stub,
            registry_target=registry,
            targeting_target=targeting,
            feedback=await enter(connect(feedback)),
            feedback_target=feedback,
            simulator=simulator,
            credentials=credentials,
        )


def credentials_of(app_id: str, simulator: Simulator) -> str:
    """The file with everything that the app needs to send through the simulator."""
    apns, fcm, web_push, ca = simulator.apns, simulator.fcm, simulator.webpush, simulator.ca_file
    return f"""
        [apns.production]
        team_id = "{apns.team_id}"
        key_id = "{apns.key_id}"
        key_file = "{apns.key_file}"
        topic = "{app_id}"
        origin = "{apns.origin}"
        ca_file = "{ca}"
        answer_within = 2
        probe_wait = 0.2

        [fcm]
        service_account_file = "{fcm.service_account_file}"
        origin = "{fcm.origin}"
        ca_file = "{ca}"
        answer_within = 2
        probe_wait = 0.2

        [web_push]
        private_key_file = "{web_push.vapid_private_key_file}"
        subject = "{web_push.subject}"
        allowed_origins = ["{web_push.origin}"]
        ca_file = "{ca}"
        answer_within = 2
        probe_wait = 0.2
    """


def _registrations(provider: ProviderName, minted: Minted) -> Sequence[registry_pb.Registration]:
    if provider is ProviderName.WEBPUSH:
        tokens = [
            token_pb2.Token(
                web_push=token_pb2.WebPushSubscription(
                    endpoint=each.endpoint, p256dh=_decoded(each.p256dh), auth=_decoded(each.auth)
                )
            )
            for each in minted.subscriptions
        ]
        platform = provider_pb2.PLATFORM_WEB
    elif provider is ProviderName.APNS:
        tokens = [token_pb2.Token(apns=token) for token in minted.tokens]
        platform = provider_pb2.PLATFORM_IOS
    else:
        tokens = [token_pb2.Token(fcm=token) for token in minted.tokens]
        platform = provider_pb2.PLATFORM_ANDROID
    return [
        registry_pb.Registration(
            installation_id=str(uuid4()), platform=platform, token=token, facts=FACTS
        )
        for token in tokens
    ]


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
