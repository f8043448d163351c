"""The Web Push lane on the reference transport: pywebpush encrypts, httpx sends."""

from datetime import datetime

from nuncio_dispatcher.domain.model import (
    Message,
    Provider,
    TargetColumns,
    Verdict,
    WebPushToken,
)
from nuncio_dispatcher.providers.answers import Answer, Own, Replied
from nuncio_dispatcher.providers.gate import WHOLE, Parts
from nuncio_dispatcher.providers.http import Http, Post
from nuncio_dispatcher.providers.http_lane import HttpLane, Job
from nuncio_dispatcher.providers.webpush import payload
from nuncio_dispatcher.providers.webpush.auth import VapidTokens
from nuncio_dispatcher.providers.webpush.endpoints import Endpoint, vet
from nuncio_dispatcher.providers.webpush.outcomes import KeyMatch, classify
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings
from nuncio_runtime.clock import Clock


class WebPushLane(HttpLane):
    """Sends to the subscriptions of one app, whichever push services they belong to."""

    def __init__(
        self,
        name: str,
        settings: WebPushSettings,
        *,
        tokens: VapidTokens,
        http: Http,
        clock: Clock,
    ) -> None:
        super().__init__(
            name,
            settings,
            provider=Provider.WEB_PUSH,
            http=http,
            in_flight=settings.in_flight,
            clock=clock,
        )
        self._settings = settings
        self._tokens = tokens

    async def _job(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Job | Answer:
        form = payload.render(message, now=self._clock.now(), expires_at=expires_at)
        return _WebPushJob(self, targets, form)

    def endpoint(self, token: WebPushToken) -> Endpoint | None:
        """Where a subscription's messages go; None when nothing may be sent there."""
        return vet(token.reveal(), allowed=self._settings.allowed_origins)

    def post_for(
        self, token: WebPushToken, endpoint: Endpoint, form: payload.Form
    ) -> Post | Answer:
        """The request for a subscription, or why there is none."""
        body = payload.encrypt(form.plaintext, token)
        if body is None:
            return Answer(Verdict.TOKEN_DOUBTFUL, Own.BAD_SUBSCRIPTION_KEYS)
        headers = form.wns_headers if endpoint.is_wns else form.headers
        vapid = self._tokens.header(endpoint.origin).reveal()
        return Post(endpoint.url, {**headers, "authorization": vapid}, body)

    def read(self, token: WebPushToken, reply: Replied) -> Answer:
        """What an answer for a subscription means."""
        return classify(
            reply,
            key=self._key_match(token),
            now=self._clock.now(),
            quota_wait=self._settings.quota_wait,
        )

    def _key_match(self, token: WebPushToken) -> KeyMatch:
        ours = self._settings.key_id
        if not ours or not token.vapid_key_id:
            return KeyMatch.UNKNOWN
        return KeyMatch.SAME if token.vapid_key_id == ours else KeyMatch.OTHER


class _WebPushJob:
    """One message to the rows of one send; a Job."""

    def __init__(self, lane: WebPushLane, targets: TargetColumns, form: payload.Form) -> None:
        self._lane = lane
        self._targets = targets
        self._form = form
        self._endpoints: dict[int, Endpoint] = {}  # of rows between `parts` and `post`

    def parts(self, row: int) -> Parts | Answer:
        """Push services refuse a credential each for itself."""
        endpoint = self._lane.endpoint(self._token(row))
        if endpoint is None:
            return Answer(Verdict.TOKEN_DOUBTFUL, Own.ENDPOINT_NOT_ALLOWED)
        self._endpoints[row] = endpoint
        return (*WHOLE, endpoint.origin)

    def post(self, row: int) -> Post | Answer:
        return self._lane.post_for(self._token(row), self._endpoints.pop(row), self._form)

    def read(self, row: int, reply: Replied) -> Answer:
        return self._lane.read(self._token(row), reply)

    def _token(self, row: int) -> WebPushToken:
        token = self._targets.tokens[row]
        assert isinstance(token, WebPushToken), "the rows of a Web Push lane are subscriptions"
        return token
