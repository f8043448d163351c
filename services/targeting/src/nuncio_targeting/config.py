"""The settings of targeting: NUNCIO_TARGETING_*."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import (
    DatabaseSettings,
    ServerSettings,
    ServiceSettings,
    UpstreamSettings,
)


class RegistrySettings(UpstreamSettings):
    """Where the registry is."""

    target: str = Field(default="127.0.0.1:7411", min_length=1)
    """Host and port of the registry, or another name that gRPC resolves."""

    timeout: timedelta = Field(default=timedelta(seconds=10), gt=timedelta(0))
    """How long the registry may take to answer, or to give the next page."""


class Settings(ServiceSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_TARGETING_")

    server: ServerSettings = ServerSettings(listen="127.0.0.1:7412")
    database: DatabaseSettings = DatabaseSettings(schema="targeting")
    registry: RegistrySettings = RegistrySettings()
