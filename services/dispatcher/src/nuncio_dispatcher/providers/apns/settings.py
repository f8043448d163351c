"""An APNs credential, as its section in the app's file says it."""

from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from nuncio_dispatcher.domain.model import Environment
from nuncio_dispatcher.http2.exchange import Origin
from nuncio_dispatcher.providers.fields import FileField, LaneSettings, OriginField

ORIGINS: Final = {
    Environment.PRODUCTION: Origin("api.push.apple.com", 443),
    Environment.SANDBOX: Origin("api.sandbox.push.apple.com", 443),
}

Identifier = Annotated[str, Field(pattern=r"^[A-Z0-9]{10}$")]


TOKEN_FIELDS: Final = ("team_id", "key_id", "key_file")
CERTIFICATE_FIELDS: Final = ("certificate_file", "certificate_key_file")


class ApnsSettings(LaneSettings):
    """`[apns.production]` or `[apns.sandbox]`: a token key of an Apple team, or a certificate."""

    team_id: Identifier | None = None
    """The team of the token key, 10 characters."""

    key_id: Identifier | None = None
    """The token key, 10 characters."""

    key_file: FileField | None = None
    """The token key itself: the .p8 file from Apple's developer site."""

    certificate_file: FileField | None = None
    """Instead of a token key: PEM file with the app's push certificate, and its issuers if any."""

    certificate_key_file: FileField | None = None
    """PEM file with the certificate's private key."""

    topic: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9.-]+$")]
    """The app's bundle id."""

    origin: OriginField | None = None
    """Where to send to. Default: Apple's host for the environment, port 443."""

    connections: Annotated[int, Field(ge=1, le=16)] = 2
    """The most connections to keep; a second one is opened when the first is full."""

    idle_after: Annotated[timedelta, Field(gt=timedelta())] = timedelta(minutes=30)
    """How long an unused connection is kept. Apple takes frequent reconnects for an attack."""

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        given = {name for name in (*TOKEN_FIELDS, *CERTIFICATE_FIELDS) if getattr(self, name)}
        if given not in (set(TOKEN_FIELDS), set(CERTIFICATE_FIELDS)):
            ways = " or ".join(", ".join(way) for way in (TOKEN_FIELDS, CERTIFICATE_FIELDS))
            message = f"must have exactly these: {ways}"
            raise ValueError(message)
        return self
