"""The registry's settings."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import DatabaseSettings, Section, ServerSettings, ServiceSettings


class KeySettings(Section):
    """The keys that tokens are sealed and found with."""

    folder: Path | None = None
    """Folder with `seal-<id>.key` (the highest id seals, all open) and `lookup.key`.

    Each file has 32 bytes in base64. Unset, for development only: `registry-keys` beside
    NUNCIO_REGISTRY_DATABASE__EMBEDDED_FOLDER, where missing keys are made. It has to be set when
    the database is reached over a network.
    """

    create: bool = False
    """Whether keys that the folder lacks are made at the start, for development."""

    reload_interval: timedelta = Field(default=timedelta(seconds=10), ge=timedelta(seconds=1))
    """How often a running process looks for new keys in the folder."""


class AuditSettings(Section):
    """The record of reads of raw tokens and of administrative calls."""

    retention: timedelta = Field(default=timedelta(days=400), ge=timedelta(days=1))
    """How long an audit event is kept."""


class FeedSettings(Section):
    """The change feed. Together poll and heartbeat keep the contract: a sign of life every 15 s."""

    poll: timedelta = Field(
        default=timedelta(seconds=1), ge=timedelta(milliseconds=100), le=timedelta(seconds=5)
    )
    """How often a watcher that has seen everything looks for news."""

    heartbeat: timedelta = Field(
        default=timedelta(seconds=10), ge=timedelta(seconds=1), le=timedelta(seconds=10)
    )
    """After how much silence a watcher gets a response without events."""

    retention: timedelta = Field(default=timedelta(days=7), ge=timedelta(hours=1))
    """How long an event is kept for watchers that were away."""


class HygieneSettings(Section):
    """What the leader does after each app's policies."""

    every: timedelta = Field(default=timedelta(hours=1), ge=timedelta(seconds=1))
    """How long after an app was looked through it is looked through again, at the latest."""

    grace: timedelta = Field(default=timedelta(minutes=10), ge=timedelta(0), le=timedelta(days=7))
    """How long a process that becomes the leader only counts, before it changes anything."""

    batch: int = Field(default=1_000, ge=1, le=10_000)
    """How many rows one transaction changes or deletes."""

    pause: timedelta = Field(default=timedelta(milliseconds=10), ge=timedelta(0))
    """How long to wait between two batches."""


class StatisticsSettings(Section):
    """What GetRegistryStats tells."""

    every: timedelta = Field(default=timedelta(seconds=5), ge=timedelta(milliseconds=100))
    """How often what is new in the change feed is counted into its day."""


class ReplicaSettings(Section):
    """A copy of the database that follows it, for what reads much and may lag behind.

    CountTargets, ListInstallations, PreviewHygiene and the daily count read it. SelectTargets does
    not: a consent that was taken back a moment ago has to hold.
    """

    dsn: SecretStr | None = None
    """postgresql://… of the replica. Unset: all is read from the database itself."""

    pool_max: int = Field(default=4, ge=1)
    """The most connections that one process opens to it."""


class WebPushSettings(Section):
    """Which Web Push endpoints may be registered."""

    allowed_hosts: tuple[str, ...] = (
        "android.googleapis.com",
        "fcm.googleapis.com",
        "jmt17.google.com",
        "notify.windows.com",
        "push.apple.com",
        "updates.push.services.mozilla.com",
    )
    """Hosts of push services, comma-separated. Each allows the names below it, too."""

    allowed_origins: tuple[str, ...] = ()
    """Origins that are allowed as they stand, such as https://127.0.0.1:8443; for development."""


class Settings(ServiceSettings):
    """What the registry can be told. Variables begin with NUNCIO_REGISTRY_."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_REGISTRY_")

    server: ServerSettings = ServerSettings(listen="127.0.0.1:7411")
    database: DatabaseSettings = DatabaseSettings(schema="registry")
    replica: ReplicaSettings = ReplicaSettings()
    keys: KeySettings = KeySettings()
    audit: AuditSettings = AuditSettings()
    web_push: WebPushSettings = WebPushSettings()
    feed: FeedSettings = FeedSettings()
    hygiene: HygieneSettings = HygieneSettings()
    statistics: StatisticsSettings = StatisticsSettings()

    @field_validator("keys")
    @classmethod
    def _need_keys_that_last(cls, keys: KeySettings, info: ValidationInfo) -> KeySettings:
        """Keys that vanish with a container would take all tokens with them."""
        database = info.data.get("database")
        if keys.folder is None and isinstance(database, DatabaseSettings) and _is_remote(database):
            raise ValueError(
                "with a database over a network, NUNCIO_REGISTRY_KEYS__FOLDER must be set, too"
            )
        return keys


def _is_remote(database: DatabaseSettings) -> bool:
    """Whether the DSN names anything but a socket of this machine, as the embedded one has."""
    if database.dsn is None:
        return False
    hosts = parse_qs(urlsplit(database.dsn.get_secret_value()).query).get("host", [""])
    return not hosts[0].startswith("/")
