"""What the dispatcher refuses, and why. Reasons are those of nuncio.common.v1.ErrorReason."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_runtime.errors import InvalidField, Kind, ServiceError

RETRY_AFTER: Final = timedelta(seconds=1)


class DispatcherError(ServiceError):
    """The dispatcher could not do what was asked."""


class DispatchNotFound(DispatcherError):
    """There is no such dispatch."""

    kind = Kind.NOT_FOUND
    reason = "DISPATCH_NOT_FOUND"

    def __init__(self, dispatch_id: UUID) -> None:
        super().__init__(dispatchId=str(dispatch_id))


class DispatchExists(DispatcherError):
    """The client_ref was used for a dispatch with other content."""

    kind = Kind.ALREADY_EXISTS
    reason = "DISPATCH_EXISTS"

    def __init__(self, *, app_id: str, client_ref: str, dispatch_id: UUID) -> None:
        super().__init__(appId=app_id, clientRef=client_ref, dispatchId=str(dispatch_id))


class MessageInvalid(DispatcherError, InvalidField):
    """A provider that the message may have to go through would refuse it.

    Takes the violations: the field, such as `message.body`, and the limit with the provider's name.
    """

    kind = Kind.INVALID_ARGUMENT
    reason = "MESSAGE_INVALID"


class AudienceInvalid(DispatcherError):
    """The audience expression is not right.

    line and column count from 1, position from 0. segment: whose expression it is; empty: the
    audience's own.
    """

    kind = Kind.INVALID_ARGUMENT
    reason = "AUDIENCE_INVALID"

    def __init__(
        self, detail: str, *, line: int, column: int, position: int, expected: str, segment: str
    ) -> None:
        super().__init__(
            detail=detail,
            line=str(line),
            column=str(column),
            position=str(position),
            expected=expected,
        )
        if segment:
            self.metadata["segment"] = segment


class CredentialUnusable(DispatcherError):
    """The app has no credential for the provider that can be used.

    cause: NO_CREDENTIAL or BAD_CREDENTIAL. The others are names in lower case.
    """

    kind = Kind.FAILED_PRECONDITION
    reason = "CREDENTIAL_UNUSABLE"

    def __init__(self, *, app_id: str, provider: str, environment: str, cause: str) -> None:
        super().__init__(
            detail=f"{provider}/{environment}: {cause}",
            appId=app_id,
            provider=provider,
            environment=environment,
            cause=cause,
        )


class CredentialNotFound(DispatcherError):
    """There is no credential file for the app, or no such credential in it."""

    kind = Kind.NOT_FOUND
    reason = "CREDENTIAL_NOT_FOUND"

    def __init__(
        self,
        *,
        app_id: str,
        provider: Provider | None = None,
        environment: Environment | None = None,
    ) -> None:
        asked = {"provider": provider, "environment": environment}
        named = {name: one.name.lower() for name, one in asked.items() if one is not None}
        super().__init__(detail="/".join([app_id, *named.values()]), appId=app_id)
        self.metadata.update(named)


class UpstreamUnavailable(DispatcherError):
    """Another nuncio service cannot be reached now."""

    kind = Kind.UNAVAILABLE
    reason = "UPSTREAM_UNAVAILABLE"

    def __init__(self, service: str) -> None:
        super().__init__(detail=service, retry_after=RETRY_AFTER, service=service)


class UpstreamFault(DispatcherError):
    """Another nuncio service gave an answer that makes no sense."""

    kind = Kind.INTERNAL
    reason = "INTERNAL"

    def __init__(self, service: str, *, detail: str) -> None:
        super().__init__(detail=f"{service}: {detail}", service=service)


class LeaseLost(Exception):
    """Another replica holds the shard now: whatever was being done with it stops here.

    Never leaves the service; nothing was written by the statement that found out.
    """
