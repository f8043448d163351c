"""The FCM lane on the reference transport."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

from nuncio_dispatcher.domain.model import Message, Platform, Provider, TargetColumns, Verdict
from nuncio_dispatcher.providers.answers import Aftermath, Answer, Replied
from nuncio_dispatcher.providers.fcm import payload
from nuncio_dispatcher.providers.fcm.auth import AccessToken, AccessTokens, ServiceAccount
from nuncio_dispatcher.providers.fcm.outcomes import classify
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.gate import WHOLE, Parts
from nuncio_dispatcher.providers.http import Http, Post
from nuncio_dispatcher.providers.http_lane import HttpLane, Job
from nuncio_runtime.clock import Clock

PARTS: Final[Mapping[int, Parts]] = {
    # Behind each stands a key in the Firebase console, which may be wrong by itself.
    **dict.fromkeys(payload.APPLE, (*WHOLE, "apple")),
    Platform.WEB: (*WHOLE, "web"),
}


class FcmLane(HttpLane):
    """Sends to the apps of one Firebase project."""

    def __init__(
        self,
        name: str,
        settings: FcmSettings,
        *,
        account: ServiceAccount,
        http: Http,
        clock: Clock,
    ) -> None:
        super().__init__(
            name,
            settings,
            provider=Provider.FCM,
            http=http,
            in_flight=settings.in_flight,
            clock=clock,
        )
        self._settings = settings
        self._tokens = AccessTokens(account, ca_file=settings.ca_file, clock=clock)
        project = quote(account.project_id, safe="")
        self._url = f"{settings.origin}/v1/projects/{project}/messages:send"

    async def _job(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Job | Answer:
        token = await self._tokens.current()
        if isinstance(token, Answer):
            return token
        now = self._clock.now()
        forms = {
            platform: payload.render(message, platform, now=now, expires_at=expires_at)
            for platform in set(targets.platforms)
        }
        return _FcmJob(self, targets, forms, token)

    def post_for(self, body: bytes, token: AccessToken) -> Post:
        """The request with a row's body."""
        headers = {
            "authorization": token.bearer.reveal(),
            "content-type": "application/json; charset=utf-8",
        }
        return Post(self._url, headers, body)

    def read(self, reply: Replied, token: AccessToken) -> Answer:
        """What an answer to a request with this token means."""
        now, quota_wait = self._clock.now(), self._settings.quota_wait
        answer = classify(reply, now=now, quota_wait=quota_wait)
        if Aftermath.NEW_TOKEN in answer.aftermath and not self._tokens.refuse(token):
            return answer._replace(verdict=Verdict.MISCONFIGURED, aftermath=Aftermath.PAUSE)
        return answer


class _FcmJob:
    """One message to the rows of one send; a Job."""

    def __init__(
        self,
        lane: FcmLane,
        targets: TargetColumns,
        forms: dict[int, payload.Form],
        token: AccessToken,
    ) -> None:
        self._lane = lane
        self._targets = targets
        self._forms = forms
        self._token = token

    def parts(self, row: int) -> Parts | Answer:
        return PARTS.get(self._targets.platforms[row], WHOLE)

    def post(self, row: int) -> Post | Answer:
        form = self._forms[self._targets.platforms[row]]
        return self._lane.post_for(form.body(self._targets.tokens[row].reveal()), self._token)

    def read(self, _row: int, reply: Replied) -> Answer:
        return self._lane.read(reply, self._token)
