"""The settings of feedback: NUNCIO_FEEDBACK_*."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import (
    DatabaseSettings,
    Section,
    ServerSettings,
    ServiceSettings,
    UpstreamSettings,
)

NONE = timedelta(0)


class RegistrySettings(UpstreamSettings):
    """Where the registry is."""

    target: str = Field(default="127.0.0.1:7411", min_length=1)
    """Host and port of the registry, or another name that gRPC resolves."""

    timeout: timedelta = Field(default=timedelta(seconds=10), gt=NONE)
    """How long the registry may take to answer for one batch."""


class InvalidationSettings(Section):
    """How dead tokens are carried to the registry."""

    batch: int = Field(default=1000, ge=1, le=1000)
    """How many tokens are sent in one call."""

    poll_interval: timedelta = Field(default=timedelta(seconds=5), gt=NONE)
    """How often to look for what an outage, a restart or another replica left over."""

    first_wait: timedelta = Field(default=timedelta(seconds=0.5), gt=NONE)
    """How long to wait after the first failure; doubled with each further one."""

    longest_wait: timedelta = Field(default=timedelta(seconds=30), gt=NONE)
    """The longest wait between two attempts."""


class HygieneSettings(Section):
    """What is forgotten, and when."""

    keep_pages: timedelta = Field(default=timedelta(days=30), gt=NONE)
    """How long a page id is remembered. A page reported again later than that counts again."""

    interval: timedelta = Field(default=timedelta(hours=1), gt=NONE)
    """How often to forget what is old enough."""


class Settings(ServiceSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_FEEDBACK_")

    server: ServerSettings = ServerSettings(listen="127.0.0.1:7414")
    database: DatabaseSettings = DatabaseSettings(schema="feedback")
    registry: RegistrySettings = RegistrySettings()
    invalidation: InvalidationSettings = InvalidationSettings()
    hygiene: HygieneSettings = HygieneSettings()

    pages_in_flight: int = Field(default=8, ge=1, le=64)
    """How many pages of one stream are stored at once."""
