"""A Web Push credential, as its section in the app's file says it."""

from typing import Annotated

from pydantic import Field

from nuncio_dispatcher.providers.fields import FileField, LaneSettings, OriginField


class WebPushSettings(LaneSettings):
    """`[web_push]`: the VAPID key pair that the app's subscriptions are made with."""

    private_key_file: FileField
    """PEM file with the private key, on curve P-256."""

    subject: Annotated[str, Field(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+)$")]
    """Whom push services can reach: `mailto:` or `https:`. Apple refuses made-up ones."""

    key_id: Annotated[str, Field(max_length=128)] = ""
    """The name under which clients register subscriptions made with this key."""

    allowed_origins: tuple[OriginField, ...] = ()
    """Besides the known push services; these may have private addresses. For development, and for
    push services of one's own."""

    in_flight: Annotated[int, Field(ge=1, le=1_000)] = 100
    """Requests at a time, over all push services."""
