"""What can go wrong in the registry, as its callers get to see it."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from nuncio_runtime.errors import Kind, ServiceError


class RegistryError(ServiceError):
    """The registry could not do what was asked."""


class AppNotFound(RegistryError):
    """There is no app with this id."""

    kind = Kind.NOT_FOUND
    reason = "APP_NOT_FOUND"

    def __init__(self, app_id: str) -> None:
        super().__init__(detail=app_id, appId=app_id)


class AppExists(RegistryError):
    """An app with this id exists and differs."""

    kind = Kind.ALREADY_EXISTS
    reason = "APP_EXISTS"

    def __init__(self, app_id: str, *, differences: Mapping[str, tuple[str, str]]) -> None:
        """differences: by field what is there, and what was asked for."""
        told = (
            f"{name}: there {there}, asked {asked}" for name, (there, asked) in differences.items()
        )
        super().__init__(detail="; ".join(told), appId=app_id, fields=",".join(differences))


class AppNotEmpty(RegistryError):
    """The app still has installations and cannot be deleted."""

    kind = Kind.FAILED_PRECONDITION
    reason = "APP_NOT_EMPTY"

    def __init__(self, app_id: str) -> None:
        super().__init__(appId=app_id)


class InstallationNotFound(RegistryError):
    """There is no installation with this id in the app."""

    kind = Kind.NOT_FOUND
    reason = "INSTALLATION_NOT_FOUND"

    def __init__(self, *, app_id: str, installation_id: UUID) -> None:
        super().__init__(appId=app_id, installationId=str(installation_id))


class WriteQueueFull(RegistryError):
    """More is waiting to be written than the storage takes. Try again later."""

    kind = Kind.UNAVAILABLE
    reason = "STORAGE_UNAVAILABLE"


class PositionExpired(RegistryError):
    """Events after the position are not kept any more. Take a new one with from_now, then list."""

    kind = Kind.OUT_OF_RANGE
    reason = "POSITION_EXPIRED"

    def __init__(self, app_id: str) -> None:
        super().__init__(appId=app_id)


class Stopping(RegistryError):
    """This replica stops. Go on from the last position at another one."""

    kind = Kind.UNAVAILABLE
    reason = ""  # As when the connection is lost.

    def __init__(self) -> None:
        super().__init__(retry_after=timedelta(seconds=1))


class ExportTooLarge(RegistryError):
    """What is kept of the user does not fit into one message."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "EXPORT_TOO_LARGE"

    def __init__(self, *, app_id: str, max_bytes: int) -> None:
        super().__init__(detail=f"at most {max_bytes} bytes", appId=app_id, maxBytes=str(max_bytes))
