"""Web Push's part of a lane: subscriptions as requests, each encrypted for its browser."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from nuncio_dispatcher.domain.model import Message, TargetColumns, Verdict, WebPushToken
from nuncio_dispatcher.http2.exchange import Failure, Origin, Reply, Requests
from nuncio_dispatcher.providers.answers import Answer, Own, Replied
from nuncio_dispatcher.providers.client import Batch
from nuncio_dispatcher.providers.fields import USER_AGENT
from nuncio_dispatcher.providers.lane.gate import WHOLE
from nuncio_dispatcher.providers.webpush import payload
from nuncio_dispatcher.providers.webpush.auth import VapidKeys, VapidTokens
from nuncio_dispatcher.providers.webpush.endpoints import Endpoint, vet
from nuncio_dispatcher.providers.webpush.outcomes import KeyMatch, classify
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings
from nuncio_runtime.clock import Clock

ENCRYPTED_AT_ONCE: Final = 50
"""Rows, before others have a turn: the curve takes its time."""

Encrypt = Callable[[bytes, WebPushToken], bytes | None]
"""The body of a request for a subscription; None when its keys are no keys."""


class _Kind(NamedTuple):
    """What the requests of a batch have in common."""

    origin: Origin
    is_wns: bool
    keys: VapidTokens


class WebPushClient:
    """Sends to the subscriptions of one app, whichever push services they belong to."""

    def __init__(
        self, settings: WebPushSettings, *, keys: VapidKeys, encrypt: Encrypt, clock: Clock
    ) -> None:
        self.encrypt = encrypt
        self._settings = settings
        self._keys = keys
        self._clock = clock

    async def prepare(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> "WebPushJob | Answer":
        """See Client.prepare."""
        form = payload.render(message, now=self._clock.now(), expires_at=expires_at)
        return WebPushJob(self, targets, form)

    def endpoint(self, token: WebPushToken) -> Endpoint | None:
        """Where a subscription's messages go; None when nothing may be sent there."""
        return vet(token.reveal(), allowed=self._settings.allowed_origins)

    def keys_for(self, token: WebPushToken) -> VapidTokens:
        """The key pair to sign with for a subscription."""
        return self._keys.for_subscription(token.vapid_key_id)

    def read(self, token: WebPushToken, reply: Reply) -> Answer:
        """What an answer for a subscription means."""
        return classify(
            Replied(reply.status, reply.headers, reply.body),
            key=self._key_match(token),
            now=self._clock.now(),
            quota_wait=self._settings.quota_wait,
        )

    def _key_match(self, token: WebPushToken) -> KeyMatch:
        ours = self.keys_for(token).key_id
        if not ours or not token.vapid_key_id:
            return KeyMatch.UNKNOWN
        return KeyMatch.SAME if token.vapid_key_id == ours else KeyMatch.OTHER


class WebPushJob:
    """One message to the rows of one send; a Job."""

    def __init__(self, client: WebPushClient, targets: TargetColumns, form: payload.Form) -> None:
        self._client = client
        self._targets = targets
        self._form = form

    def batches(self, rows: Sequence[int]) -> Iterable[Batch | tuple[int, Answer]]:
        """See Job.batches."""
        kinds: dict[_Kind, list[tuple[int, bytes]]] = {}
        for row in rows:
            token = self._token(row)
            endpoint = self._client.endpoint(token)
            if endpoint is None:
                yield row, Answer(Verdict.TOKEN_DOUBTFUL, Own.ENDPOINT_NOT_ALLOWED.value)
                continue
            kind = _Kind(endpoint.origin, endpoint.is_wns, self._client.keys_for(token))
            kinds.setdefault(kind, []).append((row, endpoint.path))
        for kind, found in kinds.items():
            for start in range(0, len(found), ENCRYPTED_AT_ONCE):
                yield from self._batch(kind, found[start : start + ENCRYPTED_AT_ONCE])

    def read(self, row: int, reply: Reply) -> Answer:
        """See Job.read."""
        return self._client.read(self._token(row), reply)

    def _batch(
        self, kind: _Kind, found: Sequence[tuple[int, bytes]]
    ) -> Iterator[Batch | tuple[int, Answer]]:
        """Push services refuse a credential each for itself, and so does each key pair."""
        rows: list[int] = []
        paths: list[bytes] = []
        bodies: list[bytes] = []
        for row, path in found:
            body = self._body(row)
            if isinstance(body, Answer):
                yield row, body
                continue
            rows.append(row)
            paths.append(path)
            bodies.append(body)
        if not rows:
            return
        headers = self._form.wns_headers if kind.is_wns else self._form.headers
        origin = str(kind.origin)
        requests = Requests(
            origin=kind.origin,
            fields=(*headers.items(), USER_AGENT),
            passing_fields=(("authorization", kind.keys.header(origin).reveal()),),
            paths=paths,
            bodies=bodies,
        )
        yield Batch(rows, (*WHOLE, f"{origin} {kind.keys.key_id}".rstrip()), requests)

    def _body(self, row: int) -> bytes | Answer:
        try:
            body = self._client.encrypt(self._form.plaintext, self._token(row))
        # Whatever is wrong with this subscription, the other rows shall be sent.
        except Exception:  # noqa: BLE001
            return Answer(Verdict.RETRY, Failure.FAULT.value)
        if body is None:
            return Answer(Verdict.TOKEN_DOUBTFUL, Own.BAD_SUBSCRIPTION_KEYS.value)
        return body

    def _token(self, row: int) -> WebPushToken:
        token = self._targets.tokens[row]
        assert isinstance(token, WebPushToken), "the rows of a Web Push lane are subscriptions"
        return token
