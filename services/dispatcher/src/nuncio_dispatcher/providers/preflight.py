"""Tries a credential out, step by step, without sending anything to anybody.

For people who look on, so it has connections of its own and keeps nothing. What it asks the
provider is in `asking.py`.
"""

import asyncio
import ssl
from datetime import timedelta
from typing import Final

from nuncio_dispatcher.domain.lane_status import (
    CheckResult,
    CheckStep,
    CheckStepKind,
    CredentialCheck,
    CredentialFacts,
)
from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.http2.exchange import Origin
from nuncio_dispatcher.providers.asking import (
    Asker,
    Found,
    Prove,
    asker_of,
)
from nuncio_dispatcher.providers.credentials import Settings, Slot, files_of
from nuncio_dispatcher.providers.facts import facts_of
from nuncio_dispatcher.providers.fields import CredentialError
from nuncio_runtime.clock import Clock

CONNECT_WITHIN: Final = 8.0
"""Seconds."""
LAST_DAYS: Final = timedelta(days=30)
"""A certificate that ends within this is said to."""
HINTS: Final = {
    "InvalidProviderToken": "team_id, key_id and key_file do not belong together, or the key was "
    "revoked",
    "BadEnvironmentKeyIdInToken": "the key is for the other environment",
    "BadEnvironmentKeyInToken": "the key is for the other environment",
    "BadCertificateEnvironment": "the certificate is for the other environment",
    "ExpiredProviderToken": "the clock of this machine is wrong",
    "TopicDisallowed": "topic is not one of the credential's apps",
    "BadTopic": "topic is no bundle id",
    "PERMISSION_DENIED": "the service account may not send, or the project's FCM API is off",
    "UNAUTHENTICATED": "the access token is not taken",
    "NOT_FOUND": "there is no such project at this origin",
}
# The provider looked at the token, so it has taken the credential before.
_TAKEN: Final = frozenset(
    {Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.TOKEN_DOUBTFUL, Verdict.REFUSED}
)
_NOT_REACHED: Final = "not tried, because of what failed before"


class Preflight:
    """One check of one credential."""

    def __init__(self, slot: Slot, *, prove: Prove, clock: Clock) -> None:
        self._slot = slot
        self._prove = prove
        self._clock = clock
        self._steps: dict[CheckStepKind, CheckStep] = {}
        self._facts: CredentialFacts | None = None

    async def check(self, found: Settings | str) -> CredentialCheck:
        """Try out a section of a credential file; or say what is wrong with it."""
        if isinstance(found, str):
            self._note(CheckStepKind.FILE, CheckResult.FAILED, found)
        else:
            await self._check(found)
        for kind in CheckStepKind:
            if kind not in self._steps:
                self._note(kind, CheckResult.SKIPPED, _NOT_REACHED)
        return CredentialCheck(
            provider=self._slot.provider,
            environment=self._slot.environment,
            steps=[self._steps[kind] for kind in CheckStepKind],
            credential=self._facts,
        )

    async def _check(self, settings: Settings) -> None:
        if not self._note(CheckStepKind.FILE, *_look_at_files(settings)):
            return
        try:
            asker = asker_of(settings, self._slot, prove=self._prove, clock=self._clock)
            found = self._identify(settings)
        except CredentialError as error:
            found = Found(CheckResult.FAILED, str(error))
        if not self._note(CheckStepKind.KEY, *found):
            return
        has_token = self._note(CheckStepKind.TOKEN, *await asker.token())
        is_reached = self._note(CheckStepKind.CONNECTION, *await _connect(asker))
        if has_token and is_reached:
            self._note(CheckStepKind.ACCEPTANCE, *await _ask(asker))

    def _identify(self, settings: Settings) -> Found:
        now = self._clock.now()
        self._facts = facts = facts_of(settings, now=now)
        kind = facts.kind.name.lower().replace("_", " ")
        text = f"{kind}, public key {facts.fingerprint}"
        if facts.not_after is None:
            return Found(CheckResult.OK, text)
        soon = ", which is soon" if facts.not_after - now < LAST_DAYS else ""
        return Found(CheckResult.OK, f"{text}, ends on {facts.not_after:%Y-%m-%d}{soon}")

    def _note(self, kind: CheckStepKind, result: CheckResult, text: str) -> bool:
        """Write a step down; False when it failed."""
        self._steps[kind] = CheckStep(kind, result, text)
        return result is not CheckResult.FAILED


def _look_at_files(settings: Settings) -> Found:
    for file in files_of(settings):
        try:
            file.read_bytes()
        except OSError as error:
            return Found(CheckResult.FAILED, f"cannot read {file.name}: {error.strerror}")
    return Found(CheckResult.OK, "complete, with the files it names")


async def _connect(asker: Asker) -> Found:
    if not asker.origins:
        text = "which push services there are, only subscriptions tell"
        return Found(CheckResult.SKIPPED, text)
    for origin in asker.origins:
        problem = await _trouble_with(origin, asker.tls)
        if problem:
            return Found(CheckResult.FAILED, f"{origin}: {problem}")
    return Found(CheckResult.OK, f"{', '.join(map(str, asker.origins))}: reached and verified")


async def _trouble_with(origin: Origin, tls: ssl.SSLContext) -> str:
    """Open a connection and close it; what is wrong, empty when nothing is."""
    tls.set_alpn_protocols(["h2"])
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            _, writer = await asyncio.open_connection(origin.host, origin.port, ssl=tls)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except (OSError, TimeoutError) as error:
        return f"cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
    protocol = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.transport.abort()  # nothing was said, so there is nothing to end in good order
    return "" if protocol == "h2" else "speaks no HTTP/2"


async def _ask(asker: Asker) -> Found:
    answer = await asker.ask()
    if isinstance(answer, Found):
        return answer
    said = answer.reason or answer.verdict.name
    if answer.verdict in _TAKEN and answer.unlisted is None:
        text = f"taken: asked about a token that cannot exist, it says {said}"
        return Found(CheckResult.OK, text)
    if answer.verdict is Verdict.MISCONFIGURED:
        hint = HINTS.get(answer.reason)
        text = f"refused: {said}{f', which means: {hint}' if hint else ''}"
        return Found(CheckResult.FAILED, text)
    return Found(CheckResult.FAILED, f"it does not say: {said}; try again later")
