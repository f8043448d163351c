"""FCM v1: POST /v1/projects/<project>/messages:send, checked as Google checks it.

Source: the fcm.v1 discovery document; Firebase, "ErrorCode".
"""

import secrets
from typing import Any, Final

import orjson

from nuncio_simulator import fcm_errors
from nuncio_simulator.contract import Fault, FaultKind, Platform, ProviderName
from nuncio_simulator.fcm_message import (
    has_wrong_apple_priority,
    is_too_deep,
    is_too_large,
    snake_case,
    violations,
)
from nuncio_simulator.fcm_quota import ProjectQuota
from nuncio_simulator.oauth import AccessTokens
from nuncio_simulator.population import Population
from nuncio_simulator.provider import (
    THROTTLE_SECONDS,
    Clock,
    Result,
    Visit,
    extra_headers,
    json_reply,
    retry_after,
)
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import Reply, Request

STREAMS: Final = 100
DEFAULT_REASONS: Final = {
    FaultKind.CREDENTIAL: "ACCESS_TOKEN_INVALID",
    FaultKind.SHUTDOWN: "UNAVAILABLE",
}


class Fcm:
    """One Firebase project; a Provider."""

    name = ProviderName.FCM

    def __init__(
        self,
        project: str,
        *,
        access: AccessTokens,
        population: Population,
        clock: Clock,
        per_minute: int = 0,
    ) -> None:
        """per_minute: requests that the project may send; 0 for any number."""
        self._project = project
        self._path = f"/v1/projects/{project}/messages:send".encode()
        self._access = access
        self._population = population
        self._clock = clock
        self._quota = ProjectQuota(per_minute, clock=clock)

    def open(self) -> Visit:
        """Nothing is remembered about a connection."""
        return Visit(STREAMS)

    def addressee(self, request: Request) -> Known | None:
        """The token in the message."""
        body = _parse(request.body)
        return self._find(body["message"]) if body is not None else None

    def answer(self, request: Request, visit: Visit) -> Result:  # noqa: ARG002 - a Provider's
        """Validate, then let the token's fate decide."""
        reason = self._wrong_call(request)
        wait = self._quota.wait()
        if wait:  # but for these, what is refused counts too
            return Result(fcm_errors.refusal("QUOTA_EXCEEDED", retry_after(wait)), "QUOTA_EXCEEDED")
        if reason:
            return _refusal(reason)
        body = _parse(request.body)
        if body is None:
            reply = fcm_errors.error_reply(400, "Invalid JSON payload received. Unexpected token.")
            return Result(reply, "INVALID_ARGUMENT")
        found = violations(body)
        if found:
            return _field_refusal(found)
        message = body["message"]
        if is_too_large(message):
            return _refusal("INVALID_ARGUMENT_BARE")
        return self._deliver(message, validate_only=body.get("validate_only") is True)

    def refuse(self, fault: Fault, token: Known | None) -> Result:
        """A refusal by its name in fcm_errors, or a bare error with the fault's status."""
        reason = fault.reason or DEFAULT_REASONS.get(fault.kind, "QUOTA_EXCEEDED")
        headers = extra_headers(fault)
        if reason in fcm_errors.NAMES:
            reply = fcm_errors.refusal(reason, headers)
        else:
            reply = Reply(400, headers, reason.encode())
        status = fault.status or reply.status
        return Result(reply._replace(status=status), reason, token=_text(token))

    def _wrong_call(self, request: Request) -> str:
        if request.method != b"POST" or request.path != self._path:
            return "NOT_FOUND"
        header = request.headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "CREDENTIALS_MISSING"
        return self._access.refusal(token)

    def _find(self, message: Any) -> Known | None:
        text = message.get("token", message.get("fid")) if isinstance(message, dict) else None
        known = self._population.find(text) if isinstance(text, str) else None
        return known if known is not None and known.label.provider is self.name else None

    def _deliver(self, message: dict[str, Any], *, validate_only: bool) -> Result:
        token = self._find(message)
        if token is None and ("token" in message or "fid" in message):
            return _refusal("INVALID_TOKEN")
        if token is not None:
            reason = self._refuses(message, token)
            if reason:
                wait = retry_after(THROTTLE_SECONDS) if reason == "DEVICE_QUOTA_EXCEEDED" else ()
                return Result(fcm_errors.refusal(reason, wait), reason, token=token.text)
        result = self._acceptance(token, validate_only=validate_only)
        if token is not None and result.accepted_id and self._population.mailbox:
            android = message.get("android") or {}
            self._population.mailbox.store_collapsible(
                token.core,
                result.accepted_id,
                key=android.get("collapse_key"),
                lasts=float(android.get("ttl", "1s")[:-1]) > 0,
            )
        return result

    def _refuses(self, message: dict[str, Any], token: Known) -> str:
        apple = token.label.platform is Platform.IOS
        if self._population.dead_since(token) is not None:
            # FCM reports a dead iOS token in one of two ways; which, is in the token.
            ios = ("UNREGISTERED_IOS", "APNS_TOKEN_DISABLED")
            return ios[token.core[0] % 2] if apple else "UNREGISTERED"
        if apple and has_wrong_apple_priority(message):
            return "INVALID_ARGUMENT"
        return "DEVICE_QUOTA_EXCEEDED" if self._population.throttles(token) else ""

    def _acceptance(self, token: Known | None, *, validate_only: bool) -> Result:
        unique = f"0:{int(self._clock() * 1_000_000)}%{secrets.token_hex(8)}"
        message_id = "fake_message_id" if validate_only else unique
        name = f"projects/{self._project}/messages/{message_id}"
        delay = self._population.delay(token) if token is not None else 0.0
        return Result(
            json_reply(200, {"name": name}),
            accepted_id="" if validate_only else name,
            token=_text(token),
            delay=delay,
        )


def _parse(raw: bytes) -> dict[str, Any] | None:
    """The request in snake_case, with a message; None when it is no JSON object or too deep."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict) or is_too_deep(body):
        return None
    return {"message": None, **snake_case(body)}


def _refusal(reason: str) -> Result:
    return Result(fcm_errors.refusal(reason), reason)


def _field_refusal(found: list[tuple[str, str]]) -> Result:
    detail = fcm_errors.bad_request(found)
    own = fcm_errors.fcm_error("INVALID_ARGUMENT")
    return Result(fcm_errors.error_reply(400, found[0][1], own, detail), "INVALID_ARGUMENT")


def _text(token: Known | None) -> str | None:
    return None if token is None else token.text
