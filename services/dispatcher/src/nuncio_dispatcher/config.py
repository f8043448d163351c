"""The settings of the dispatcher: NUNCIO_DISPATCHER_*."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import (
    DatabaseSettings,
    Section,
    ServerSettings,
    ServiceSettings,
    UpstreamSettings,
)

NONE = timedelta(0)


class TargetingSettings(UpstreamSettings):
    """Where targeting is."""

    target: str = Field(default="127.0.0.1:7412", min_length=1)
    """Host and port of targeting, or another name that gRPC resolves."""

    timeout: timedelta = Field(default=timedelta(seconds=30), gt=NONE)
    """How long targeting may take to answer, or to give the next page."""


class FeedbackSettings(UpstreamSettings):
    """Where feedback is."""

    target: str = Field(default="127.0.0.1:7414", min_length=1)
    """Host and port of feedback, or another name that gRPC resolves."""

    timeout: timedelta = Field(default=timedelta(seconds=10), gt=NONE)
    """How long feedback may take to acknowledge a page."""


class RunnerSettings(Section):
    """How this replica takes its share of the work."""

    shards: int = Field(default=4, ge=1, le=64)
    """How many shards it works on at once."""

    turn: timedelta = Field(default=timedelta(seconds=2), gt=NONE)
    """How long a shard is worked on while others wait. For a new one it makes room sooner."""

    send_within: timedelta = Field(default=timedelta(minutes=2), gt=NONE)
    """How long a lane may take over its part of a page, before its targets count as unanswered."""

    lease: timedelta = Field(default=timedelta(seconds=10), gt=NONE)
    """How long a shard stays with a replica that has fallen silent."""

    heartbeat: timedelta = Field(default=timedelta(seconds=3), gt=NONE)
    """How often leases are renewed. At most half of `lease`."""

    poll: timedelta = Field(default=timedelta(seconds=1), gt=NONE)
    """How often to look for what is due, and for what other replicas left."""

    drain: timedelta = Field(default=timedelta(seconds=8), gt=NONE)
    """How long the pages at hand may take to close when the service stops."""

    fault_pause: timedelta = Field(default=timedelta(seconds=5), gt=NONE)
    """How long a shard is left alone after a fault that nobody expected."""

    @model_validator(mode="after")
    def _beat_in_time(self) -> Self:
        if self.heartbeat * 2 > self.lease:
            raise ValueError("heartbeat may be at most half of lease")
        return self


class RetrySettings(Section):
    """When targets are tried again. The growing waits have full jitter."""

    first_wait: timedelta = Field(default=timedelta(seconds=10), gt=NONE)
    """The shortest wait after a provider's trouble. The providers ask for 10 seconds or more."""

    unsent_wait: timedelta = Field(default=timedelta(seconds=1), gt=NONE)
    """The longest first wait of what was provably not sent."""

    probe_wait: timedelta = Field(default=timedelta(seconds=30), gt=NONE)
    """The wait between tries of a lane whose credential is missing or wrong."""

    longest_wait: timedelta = Field(default=timedelta(minutes=5), gt=NONE)
    """Where the waits stop growing. What a provider asks for may be longer."""

    unanswered_tries: int = Field(default=3, ge=1, le=100)
    """After so many tries, a target whose requests get no answer is counted as unknown."""


class Settings(ServiceSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_DISPATCHER_")

    server: ServerSettings = ServerSettings(listen="127.0.0.1:7413")
    database: DatabaseSettings = DatabaseSettings(schema="dispatcher")
    targeting: TargetingSettings = TargetingSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    runner: RunnerSettings = RunnerSettings()
    retry: RetrySettings = RetrySettings()

    credentials: Path = Path("credentials")
    """Folder with one TOML file per app, `<app_id>.toml`. Read again when a file changes."""

    shards: int = Field(default=2, ge=1, le=1000)
    """Into how many key ranges an audience expression is cut."""

    keep_pages: timedelta = Field(default=timedelta(days=7), ge=NONE)
    """How long the pages of a finished dispatch are kept, with the outcome of each target."""
