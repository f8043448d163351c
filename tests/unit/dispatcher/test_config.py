"""The dispatcher's settings."""

from pathlib import Path

import pytest

from nuncio_dispatcher.app import credential_problems, retry_policy, runner_policy
from nuncio_dispatcher.config import Settings
from nuncio_dispatcher.domain.retry import RetryPolicy
from nuncio_dispatcher.domain.run import RunnerPolicy
from nuncio_runtime.config import ConfigError, describe, load


def test_nothing_has_to_be_set() -> None:
    settings = load(Settings, {})
    assert settings.server.listen == "127.0.0.1:7413"
    assert settings.database.schema == "dispatcher"


def test_the_defaults_of_settings_and_policies_agree() -> None:
    settings = load(Settings, {})
    assert retry_policy(settings.retry) == RetryPolicy()
    assert runner_policy(settings.runner) == RunnerPolicy()


def test_variables_reach_their_settings() -> None:
    settings = load(
        Settings,
        {
            "NUNCIO_DISPATCHER_SHARDS": "8",
            "NUNCIO_DISPATCHER_RETRY__FIRST_WAIT": "1",
            "NUNCIO_DISPATCHER_TARGETING__TARGET": "localhost:7999",
            "NUNCIO_DISPATCHER_RUNNER__POLL": "PT0.5S",
        },
    )
    assert settings.shards == 8
    assert settings.retry.first_wait.total_seconds() == 1
    assert settings.targeting.target == "localhost:7999"
    assert settings.runner.poll.total_seconds() == 0.5


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NUNCIO_DISPATCHER_SHARDS", "0"),
        ("NUNCIO_DISPATCHER_RETRY__FIRST_WAIT", "-1"),
        ("NUNCIO_DISPATCHER_RUNNER__SHARDS", "many"),
        ("NUNCIO_DISPATCHER_RUNER__SHARDS", "4"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        load(Settings, {variable: value})


def test_a_heartbeat_that_comes_too_late_is_refused() -> None:
    with pytest.raises(ConfigError, match="RUNNER"):
        load(Settings, {"NUNCIO_DISPATCHER_RUNNER__HEARTBEAT": "9"})


def test_every_setting_is_explained() -> None:
    assert not [each.variable for each in describe(Settings) if not each.description]


def test_credentials_can_be_checked_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text('[fcm]\nservice_account_file = "not-there.json"\n')
    settings = load(Settings, {"NUNCIO_DISPATCHER_CREDENTIALS": str(tmp_path)})
    (problem,) = credential_problems(settings)
    assert problem.startswith("shop.toml: fcm: service_account_file: ")
    (tmp_path / "shop.toml").unlink()
    assert credential_problems(settings) == []
