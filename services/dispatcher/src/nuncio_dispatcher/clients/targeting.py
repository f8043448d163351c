"""Targeting over gRPC."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from datetime import timedelta
from itertools import chain, repeat
from typing import Final

import grpc

from nuncio.common.v1 import target_pb2
from nuncio.targeting.v1 import audience_pb2
from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio.targeting.v1 import targeting_service_pb2_grpc as rpc
from nuncio_dispatcher.clients.upstream import faults_of, next_of
from nuncio_dispatcher.domain.dispatch import Audience, KeyRange, Work
from nuncio_dispatcher.domain.errors import AudienceInvalid
from nuncio_dispatcher.domain.model import Provider, PushToken, WebPushToken
from nuncio_dispatcher.domain.pages import Resolved, Rows, Targets
from nuncio_runtime.calls import remaining

SERVICE: Final = "targeting"
PAGE_SIZE: Final = 1_000

_EVERYONE: Final = "all()"
_REASON_PREFIX: Final = "SUPPRESSION_REASON_"
_REASONS: Final[Mapping[int, str]] = {
    number: name.removeprefix(_REASON_PREFIX)
    for name, number in target_pb2.SuppressionReason.items()
}
_P256DH_BYTES: Final = 65
_KEYS_BYTES: Final = 81


class GrpcTargeting:
    """Keeps the port `Targeting`. timeout: of a unary call, and of each page of a stream."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: timedelta) -> None:
        self._stub = rpc.TargetingServiceStub(channel)
        self._timeout = timeout.total_seconds()

    async def check(self, app_id: str, audience: Audience) -> None:
        """See the port. For named installations and users, only the app can be wrong."""
        request = pb.ValidateAudienceRequest(
            app_id=app_id, expression=audience.expression or _EVERYONE
        )
        left = min(self._timeout, remaining(default=self._timeout))
        with faults_of(SERVICE):
            response = await self._stub.ValidateAudience(request, timeout=left)
        if response.problems:
            raise _audience_invalid(response.problems[0])

    async def resolve(
        self, work: Work, audience: Audience, *, keys: KeyRange, cursor: bytes
    ) -> AsyncGenerator[Resolved, None]:
        """See the port."""
        call = self._stub.ResolveAudience(
            pb.ResolveAudienceRequest(
                app_id=work.app_id,
                audience=_audience(audience),
                purpose=work.purpose,
                dispatch_id=str(work.dispatch_id),
                range=target_pb2.KeyRange(low=keys.low, high=keys.high),
                cursor=cursor,
                page_size=PAGE_SIZE,
            )
        )
        try:
            while (response := await next_of(call, SERVICE, timeout=self._timeout)) is not None:
                yield resolved_from(response)
        finally:
            call.cancel()


def resolved_from(response: pb.ResolveAudienceResponse) -> Resolved:
    """A page as the domain has it."""
    page = response.page
    return Resolved(
        targets=Targets(
            rows=Rows(
                installation_ids=page.installation_ids,
                token_refs=page.token_refs,
                platforms=page.platforms,
                providers=page.providers,
            ),
            environments=page.environments,
            tokens=_tokens(page),
        ),
        suppressed={_reason(each.reason): each.count for each in response.suppressed},
        cursor=response.cursor,
    )


def _tokens(page: target_pb2.TargetPage) -> list[PushToken]:
    web_push, keys = int(Provider.WEB_PUSH), _chunks(page.web_push_keys, _KEYS_BYTES)
    # An older registry names no keys.
    key_ids = chain(page.vapid_key_ids, repeat(""))
    return [
        _web_push_token(token, next(keys), next(key_ids))
        if provider == web_push
        else PushToken(token.decode())
        for token, provider in zip(page.tokens, page.providers, strict=True)
    ]


def _web_push_token(endpoint: bytes, keys: bytes, vapid_key_id: str) -> WebPushToken:
    p256dh, auth = keys[:_P256DH_BYTES], keys[_P256DH_BYTES:]
    return WebPushToken(endpoint.decode(), p256dh=p256dh, auth=auth, vapid_key_id=vapid_key_id)


def _chunks(packed: bytes, size: int) -> Iterator[bytes]:
    return (packed[at : at + size] for at in range(0, len(packed), size))


def _audience(audience: Audience) -> audience_pb2.Audience:
    if audience.installation_ids:
        named = audience_pb2.InstallationSet(installation_ids=audience.installation_ids)
        return audience_pb2.Audience(installations=named)
    if audience.user_ids:
        return audience_pb2.Audience(users=audience_pb2.UserSet(user_ids=audience.user_ids))
    return audience_pb2.Audience(expression=audience.expression)


def _audience_invalid(problem: audience_pb2.AudienceProblem) -> AudienceInvalid:
    return AudienceInvalid(
        problem.message,
        line=problem.line,
        column=problem.column,
        position=problem.position,
        expected=problem.expected,
        segment=problem.segment,
    )


def _reason(number: int) -> str:
    """The name; of a reason that only a newer targeting knows, the number."""
    return _REASONS.get(number, str(number))
