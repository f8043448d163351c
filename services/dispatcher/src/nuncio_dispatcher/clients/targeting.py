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
from nuncio_dispatcher.domain.dispatch import ALL_KEYS, Audience, KeyRange, Work
from nuncio_dispatcher.domain.errors import AudienceInvalid, UpstreamFault
from nuncio_dispatcher.domain.model import Provider, PushToken, WebPushToken
from nuncio_dispatcher.domain.pages import ID_BYTES, Resolved, Rows, Targets
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
                # As an error it has a reason of its own, such as SEGMENT_NOT_FOUND; as data none.
                refused = pb.ExplainAudienceRequest(app_id=app_id, audience=_audience(audience))
                await self._stub.ExplainAudience(refused, timeout=left)
        if response.problems:
            raise _audience_invalid(response.problems[0])

    async def resolve(
        self, work: Work, *, keys: KeyRange = ALL_KEYS, cursor: bytes = b"", only: bytes = b""
    ) -> AsyncGenerator[Resolved, None]:
        """See the port."""
        call = self._stub.ResolveAudience(
            pb.ResolveAudienceRequest(
                app_id=work.app_id,
                audience=_audience(work.audience),
                purpose=work.purpose,
                dispatch_id=str(work.dispatch_id),
                range=target_pb2.KeyRange(low=keys.low, high=keys.high),
                cursor=cursor,
                page_size=PAGE_SIZE,
                only=audience_pb2.InstallationSet(installation_ids=only) if only else None,
            )
        )
        try:
            while (response := await next_of(call, SERVICE, timeout=self._timeout)) is not None:
                yield resolved_from(response)
        finally:
            call.cancel()


def resolved_from(response: pb.ResolveAudienceResponse) -> Resolved:
    """A page as the domain has it. Raises UpstreamFault when its columns do not fit together."""
    page = response.page
    _check_columns(page)
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


def _check_columns(page: target_pb2.TargetPage) -> None:
    """Once for the page, so that no loop over its rows has to."""
    count, web_push = page.count, page.providers.count(Provider.WEB_PUSH)
    lengths = {
        "providers": (len(page.providers), count),
        "installation_ids": (len(page.installation_ids), count * ID_BYTES),
        "token_refs": (len(page.token_refs), count * ID_BYTES),
        "platforms": (len(page.platforms), count),
        "environments": (len(page.environments), count),
        "tokens": (len(page.tokens), count),
        "web_push_keys": (len(page.web_push_keys), web_push * _KEYS_BYTES),
    }
    wrong = [name for name, (found, right) in lengths.items() if found != right]
    # An older registry names no VAPID keys.
    if page.vapid_key_ids and len(page.vapid_key_ids) != web_push:
        wrong.append("vapid_key_ids")
    if wrong:
        raise UpstreamFault(SERVICE, detail=f"page with a wrong length of {', '.join(wrong)}")


def _tokens(page: target_pb2.TargetPage) -> list[PushToken]:
    web_push, keys = int(Provider.WEB_PUSH), _chunks(page.web_push_keys, _KEYS_BYTES)
    key_ids = chain(page.vapid_key_ids, repeat(""))
    # A token that is no UTF-8 is a wrong token, and for its provider to refuse.
    texts = (token.decode(errors="replace") for token in page.tokens)
    return [
        _web_push_token(text, next(keys), next(key_ids))
        if provider == web_push
        else PushToken(text)
        for text, provider in zip(texts, page.providers, strict=True)
    ]


def _web_push_token(endpoint: str, keys: bytes, vapid_key_id: str) -> WebPushToken:
    p256dh, auth = keys[:_P256DH_BYTES], keys[_P256DH_BYTES:]
    return WebPushToken(endpoint, p256dh=p256dh, auth=auth, vapid_key_id=vapid_key_id)


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
