"""What a check asks of each provider: a token to go with requests, and a request about nobody.

Each check has connections of its own, and keeps nothing.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import httpx
import orjson

from nuncio_dispatcher.domain.lane_status import CheckResult
from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.http2.exchange import BODY_KEPT, Origin
from nuncio_dispatcher.providers.answers import Answer, Replied
from nuncio_dispatcher.providers.apns.auth import TokenMint
from nuncio_dispatcher.providers.apns.outcomes import classify as classify_apns
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.credentials import Settings, Slot
from nuncio_dispatcher.providers.fcm.auth import AccessTokens, load_account
from nuncio_dispatcher.providers.fcm.outcomes import classify as classify_fcm
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.fields import tls_context
from nuncio_dispatcher.providers.transports import apns_origin
from nuncio_dispatcher.providers.webpush.auth import VapidKeys, load_tokens
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings
from nuncio_runtime.clock import Clock

ANSWER_WITHIN: Final = 10.0
"""Seconds."""
NOBODY: Final = "0" * 64
"""An APNs token that cannot exist."""
STRANGER: Final = "nuncio-check-of-a-credential"
"""No FCM registration token."""
NO_ACCESS_REFUSED: Final = (
    "Google's token endpoint refuses the service account: its key was deleted, or the clock of "
    "this machine is wrong"
)
NOT_TOLD: Final = (
    "it cannot be told: what answers there says the same without a key, as APNs itself does not"
)
NO_ACCESS_NOW: Final = "Google's token endpoint cannot be reached, or is busy"

Prove = Callable[[ssl.SSLContext, ApnsSettings], TokenMint | None]
"""FolderLanes.prove: the mint is that of the lanes, because Apple counts how often a team makes new
tokens."""


class Found(NamedTuple):
    """What came of a step of a check; the text is for people and holds no secret."""

    result: CheckResult
    text: str


class Asker(Protocol):
    """A credential that is tried out."""

    @property
    def origins(self) -> Sequence[Origin]:
        """Where it sends to, as far as that is known beforehand."""

    @property
    def tls(self) -> ssl.SSLContext:
        """What it connects with."""

    async def token(self) -> Found:
        """Have the token that goes with requests."""

    async def ask(self) -> Answer | Found:
        """What the provider says about a token that cannot exist. After `token`."""


class ApnsAsker:
    """Asks APNs."""

    def __init__(self, settings: ApnsSettings, slot: Slot, *, prove: Prove, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.origins = (apns_origin(slot, settings),)
        self.tls = tls_context(settings.ca_file)
        self._mint = prove(self.tls, settings)

    async def token(self) -> Found:
        """See Asker.token."""
        if self._mint is None:
            return Found(CheckResult.SKIPPED, "a certificate needs no token")
        issued_at = self._mint.current().issued_at
        text = f"the JWT of the app's lanes, made at {issued_at:%H:%M:%S} UTC"
        return Found(CheckResult.OK, text)

    async def ask(self) -> Answer | Found:
        """See Asker.ask.

        Where the device token is judged first, a wrong key would look as good as a right one. So
        what is said without any key is asked for, too: only if that is another answer, the key was
        looked at. A certificate has been looked at before anything was asked.
        """
        if self._mint is None:
            return await self._ask({})
        answer = await self._ask({"authorization": self._mint.current().bearer.reveal()})
        if isinstance(answer, Found) or answer.reason != "BadDeviceToken":
            return answer
        without = await self._ask({})
        if isinstance(without, Answer) and without.verdict is Verdict.MISCONFIGURED:
            return answer
        return Found(CheckResult.SKIPPED, NOT_TOLD)

    async def _ask(self, authorization: Mapping[str, str]) -> Answer | Found:
        headers = {
            "apns-topic": self._settings.topic,
            "apns-push-type": "alert",
            "apns-expiration": "0",
            **authorization,
        }
        url = f"{self.origins[0]}/3/device/{NOBODY}"
        replied = await _post(self.tls, url, headers, {"aps": {"alert": "nuncio"}}, http1=False)
        if isinstance(replied, Found):
            return replied
        wait = self._settings.quota_wait
        return classify_apns(replied, now=self._clock.now(), quota_wait=wait)


class FcmAsker:
    """Asks FCM, to validate only."""

    def __init__(self, settings: FcmSettings, *, clock: Clock) -> None:
        account = load_account(settings)
        self._settings = settings
        self._clock = clock
        self._tokens = AccessTokens(account, ca_file=settings.ca_file, clock=clock)
        self._project = quote(account.project_id, safe="")
        self.origins = (settings.origin,)
        self.tls = tls_context(settings.ca_file)

    async def token(self) -> Found:
        """See Asker.token."""
        token = await self._tokens.current()
        if isinstance(token, Answer):
            is_refused = token.verdict is Verdict.MISCONFIGURED
            return Found(CheckResult.FAILED, NO_ACCESS_REFUSED if is_refused else NO_ACCESS_NOW)
        text = f"an access token, good until {token.expires_at:%H:%M:%S} UTC"
        return Found(CheckResult.OK, text)

    async def ask(self) -> Answer | Found:
        """See Asker.ask."""
        token = await self._tokens.current()
        assert not isinstance(token, Answer), "asked for before"
        url = f"{self.origins[0]}/v1/projects/{self._project}/messages:send"
        headers = {"authorization": token.bearer.reveal()}
        document = {"validate_only": True, "message": {"token": STRANGER}}
        headers["content-type"] = "application/json; charset=utf-8"
        replied = await _post(self.tls, url, headers, document)
        if isinstance(replied, Found):
            return replied
        wait = self._settings.quota_wait
        return classify_fcm(replied, now=self._clock.now(), quota_wait=wait)


class WebPushAsker:
    """Signs; there is nobody to ask without a subscription."""

    def __init__(self, settings: WebPushSettings, *, clock: Clock) -> None:
        self._keys = [load_tokens(each, clock=clock) for each in settings.each_key()]
        VapidKeys(*self._keys)  # refuses two key pairs of one name
        self.origins = settings.allowed_origins
        self.tls = tls_context(settings.ca_file)

    async def token(self) -> Found:
        """See Asker.token."""
        for tokens in self._keys:
            tokens.header("https://push.example")
        return Found(CheckResult.OK, f"VAPID tokens, key pairs: {len(self._keys)}")

    async def ask(self) -> Answer | Found:
        """See Asker.ask."""
        text = "a push service can only be asked about a subscription"
        return Found(CheckResult.SKIPPED, text)


def asker_of(settings: Settings, slot: Slot, *, prove: Prove, clock: Clock) -> Asker:
    """What tries out such a credential. Raises CredentialError when its key cannot be used."""
    match settings:
        case ApnsSettings():
            return ApnsAsker(settings, slot, prove=prove, clock=clock)
        case FcmSettings():
            return FcmAsker(settings, clock=clock)
        case WebPushSettings():
            return WebPushAsker(settings, clock=clock)


async def _post(
    tls: ssl.SSLContext,
    url: str,
    headers: Mapping[str, str],
    document: Mapping[str, Any],
    *,
    http1: bool = True,
) -> Replied | Found:
    """One request on a connection of its own."""
    try:
        async with httpx.AsyncClient(
            verify=tls,
            http1=http1,
            http2=True,
            timeout=ANSWER_WITHIN,
            trust_env=False,
            follow_redirects=False,
        ) as client:
            answer = await client.post(url, content=orjson.dumps(document), headers=headers)
    except httpx.HTTPError as error:
        return Found(CheckResult.FAILED, f"no answer: {type(error).__name__}")
    return Replied(answer.status_code, answer.headers, answer.content[:BODY_KEPT])
