"""APNs' part of a lane: notifications as requests, and what their answers ask of the token."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from nuncio_dispatcher.domain.model import Message, TargetColumns, Verdict
from nuncio_dispatcher.http2.exchange import Field, Origin, Reply, Requests
from nuncio_dispatcher.providers.answers import Aftermath, Answer, Own, Replied
from nuncio_dispatcher.providers.apns import payload
from nuncio_dispatcher.providers.apns.auth import ProviderToken, TokenMint
from nuncio_dispatcher.providers.apns.outcomes import classify
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.client import Batch
from nuncio_dispatcher.providers.fields import USER_AGENT
from nuncio_dispatcher.providers.lane.gate import WHOLE
from nuncio_runtime.clock import Clock

STEADY: Final = frozenset({"apns-topic", "apns-push-type", "apns-priority"})
"""Header fields that most messages of an app share. Apple names them as worth indexing."""
TOKEN_ONLY: Final = frozenset({"location"})
"""Push types that APNs does not take with a certificate."""


class ApnsClient:
    """Sends to one app in one environment of APNs."""

    def __init__(
        self,
        settings: ApnsSettings,
        *,
        origin: Origin,
        mint: TokenMint | None,
        ends_at: datetime | None = None,
        clock: Clock,
    ) -> None:
        """mint: None where a certificate authenticates the connections. ends_at: when that ends."""
        self._settings = settings
        self._origin = origin
        self._mint = mint
        self._ends_at = ends_at
        self._clock = clock

    async def prepare(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> "ApnsJob | Answer":
        """See Client.prepare."""
        if self._ends_at is not None and self._clock.now() >= self._ends_at:
            # APNs would end the handshake, which looks like an outage.
            return Answer(
                Verdict.MISCONFIGURED, Own.BAD_CREDENTIAL.value, aftermath=Aftermath.PAUSE
            )
        first = targets.tokens[0] if len(targets) else None  # the rows are of one kind
        form = payload.render(
            message,
            topic=self._settings.topic,
            now=self._clock.now(),
            expires_at=expires_at,
            token=first,
        )
        if self._mint is None and dict(form.headers)["apns-push-type"] in TOKEN_ONLY:
            return Answer(Verdict.REFUSED, Own.PUSH_TYPE_NOT_ALLOWED.value)
        token = None if self._mint is None else self._mint.current()
        return ApnsJob(self, targets, form, token)

    def requests(
        self,
        targets: TargetColumns,
        rows: Sequence[int],
        *,
        form: payload.Form,
        token: ProviderToken | None,
    ) -> Requests:
        """The requests of some rows."""
        authorization = [] if token is None else [("authorization", token.bearer.reveal())]
        path, tokens, ids = form.path, targets.tokens, targets.ids
        return Requests(
            origin=self._origin,
            fields=(*_those(form, steady=True), USER_AGENT),
            passing_fields=(*authorization, *_those(form, steady=False)),
            paths=[path(tokens[row]).encode() for row in rows],
            bodies=[form.body] * len(rows),
            own=("apns-id", [str(ids[row]).encode() for row in rows]),
        )

    def read(self, reply: Reply, token: ProviderToken | None) -> Answer:
        """What an answer to a request with this token means; a cure that cannot help makes it
        MISCONFIGURED."""
        answer = classify(
            Replied(reply.status, reply.headers, reply.body),
            now=self._clock.now(),
            quota_wait=self._settings.quota_wait,
        )
        if not answer.aftermath:
            return answer
        if answer.reason == "UnrelatedKeyIdInToken" and reply.via.answered == 1:
            # No other key was used on this connection, so another one will not help.
            return _incurable(answer)
        if self._mint is None or token is None:
            return answer
        if Aftermath.KEEP_TOKEN in answer.aftermath:
            self._mint.hold()
        if Aftermath.NEW_TOKEN in answer.aftermath and not self._mint.renew(token):
            return _incurable(answer)
        return answer


class ApnsJob:
    """One message to the rows of one send; a Job."""

    def __init__(
        self,
        client: ApnsClient,
        targets: TargetColumns,
        form: payload.Form,
        token: ProviderToken | None,
    ) -> None:
        self._client = client
        self._targets = targets
        self._form = form
        self._token = token

    def batches(self, rows: Sequence[int]) -> Iterable[Batch | tuple[int, Answer]]:
        """See Job.batches."""
        requests = self._client.requests(self._targets, rows, form=self._form, token=self._token)
        yield Batch(rows, WHOLE, requests)

    def read(self, _row: int, reply: Reply) -> Answer:
        """See Job.read."""
        return self._client.read(reply, self._token)


def _those(form: payload.Form, *, steady: bool) -> list[Field]:
    return [field for field in form.headers if (field[0] in STEADY) == steady]


def _incurable(answer: Answer) -> Answer:
    aftermath = Aftermath.PAUSE | (answer.aftermath & Aftermath.RECONNECT)
    return answer._replace(verdict=Verdict.MISCONFIGURED, aftermath=aftermath)
