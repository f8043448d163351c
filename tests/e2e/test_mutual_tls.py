"""Four services that ask for client certificates, and reach each other with their own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from nuncio.registry.v1.token_pb2 import INVALIDATION_OUTCOME_INVALIDATED
from nuncio.targeting.v1 import audience_pb2
from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio.targeting.v1 import targeting_service_pb2_grpc as rpc
from nuncio_cli.app import root
from nuncio_dispatcher.config import FeedbackSettings, TargetingSettings
from nuncio_feedback.domain.model import Verdict
from nuncio_runtime.client import connect_to
from nuncio_runtime.tls import ClientTls
from tests.integration.feedback.neighbours import Client
from tests.support.certificates import Authority
from tests.support.postgres import fresh_database
from tests.support.services import ServiceProcess, service_process
from tests.unit.feedback.pages import Row, page_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

APP = "shop"
ROWS = [
    {"platform": "ios", "token": f"{number:064x}", "permission": "granted"} for number in (1, 2)
]


@dataclass
class House:
    """The running services, and who issues certificates."""

    authority: Authority
    services: dict[str, ServiceProcess]

    def target(self, name: str) -> str:
        return self.services[name].target

    async def nuncio(self, *arguments: str, tls: ClientTls | None = None) -> Result:
        """Run a command, as the operator or with other files."""
        tls = tls or self.authority.issue("operator")
        environment = {f"NUNCIO_{name.upper()}": self.target(name) for name in self.services}
        files = {name.upper(): str(file) for name, file in tls._asdict().items() if file}
        environment |= {f"NUNCIO_{name}": file for name, file in files.items()}
        runner = CliRunner(env=environment)
        return await asyncio.to_thread(runner.invoke, root, [*arguments, "--json"])

    async def lines(self, *arguments: str) -> list[Any]:
        """What a command printed. It has to succeed."""
        done = await self.nuncio(*arguments)
        assert done.exit_code == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@asynccontextmanager
async def running_house(folder: Path) -> AsyncIterator[House]:
    authority = Authority(folder)
    house = House(authority, {})
    async with AsyncExitStack() as stack:

        async def start(name: str, *upstreams: str, **settings: str) -> None:
            tls = authority.issue(name)
            for upstream in upstreams:
                section = upstream.upper()
                settings[f"{section}__TARGET"] = house.target(upstream)
                settings |= {f"{section}__{k.upper()}": str(v) for k, v in tls._asdict().items()}
            database = await stack.enter_async_context(fresh_database(f"nuncio_{name}", name))
            house.services[name] = await stack.enter_async_context(
                service_process(
                    name,
                    database=database,
                    SERVER__TLS_CERTIFICATE_FILE=str(tls.certificate_file),
                    SERVER__TLS_KEY_FILE=str(tls.key_file),
                    SERVER__TLS_CLIENT_CA_FILE=str(authority.file),
                    **settings,
                )
            )

        await start("registry", KEYS__FOLDER=str(folder), KEYS__CREATE="true")
        await start("targeting", "registry")
        await start("feedback", "registry")
        await start("dispatcher", "targeting", "feedback", CREDENTIALS=str(folder))
        yield house


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """What is imported."""
    file = tmp_path / "rows.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


async def test_services_that_ask_for_certificates_reach_each_other(
    tmp_path: Path, rows: Path
) -> None:
    async with running_house(tmp_path) as house:
        await house.lines("apps", "create", APP)
        await house.lines("tokens", "import", str(rows), "--app", APP)

        # The command line to targeting, targeting to the registry.
        (counted,) = await house.lines("audience", "count", "all()", "--app", APP)
        assert counted["reachable"] == len(ROWS)

        # The dispatcher to targeting, which refuses the audience.
        message = ("--audience", "all(", "--title", "Hi")
        refused = await house.nuncio("send", "--app", APP, *message)
        assert "AUDIENCE_INVALID" in refused.stderr

        # The dispatcher's settings to targeting and feedback; feedback itself to the registry.
        dead = await first_target(house)
        settings = FeedbackSettings(target=house.target("feedback"), **files(house, "dispatcher"))
        async with connect_to(settings) as channel:
            feedback = Client(channel)
            await feedback.report(page_of(dead, app_id=APP))
            await feedback.settled(INVALIDATION_OUTCOME_INVALIDATED, app_id=APP)

        # The audit knows who it was, and none was ever out of another one's reach.
        events = await house.lines("audit", "list", "--app", APP)
        principals = {event["method"]: event["principal"] for event in events}
        assert principals["SelectTargets"] == "targeting"
        assert principals["CreateApp"] == "operator"
        for service in house.services.values():
            assert service.events("service_unreachable") == []

        await nobody_else_comes_in(house)


async def nobody_else_comes_in(house: House) -> None:
    """Commands without a certificate are told what is missing."""
    nameless = ClientTls(house.authority.file)
    for command in (("apps", "list"), ("lanes",), ("audience", "count", "all()", "--app", APP)):
        shut_out = await house.nuncio(*command, tls=nameless)
        assert shut_out.exit_code == 3
        error = json.loads(shut_out.stderr)["error"]
        assert error["reason"] == "SERVICE_UNREACHABLE"
        assert "client certificate, and none is set" in error["message"]


def files(house: House, name: str) -> dict[str, Any]:
    return house.authority.issue(name)._asdict()


async def first_target(house: House) -> Row:
    """The first one that a dispatch would go to, found dead."""
    settings = TargetingSettings(target=house.target("targeting"), **files(house, "dispatcher"))
    async with connect_to(settings) as channel:
        stub: rpc.TargetingServiceAsyncStub = rpc.TargetingServiceStub(channel)
        audience = audience_pb2.Audience(expression="all()")
        request = pb.ResolveAudienceRequest(app_id=APP, audience=audience)
        pages = [response.page async for response in stub.ResolveAudience(request)]
    page = next(page for page in pages if page.count)
    return Row(
        verdict=Verdict.TOKEN_DEAD,
        reason="Unregistered",
        sent_at=datetime.now(UTC),
        installation_id=UUID(bytes=page.installation_ids[:16]),
        token_ref=page.token_refs[:16],
    )
