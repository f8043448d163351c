"""The demo: the main road from a registration to a dead token that is left alone, told in steps."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration

from nuncio.common.v1.error_reason_pb2 import ErrorReason
from nuncio.dispatcher.v1.dispatch_pb2 import Dispatch
from nuncio.dispatcher.v1.dispatcher_service_pb2 import CreateDispatchRequest, DispatchRequest
from nuncio.dispatcher.v1.message_pb2 import Message
from nuncio.feedback.v1.feedback_service_pb2 import GetCampaignReportRequest
from nuncio.registry.v1.installation_pb2 import CONSENT_STATE_GRANTED, PERMISSION_GRANTED
from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio.registry.v1.token_pb2 import (
    INVALIDATION_OUTCOME_INVALIDATED,
    INVALIDATION_OUTCOME_KEPT_NEWER,
    INVALIDATION_OUTCOME_UNSPECIFIED,
    InvalidationOutcome,
)
from nuncio.targeting.v1.audience_pb2 import Audience
from nuncio.targeting.v1.targeting_service_pb2 import ExplainAudienceRequest
from nuncio_cli import output
from nuncio_cli.connect import Clients
from nuncio_cli.demo.funnel import Funnel, funnel_of, suppressions
from nuncio_cli.demo.minting import mint_tokens
from nuncio_cli.demo.population import PURPOSE, platforms, population
from nuncio_cli.demo.result import Result
from nuncio_cli.demo.sample import create_demo_app
from nuncio_cli.errors import CliError
from nuncio_cli.names import word
from nuncio_cli.registering import in_pages, register_pages
from nuncio_cli.simulated import DEMO_APP
from nuncio_runtime.errors import Kind
from nuncio_simulator.client import AdminClient

AUDIENCE: Final = (
    'topics:"news" AND app_version >= "4.0" AND last_seen > ago("120d")'
    ' AND NOT attributes.plan = "business"'
)
CAMPAIGN: Final = "autumn-demo"
DISPATCH_SECONDS: Final = 120.0
FEEDBACK_SECONDS: Final = 30.0
BETWEEN_LOOKS: Final = 0.2


class DispatchRefused(CliError):
    """The dispatcher refused the demo's dispatch."""

    reason = "DISPATCH_REFUSED"


class RegistrationRefused(CliError):
    """The registry refused one of the demo's registrations."""

    reason = "REGISTRATION_REFUSED"


