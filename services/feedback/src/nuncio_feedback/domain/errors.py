"""What goes wrong in feedback. Reasons are those of nuncio.common.v1.ErrorReason."""

from nuncio_runtime.errors import Kind, ServiceError


class FeedbackError(ServiceError):
    """Feedback could not do what was asked."""


class AppNotFound(FeedbackError):
    """There is no such app."""

    kind = Kind.NOT_FOUND
    reason = "APP_NOT_FOUND"

    def __init__(self, app_id: str) -> None:
        super().__init__(detail=app_id, appId=app_id)


class RegistryAnswerError(FeedbackError):
    """The registry did not answer for each token that it was asked about.

    Never leaves the service: the question is asked again later.
    """

    kind = Kind.INTERNAL
    reason = "INTERNAL"
