"""An APNs credential, as its section in the app's file says it."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from nuncio_dispatcher.domain.model import Environment
from nuncio_dispatcher.providers.fields import FileField, LaneSettings, Origin, OriginField

ORIGINS: Final = {
    Environment.PRODUCTION: Origin("api.push.apple.com", 443),
    Environment.SANDBOX: Origin("api.sandbox.push.apple.com", 443),
}

Identifier = Annotated[str, Field(pattern=r"^[A-Z0-9]{10}$")]


class ApnsSettings(LaneSettings):
    """`[apns.production]` or `[apns.sandbox]`: a provider token key of an Apple team."""

    team_id: Identifier
    """The team, 10 characters."""

    key_id: Identifier
    """The key, 10 characters."""

    key_file: FileField
    """The key itself: the .p8 file from Apple's developer site."""

    topic: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9.-]+$")]
    """The app's bundle id."""

    origin: OriginField | None = None
    """Where to send to. Default: Apple's host for the environment, port 443."""

    connections: Annotated[int, Field(ge=1, le=16)] = 2
    """The most connections to keep; a second one is opened when the first is full."""

    idle_after: Annotated[timedelta, Field(gt=timedelta())] = timedelta(minutes=30)
    """How long an unused connection is kept. Apple takes frequent reconnects for an attack."""
