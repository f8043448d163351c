"""What `nuncio up --with-simulator` lays ready: the app `demo`, and installations to import."""

import base64
import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nuncio.common.v1.provider_pb2 import Platform
from nuncio.registry.v1.app_pb2 import App
from nuncio.registry.v1.installation_pb2 import ConsentState, Permission
from nuncio.registry.v1.registry_service_pb2 import CreateAppRequest, Registration
from nuncio_cli.connect import clients
from nuncio_cli.demo.minting import mint_tokens
from nuncio_cli.demo.population import platforms, population
from nuncio_cli.files import fresh_private
from nuncio_cli.names import word
from nuncio_cli.simulated import DEMO_APP
from nuncio_cli.stubs import RegistryStub
from nuncio_cli.suite import Suite
from nuncio_runtime.errors import Kind, ServiceError
from nuncio_simulator.client import AdminClient
from nuncio_simulator.contract import Shares

SAMPLE: Final = "sample.csv"
INSTALLATIONS: Final = 200
SEED: Final = 7
# Some are dead; none is throttled, so that a dispatch is over at once.
SHARES: Final = Shares(dead=0.03, dead_before=0.0, throttled=0.0, slow=0.005)
FACTS: Final = (
    "language",
    "country",
    "time_zone",
    "app_version",
    "os_version",
    "device_model",
)
COLUMNS: Final = (
    "platform", "token", "endpoint", "p256dh", "auth", "user_id", *FACTS, "permission", "topics",
    "attributes.plan", "consents.marketing", "last_seen",
)  # fmt: skip


async def prepare_demo_app(suite: Suite) -> Path:
    """Make the app and the sample when they are missing. The suite runs with the simulator."""
    async with clients(suite.addresses) as services:
        await create_demo_app(services.registry)
    file = suite.data / SAMPLE
    if not file.exists():
        assert suite.simulator is not None
        async with AdminClient(suite.simulator.admin_url) as simulator:
            tokens = await mint_tokens(simulator, platforms(INSTALLATIONS), shares=SHARES)
        write_sample(file, population(tokens, seed=SEED, now=datetime.now(UTC)))
    return file


async def create_demo_app(registry: RegistryStub) -> None:
    """Make the app `demo`, unless there is one, whatever it is called."""
    app = App(app_id=DEMO_APP, display_name="The demo's app")
    try:
        await registry.CreateApp(CreateAppRequest(app=app))
    except ServiceError as error:
        if error.kind is not Kind.ALREADY_EXISTS:
            raise


def write_sample(file: Path, registrations: Iterable[Registration]) -> None:
    """Registrations as a CSV file that `nuncio tokens import` takes as it is."""
    draft = file.with_name(f"{file.name}.new")
    with fresh_private(draft) as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(map(_row, registrations))
    draft.replace(file)


def _row(registration: Registration) -> dict[str, str]:
    facts, token = registration.facts, registration.token
    web = token.web_push
    return {
        "platform": word(Platform, registration.platform, "PLATFORM_"),
        "token": token.apns or token.fcm,
        "endpoint": web.endpoint,
        "p256dh": base64.urlsafe_b64encode(web.p256dh).decode(),
        "auth": base64.urlsafe_b64encode(web.auth).decode(),
        "user_id": registration.user_id,
        **{name: getattr(facts, name) for name in FACTS},
        "permission": word(Permission, facts.permission, "PERMISSION_"),
        "topics": "|".join(facts.topics.topics),
        "attributes.plan": facts.attributes["plan"].text,
        "consents.marketing": word(ConsentState, registration.consents[0].state, "CONSENT_STATE_"),
        "last_seen": facts.last_seen.ToJsonString(),
    }
