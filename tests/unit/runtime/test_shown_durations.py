"""Settings that are durations are shown in days, hours, minutes and seconds."""

from datetime import timedelta

import pytest
from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import DatabaseSettings, ServiceSettings, describe, load


class Settings(ServiceSettings):
    """A service with spans of time."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_SPANS_")

    database: DatabaseSettings = DatabaseSettings(schema="spans")
    audit: timedelta = timedelta(days=400)
    """Longer than what pydantic takes for a year."""
    shift: timedelta = timedelta(days=1, hours=12)
    """Days and a rest."""
    week: timedelta = timedelta(days=7)
    """Whole days."""
    pause: timedelta = timedelta(minutes=90)
    """Less than a day."""
    none: timedelta = timedelta(0)
    """Nothing."""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("AUDIT", "P400D"),
        ("SHIFT", "P1DT12H"),
        ("WEEK", "P7D"),
        ("PAUSE", "PT1H30M"),
        ("NONE", "PT0S"),
    ],
)
def test_a_duration_is_shown_in_days_and_read_back(name: str, shown: str) -> None:
    variable = f"NUNCIO_SPANS_{name}"
    listed = {setting.variable: setting.default for setting in describe(Settings)}
    assert listed[variable] == shown
    read = load(Settings, {variable: shown})
    assert getattr(read, name.lower()) == Settings.model_fields[name.lower()].default
