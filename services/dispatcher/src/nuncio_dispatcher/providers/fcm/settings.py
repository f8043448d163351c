"""An FCM credential, as its section in the app's file says it."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from nuncio_dispatcher.http2.exchange import Origin
from nuncio_dispatcher.providers.fields import FileField, LaneSettings, OriginField

ORIGIN: Final = Origin("fcm.googleapis.com", 443)


class FcmSettings(LaneSettings):
    """`[fcm]`: a service account of the app's Firebase project."""

    service_account_file: FileField
    """The JSON key file from Google's console; it names the project and the token endpoint."""

    origin: OriginField = ORIGIN
    """Where to send to."""

    ca_file: FileField | None = None
    """PEM file with the issuers to trust, for the token endpoint too. Default: the system's."""

    rate: Annotated[float, Field(gt=0, le=60_000_000)] | None = 600_000
    """Requests per minute. Default: the quota that Google gives a project to begin with."""

    connections: Annotated[int, Field(ge=1, le=64)] = 10
    """The most connections to keep; one more is opened when the others are full. FCM takes 100
    requests at a time on each."""

    in_flight: Annotated[int, Field(ge=1, le=1_000)] = 100
    """Requests at a time on the reference transport, which has one connection."""

    answer_within: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(minutes=5))] = (
        timedelta(seconds=20)
    )
    """How long a request may take. Google advises 10 seconds or more."""
