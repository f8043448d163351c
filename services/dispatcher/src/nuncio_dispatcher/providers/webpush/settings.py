"""A Web Push credential, as its section in the app's file says it."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field

from nuncio_dispatcher.providers.fields import FileField, LaneSettings, OriginField
from nuncio_runtime.config import Section


class PreviousKey(Section):
    """A VAPID key pair from before the present one, for the subscriptions made with it."""

    key_id: Annotated[str, Field(min_length=1, max_length=128)]
    """The name under which clients registered these subscriptions."""

    private_key_file: FileField
    """PEM file with the private key, on curve P-256."""


class WebPushSettings(LaneSettings):
    """`[web_push]`: the VAPID key pair that the app's subscriptions are made with."""

    private_key_file: FileField
    """PEM file with the private key, on curve P-256."""

    subject: Annotated[str, Field(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+)$")]
    """Whom push services can reach: `mailto:` or `https:`. Apple refuses made-up ones."""

    key_id: Annotated[str, Field(max_length=128)] = ""
    """The name under which clients register subscriptions made with this key."""

    previous_keys: tuple[PreviousKey, ...] = ()
    """Key pairs that are being replaced. Each subscription is served with the one it names."""

    allowed_origins: tuple[OriginField, ...] = ()
    """Besides the known push services; these may have private addresses. For development, and for
    push services of one's own."""

    connections: Annotated[int, Field(ge=1, le=64)] = 4
    """The most connections to keep to one push service."""

    in_flight: Annotated[int, Field(ge=1, le=1_000)] = 100
    """Requests at a time on the reference transport, over all push services."""

    def each_key(self) -> Iterator[Self]:
        """The same settings with each of the key pairs, the present one first."""
        yield self
        for key in self.previous_keys:
            chosen = {"key_id": key.key_id, "private_key_file": key.private_key_file}
            yield self.model_copy(update=chosen)
