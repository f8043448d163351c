"""The registry's settings."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationInfo, field_validator
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
    keys: KeySettings = KeySettings()
    web_push: WebPushSettings = WebPushSettings()

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
