"""The settings as they are used, and where each comes from."""

from datetime import timedelta

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import HIDDEN, DatabaseSettings, Section, ServiceSettings, in_force, load


class Door(Section):
    """A door."""

    keys: tuple[str, ...] = ("brass", "iron")
    """What opens it."""

    word: SecretStr | None = None
    """What has to be said."""

    open_after: timedelta = timedelta(minutes=10)
    """How long it stays shut."""


class Settings(ServiceSettings):
    """Rooms."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_HALLS_")

    database: DatabaseSettings = DatabaseSettings(schema="halls")
    door: Door = Door()


def used(**given: str) -> dict[str, tuple[str | None, str]]:
    """Value and source of each setting, by its name without the prefix."""
    environ = {f"NUNCIO_HALLS_{name}": value for name, value in given.items()}
    return {
        each.setting.variable.removeprefix("NUNCIO_HALLS_"): (each.value, each.source)
        for each in in_force(load(Settings, environ), environ)
    }


def test_what_is_not_set_has_its_default() -> None:
    found = used()
    assert found["DOOR__KEYS"] == ("brass,iron", "default")
    assert found["DOOR__OPEN_AFTER"] == ("PT10M", "default")
    assert found["DOOR__WORD"] == (None, "default")
    assert found["DATABASE__EMBEDDED_FOLDER"][0], (
        "made when it is asked for, and shown all the same"
    )


def test_what_is_set_is_shown_as_it_was_understood() -> None:
    found = used(DOOR__KEYS=" gold , tin", DOOR__OPEN_AFTER="90", SERVER__REFLECTION="no")
    assert found["DOOR__KEYS"] == ("gold,tin", "environment")
    assert found["DOOR__OPEN_AFTER"] == ("PT1M30S", "environment")
    assert found["SERVER__REFLECTION"] == ("false", "environment")


def test_a_default_that_is_said_aloud_comes_from_the_environment() -> None:
    assert used(LOG__LEVEL="info")["LOG__LEVEL"] == ("info", "environment")


def test_secrets_are_hidden() -> None:
    found = used(DOOR__WORD="hush", DATABASE__DSN="postgresql://u:hush@h/d")
    assert found["DOOR__WORD"] == (HIDDEN, "environment")
    assert found["DATABASE__DSN"] == (HIDDEN, "environment")
    assert "hush" not in str(found)