class TooSlow(CliError):
    """The demo waited longer than it should have to."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = "TOO_SLOW"


class Story:
    """Tells the demo against running services and the simulator."""

    def __init__(
        self, services: Clients, simulator: AdminClient, *, say: Callable[[str], None]
    ) -> None:
        self._services = services
        self._simulator = simulator
        self._say = say
        self._steps = 0

    async def tell(self, *, installations: int, seed: int) -> Result:
        """The whole road. Raises ServiceError when a step cannot be taken at all."""
        begun = time.monotonic()
        registrations = await self._people(installations, seed)
        result = Result(await self._register(registrations))
        returned = await self._phones_come_back(registrations)
        result.returned = len(returned)
        expected = await self._explain()
        await self._send(result, expected)
        await self._await_feedback(result)
        await self._simulator.revive([phone.token.apns for phone in returned])
        await self._send(result, expected)
        self._conclude(result)
        result.seconds = time.monotonic() - begun
        return result

    def _step(self, title: str) -> None:
        self._steps += 1
        self._say("")
        self._say(f"{self._steps}. {title}")

    async def _people(self, installations: int, seed: int) -> list[Registration]:
        self._step(f"An app, and {installations:,} installations of it")
        await create_demo_app(self._services.registry)
        tokens = await mint_tokens(self._simulator, platforms(installations))
        people = list(population(tokens, seed=seed, now=datetime.now(UTC)))
        users = {person.user_id for person in people if person.user_id}
        countries = {person.facts.country for person in people}
        self._say(f"   {len(users):,} known users in {len(countries)} countries, and visitors")
        return people

    async def _register(self, registrations: Sequence[Registration]) -> int:
        """Register all; returns how many. Raises RegistrationRefused."""
        self._step("RegisterTokens: pages of 1,000, several on their way")
        begun = time.monotonic()
        with output.progress("registering", total=len(registrations)) as report:
            done = await self._register_all(registrations, report)
        self._say(f"   {done:,} registered in {time.monotonic() - begun:.1f} s")
        return done

    async def _register_all(
        self, registrations: Sequence[Registration], report: output.Report
    ) -> int:
        done = 0
        pages = in_pages(registrations)
        async for answer in register_pages(self._services.registry, pages, app_id=DEMO_APP):
            for error in answer.errors:
                reason = word(ErrorReason, error.reason, "ERROR_REASON_")
                raise RegistrationRefused(detail=f"{error.field}: {error.rule or reason}")
            done += len(answer.outcomes)
            report(done)
        return done

    async def _phones_come_back(self, registrations: Sequence[Registration]) -> list[Registration]:
        """Some phones are wiped: their tokens die. Half of them have the app again right after,
        with the same token. Returns those."""
        wiped = [r for r in registrations if _is_reached(r)][: max(len(registrations) // 200, 2)]
        returned = wiped[::2]
        self._step(f"{len(wiped):,} phones are wiped; {len(returned):,} have the app again")
        await self._simulator.kill([phone.token.apns for phone in wiped])
        await self._register_all(returned, output.no_report)
        self._say("   Apple will name the time of death; those that came back registered after it")
        return returned

    async def _explain(self) -> int:
        """Show the audience; returns how many installations it names."""
        self._step("ExplainAudience: whom would it reach, and whom not?")
        self._say(f"   {AUDIENCE}")
        answer = await self._services.targeting.ExplainAudience(
            ExplainAudienceRequest(
                app_id=DEMO_APP, audience=Audience(expression=AUDIENCE), purpose=PURPOSE
            )
        )
        reachable = sum(platform.count for platform in answer.reachable)
        self._say(f"   named {answer.resolved:,}, reachable {reachable:,}")
        for reason, count in suppressions(answer.suppressed).items():
            self._say(f"   {count:>9,}  left out: {reason}")
        return answer.resolved

    async def _send(self, result: Result, expected: int) -> None:
        number = len(result.dispatches) + 1
        self._step(f"Campaign {number} through the Dispatch stream")
        begun = time.monotonic()
        try:
            async with asyncio.timeout(DISPATCH_SECONDS):
                dispatch = await self._follow(number, expected)
        except TimeoutError as error:
            raise TooSlow(detail=f"campaign {number}") from error
        funnel = funnel_of(dispatch.books)
        result.dispatches.append((dispatch.dispatch_id, funnel))
        for line in funnel.lines():
            self._say(f"   {line.number:>9,}  {line.label:<14} {line.note}".rstrip())
        verdict = "closed" if funnel.closed else "NOT closed"
        self._say(f"   the books are {verdict}; {time.monotonic() - begun:.1f} s")

    async def _follow(self, number: int, expected: int) -> Dispatch:
        """Open the dispatch and follow it to its end on one stream."""

        async def commands() -> AsyncIterator[DispatchRequest]:
            yield DispatchRequest(command_id=f"campaign-{number}", create=_campaign(number))

        last = Dispatch()
        with output.progress("sending", total=expected) as report:
            async for event in self._services.dispatcher.Dispatch(commands()):
                if event.WhichOneof("event") == "refused":
                    raise DispatchRefused(detail=event.refused.message)
                last = getattr(event, event.WhichOneof("event") or "progress")
                funnel = funnel_of(last.books)
                report(funnel.settled, f"{funnel.accepted:,} accepted")
        return last

    async def _await_feedback(self, result: Result) -> None:
        """Wait until the registry has answered for every dead token of the last dispatch."""
        self._step("Feedback has the registry retire the dead tokens, each on a condition")
        dispatch_id, funnel = result.dispatches[-1]
        request = GetCampaignReportRequest(app_id=DEMO_APP, dispatch_id=dispatch_id)
        outcomes: dict[InvalidationOutcome.ValueType, int] = {}
        try:
            async with asyncio.timeout(FEEDBACK_SECONDS):
                while not _all_looked_at(outcomes, funnel):
                    await asyncio.sleep(BETWEEN_LOOKS)
                    report = await self._services.feedback.GetCampaignReport(request)
                    outcomes = {count.outcome: count.count for count in report.invalidations}
        except TimeoutError as error:
            raise TooSlow(detail="dead tokens are not invalidated") from error
        result.invalidated = outcomes.get(INVALIDATION_OUTCOME_INVALIDATED, 0)
        result.kept = outcomes.get(INVALIDATION_OUTCOME_KEPT_NEWER, 0)
        self._say(f"   {result.invalidated:>9,}  invalidated")
        self._say(f"   {result.kept:>9,}  kept: registered again after they died")

    def _conclude(self, result: Result) -> None:
        self._step("What was to be shown")
        for what, holds in result.checks().items():
            self._say(f"   {'yes' if holds else 'NO ':<4} {what}")


def _campaign(number: int) -> CreateDispatchRequest:
    return CreateDispatchRequest(
        app_id=DEMO_APP,
        client_ref=f"demo-{uuid.uuid4()}",
        campaign=CAMPAIGN,
        message=_message(number),
        audience=Audience(expression=AUDIENCE),
        purpose=PURPOSE,
    )


def _message(number: int) -> Message:
    time_to_live = Duration()
    time_to_live.FromTimedelta(timedelta(hours=1))
    return Message(
        title="Autumn is here" if number == 1 else "Last days of autumn",
        body="Your weekly reading list is ready.",
        link="https://example.com/reading",
        sound="default",
        data={"campaign": CAMPAIGN, "issue": str(number)},
        time_to_live=time_to_live,
        collapse_key=CAMPAIGN,
    )


def _all_looked_at(outcomes: dict[InvalidationOutcome.ValueType, int], funnel: Funnel) -> bool:
    waiting = outcomes.get(INVALIDATION_OUTCOME_UNSPECIFIED, 0)
    return not waiting and sum(outcomes.values()) >= funnel.dead


def _is_reached(registration: Registration) -> bool:
    """Whether it is an iPhone or iPad in the demo's audience to which a message goes out."""
    facts = registration.facts
    return (
        registration.token.WhichOneof("kind") == "apns"
        and facts.permission == PERMISSION_GRANTED
        and registration.consents[0].state == CONSENT_STATE_GRANTED
        and datetime.now(UTC) - facts.last_seen.ToDatetime(UTC) < timedelta(days=29)
        and "news" in facts.topics.topics
        and facts.app_version.startswith("4")
        and facts.attributes["plan"].text != "business"
    )
