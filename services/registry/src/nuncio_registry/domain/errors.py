"""What can go wrong in the registry, as its callers get to see it."""

from uuid import UUID

from nuncio_runtime.errors import Kind, ServiceError


class RegistryError(ServiceError):
    """The registry could not do what was asked."""


class AppNotFound(RegistryError):
    """There is no app with this id."""

    kind = Kind.NOT_FOUND
    reason = "APP_NOT_FOUND"

    def __init__(self, app_id: str) -> None:
        super().__init__(appId=app_id)


class AppExists(RegistryError):
    """An app with this id exists and differs."""

    kind = Kind.ALREADY_EXISTS
    reason = "APP_EXISTS"

    def __init__(self, app_id: str) -> None:
        super().__init__(appId=app_id)


class InstallationNotFound(RegistryError):
    """There is no installation with this id in the app."""

    kind = Kind.NOT_FOUND
    reason = "INSTALLATION_NOT_FOUND"

    def __init__(self, *, app_id: str, installation_id: UUID) -> None:
        super().__init__(appId=app_id, installationId=str(installation_id))
