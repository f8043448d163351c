"""The settings of feedback."""

import pytest

from nuncio_feedback.config import Settings
from nuncio_runtime.config import ConfigError, load


def test_the_defaults_work() -> None:
    settings = load(Settings, {})
    assert settings.server.listen == "127.0.0.1:7414"
    assert settings.database.schema == "feedback"
    assert settings.registry.target == "127.0.0.1:7411"


def test_settings_are_read_by_their_names() -> None:
    settings = load(
        Settings,
        {
            "NUNCIO_FEEDBACK_REGISTRY__TARGET": "127.0.0.1:9",
            "NUNCIO_FEEDBACK_HYGIENE__KEEP_PAGES": "P7D",
            "NUNCIO_FEEDBACK_PAGES_IN_FLIGHT": "2",
        },
    )
    assert settings.registry.target == "127.0.0.1:9"
    assert (settings.hygiene.keep_pages.days, settings.pages_in_flight) == (7, 2)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NUNCIO_FEEDBACK_INVALIDATION__BATCH", "1001"),
        ("NUNCIO_FEEDBACK_INVALIDATION__POLL_INTERVAL", "0"),
        ("NUNCIO_FEEDBACK_PAGES_IN_FLIGHT", "0"),
        ("NUNCIO_FEEDBACK_REGISTRY__TARGET", ""),
        ("NUNCIO_FEEDBACK_REGISTRY__PORT", "1"),
    ],
)
def test_a_setting_that_cannot_work_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        load(Settings, {variable: value})
