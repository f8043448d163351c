"""FCM's part of a lane: messages as requests, and what their answers ask of the access token."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

from nuncio_dispatcher.domain.model import Message, Platform, TargetColumns, Verdict
from nuncio_dispatcher.http2.exchange import Reply, Requests
from nuncio_dispatcher.providers.answers import Aftermath, Answer, Replied
from nuncio_dispatcher.providers.client import Batch
from nuncio_dispatcher.providers.fcm import payload
from nuncio_dispatcher.providers.fcm.auth import AccessToken, AccessTokens, ServiceAccount
from nuncio_dispatcher.providers.fcm.outcomes import classify
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.fields import USER_AGENT
from nuncio_dispatcher.providers.lane.gate import WHOLE, Parts
from nuncio_runtime.clock import Clock

PARTS: Final[Mapping[int, Parts]] = {
    # Behind each stands a key in the Firebase console, which may be wrong by itself.
    **dict.fromkeys(payload.APPLE, (*WHOLE, "apple")),
    Platform.WEB: (*WHOLE, "web"),
}
FIELDS: Final = (("content-type", "application/json; charset=utf-8"), USER_AGENT)


class FcmClient:
    """Sends to the apps of one Firebase project."""

    def __init__(self, settings: FcmSettings, *, account: ServiceAccount, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._tokens = AccessTokens(account, ca_file=settings.ca_file, clock=clock)
        self._path = f"/v1/projects/{quote(account.project_id, safe='')}/messages:send".encode()

    async def prepare(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> "FcmJob | Answer":
        """See Client.prepare."""
        token = await self._tokens.current()
        if isinstance(token, Answer):
            return token
        now = self._clock.now()
        forms = {
            platform: payload.render(message, platform, now=now, expires_at=expires_at)
            for platform in set(targets.platforms)
        }
        return FcmJob(self, targets, forms, token)

    def requests(self, bodies: Sequence[bytes], token: AccessToken) -> Requests:
        """The requests with these bodies."""
        return Requests(
            origin=self._settings.origin,
            fields=FIELDS,
            passing_fields=(("authorization", token.bearer.reveal()),),
            paths=[self._path] * len(bodies),
            bodies=bodies,
        )

    def read(self, reply: Reply, token: AccessToken) -> Answer:
        """What an answer to a request with this token means."""
        answer = classify(
            Replied(reply.status, reply.headers, reply.body),
            now=self._clock.now(),
            quota_wait=self._settings.quota_wait,
        )
        if Aftermath.NEW_TOKEN in answer.aftermath and not self._tokens.refuse(token):
            return answer._replace(verdict=Verdict.MISCONFIGURED, aftermath=Aftermath.PAUSE)
        return answer


class FcmJob:
    """One message to the rows of one send; a Job."""

    def __init__(
        self,
        client: FcmClient,
        targets: TargetColumns,
        forms: Mapping[int, payload.Form],
        token: AccessToken,
    ) -> None:
        self._client = client
        self._targets = targets
        self._forms = forms
        self._token = token

    def batches(self, rows: Sequence[int]) -> Iterable[Batch | tuple[int, Answer]]:
        """See Job.batches."""
        tokens, platforms, forms = self._targets.tokens, self._targets.platforms, self._forms
        for parts, found in self._by_parts(rows).items():
            bodies = [forms[platforms[row]].body(tokens[row]) for row in found]
            yield Batch(found, parts, self._client.requests(bodies, self._token))

    def read(self, _row: int, reply: Reply) -> Answer:
        """See Job.read."""
        return self._client.read(reply, self._token)

    def _by_parts(self, rows: Sequence[int]) -> Mapping[Parts, Sequence[int]]:
        parts = {platform: PARTS.get(platform, WHOLE) for platform in self._forms}
        distinct = set(parts.values())
        if len(distinct) == 1:
            return {distinct.pop(): rows}
        platforms = self._targets.platforms
        found: dict[Parts, list[int]] = {}
        for row in rows:
            found.setdefault(parts[platforms[row]], []).append(row)
        return found
