"""What the settings say about workers, and where these show their metrics."""

import pytest
from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import ConfigError, DatabaseSettings, ServiceSettings, load
from nuncio_runtime.workers import metrics_of


class Settings(ServiceSettings):
    """Those of no service in particular."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_ROOMS_")
    database: DatabaseSettings = DatabaseSettings(schema="rooms")


def workers(**settings: str) -> int:
    return load(
        Settings, {f"NUNCIO_ROOMS_SERVER__{name}": value for name, value in settings.items()}
    ).server.workers


def test_one_worker_is_the_default() -> None:
    assert workers() == 1


@pytest.mark.parametrize("count", ["0", "-1", "65", "many"])
def test_a_count_that_cannot_be_is_refused(count: str) -> None:
    with pytest.raises(ConfigError, match="NUNCIO_ROOMS_SERVER__WORKERS"):
        workers(WORKERS=count)


def test_every_worker_needs_a_port_for_its_metrics() -> None:
    with pytest.raises(ConfigError, match=r"NUNCIO_ROOMS_SERVER__WORKERS: .*METRICS_LISTEN"):
        workers(WORKERS="4", METRICS_LISTEN="127.0.0.1:65532")
    assert workers(WORKERS="4", METRICS_LISTEN="127.0.0.1:65531") == 4
    assert workers(METRICS_LISTEN="127.0.0.1:65535") == 1


def test_workers_show_their_metrics_above_the_supervisor() -> None:
    assert metrics_of(1, "127.0.0.1:9100") == "127.0.0.1:9101"
    assert metrics_of(3, "[::1]:9100") == "[::1]:9103"
    assert metrics_of(2, "127.0.0.1:0") == "127.0.0.1:0"
    assert metrics_of(2, "") == ""
