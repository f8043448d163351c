"""Settings from the environment: everything that is wrong, at once, and no values shown."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import (
    ConfigError,
    DatabaseSettings,
    Section,
    ServerSettings,
    ServiceSettings,
    Setting,
    UpstreamSettings,
    describe,
    is_local_target,
    load,
)


class DoorSettings(Section):
    """The door."""

    open_after: timedelta = timedelta(minutes=10)
    """How long
    it stays shut."""

    keys: tuple[str, ...] = ("brass", "iron")
    """Which keys fit."""


class HallSettings(UpstreamSettings):
    """Where the hall is."""

    target: str = Field(default="127.0.0.1:7998", min_length=1)
    """Host and port of the hall."""


class Settings(ServiceSettings):
    """A service of the tests."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_ROOMS_")

    server: ServerSettings = ServerSettings(listen="127.0.0.1:7999")
    database: DatabaseSettings = DatabaseSettings(schema="rooms")
    door: DoorSettings = DoorSettings()
    upstream: HallSettings = HallSettings()
    files: tuple[Path, ...] = ()
    """Where the plans are."""


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        load(Settings, {f"NUNCIO_ROOMS_{name}": value for name, value in environ.items()})
    return refused.value.problems


def test_the_defaults_work() -> None:
    settings = load(Settings, {})
    assert settings.server.listen == "127.0.0.1:7999"
    assert settings.database.schema == "rooms"
    assert settings.log.format == "json"


def test_a_nested_variable_changes_one_field_and_leaves_its_neighbours() -> None:
    settings = load(Settings, {"NUNCIO_ROOMS_SERVER__REFLECTION": "false"})
    assert settings.server.reflection is False
    assert settings.server.listen == "127.0.0.1:7999"


def test_lists_are_separated_by_commas() -> None:
    settings = load(
        Settings, {"NUNCIO_ROOMS_DOOR__KEYS": "gold, silver", "NUNCIO_ROOMS_FILES": "/a,/b"}
    )
    assert settings.door.keys == ("gold", "silver")
    assert settings.files == (Path("/a"), Path("/b"))


@pytest.mark.parametrize("text", ["90", "90.0", "PT90S", "PT1M30S"])
def test_durations_are_seconds_or_iso_8601(text: str) -> None:
    settings = load(Settings, {"NUNCIO_ROOMS_DOOR__OPEN_AFTER": text})
    assert settings.door.open_after == timedelta(seconds=90)


def test_variables_of_others_are_none_of_our_business() -> None:
    load(Settings, {"PATH": "/bin", "NUNCIO_HALLS_FOO": "1", "NUNCIO_ROOM": "1"})


def test_every_problem_is_named_at_once_and_no_value_is_shown() -> None:
    found = problems(
        DOOR__OPEN_AFTER="hush",
        LOG__LEVEL="hush",
        SERVER__MAX_MESSAGE_BYTES="hush",
        SERVER__LISTN="hush",
        WINDOW="hush",
    )
    assert [problem.partition(":")[0] for problem in found] == [
        "NUNCIO_ROOMS_DOOR__OPEN_AFTER",
        "NUNCIO_ROOMS_LOG__LEVEL",
        "NUNCIO_ROOMS_SERVER__LISTN",
        "NUNCIO_ROOMS_SERVER__MAX_MESSAGE_BYTES",
        "NUNCIO_ROOMS_WINDOW",
    ]
    assert "hush" not in "".join(found)


@pytest.mark.parametrize("listen", ["0.0.0.0:7101", "[::]:7101", "example.org:7101"])
def test_an_open_door_without_tls_is_refused(listen: str) -> None:
    (problem,) = problems(SERVER__LISTEN=listen)
    assert "NUNCIO_ROOMS_SERVER__LISTEN: refuses to start" in problem


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.9.9.9:1", "[::1]:7101", "localhost:7101"])
def test_loopback_may_go_without_tls(listen: str) -> None:
    assert load(Settings, {"NUNCIO_ROOMS_SERVER__LISTEN": listen}).server.listen == listen


def test_an_open_door_with_tls_is_taken() -> None:
    settings = load(
        Settings,
        {
            "NUNCIO_ROOMS_SERVER__LISTEN": "0.0.0.0:7101",
            "NUNCIO_ROOMS_SERVER__TLS_CERTIFICATE_FILE": "/tls/cert.pem",
            "NUNCIO_ROOMS_SERVER__TLS_KEY_FILE": "/tls/key.pem",
        },
    )
    assert settings.server.tls_key_file == Path("/tls/key.pem")


@pytest.mark.parametrize("listen", ["7101", ":7101", "localhost:http", "localhost:65536", ""])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    (problem,) = problems(SERVER__LISTEN=listen)
    assert "must be host:port" in problem


@pytest.mark.parametrize("listen", ["0.0.0.0:9100", "[::]:9100", "metrics.internal:9100"])
def test_metrics_beyond_loopback_have_to_be_meant(listen: str) -> None:
    (problem,) = problems(SERVER__METRICS_LISTEN=listen)
    assert "NUNCIO_ROOMS_SERVER__METRICS_LISTEN: refuses to start" in problem
    public = {"NUNCIO_ROOMS_SERVER__METRICS_PUBLIC": "true"}
    settings = load(Settings, {"NUNCIO_ROOMS_SERVER__METRICS_LISTEN": listen, **public})
    assert settings.server.metrics_listen == listen


@pytest.mark.parametrize("listen", ["", "127.0.0.1:9100", "[::1]:0"])
def test_metrics_on_loopback_need_no_leave(listen: str) -> None:
    settings = load(Settings, {"NUNCIO_ROOMS_SERVER__METRICS_LISTEN": listen})
    assert settings.server.metrics_listen == listen


@pytest.mark.parametrize("seconds", ["0", "-1", "PT0S"])
@pytest.mark.parametrize(
    "name", ["SERVER__DEFAULT_DEADLINE", "DATABASE__STATEMENT_TIMEOUT", "DATABASE__CONNECT_TIMEOUT"]
)
def test_limits_of_time_leave_some(name: str, seconds: str) -> None:
    (problem,) = problems(**{name: seconds})
    assert problem.startswith(f"NUNCIO_ROOMS_{name}: ")


def test_a_statement_timeout_that_postgresql_would_take_for_none_is_refused() -> None:
    (problem,) = problems(DATABASE__STATEMENT_TIMEOUT="0.0004")
    assert problem.startswith("NUNCIO_ROOMS_DATABASE__STATEMENT_TIMEOUT: ")


def test_a_drain_may_be_without_grace_but_not_end_before_it_begins() -> None:
    settings = load(Settings, {"NUNCIO_ROOMS_SERVER__DRAIN_GRACE": "0"})
    assert settings.server.drain_grace == timedelta(0)
    (problem,) = problems(SERVER__DRAIN_GRACE="-1")
    assert problem.startswith("NUNCIO_ROOMS_SERVER__DRAIN_GRACE: ")


LOCAL = [
    "127.0.0.1:7411",
    "127.9.9.9",
    "localhost:7411",
    "[::1]:7411",
    "dns:localhost:7411",
    "dns:///127.0.0.1:7411",
    "ipv4:127.0.0.1:7411,127.0.0.2:7411",
    "ipv6:[::1]:7411",
    "unix:/run/nuncio.sock",
    "unix:///run/nuncio.sock",
    "unix-abstract:nuncio",
]
ELSEWHERE = [
    "registry:7411",
    "10.0.0.1:7411",
    "[fe80::1]:7411",
    "0.0.0.0:7411",
    "localhost.example.org:7411",
    "127.0.0.1.example.org:7411",
    "dns:///registry:7411",
    "dns://10.0.0.1/localhost:7411",
    "ipv4:127.0.0.1:7411,10.0.0.1:7411",
    "localhost:7411,10.0.0.1:7411",
    "xds:///registry",
    "",
]


def test_a_local_target_is_on_this_machine_for_certain() -> None:
    assert [target for target in LOCAL if not is_local_target(target)] == []
    assert [target for target in ELSEWHERE if is_local_target(target)] == []


@pytest.mark.parametrize("target", ["registry:7411", "10.0.0.1:7411"])
def test_an_upstream_elsewhere_without_tls_is_refused(target: str) -> None:
    (problem,) = problems(UPSTREAM__TARGET=target)
    assert "NUNCIO_ROOMS_UPSTREAM__CA_FILE: refuses to start" in problem
    assert target not in problem
    tls = {"NUNCIO_ROOMS_UPSTREAM__CA_FILE": "/tls/ca.pem"}
    settings = load(Settings, {"NUNCIO_ROOMS_UPSTREAM__TARGET": target, **tls})
    assert settings.upstream.target == target


def test_an_upstream_without_a_target_has_one_problem() -> None:
    (problem,) = problems(UPSTREAM__TARGET="")
    assert problem.startswith("NUNCIO_ROOMS_UPSTREAM__TARGET: ")


def test_half_a_tls_identity_is_refused() -> None:
    (problem,) = problems(SERVER__TLS_KEY_FILE="/tls/key.pem")
    assert "NUNCIO_ROOMS_SERVER__TLS_KEY_FILE: a TLS certificate and its key" in problem
    (problem,) = problems(SERVER__TLS_CLIENT_CA_FILE="/tls/ca.pem")
    assert "NUNCIO_ROOMS_SERVER__TLS_CLIENT_CA_FILE: client certificates need" in problem


def test_settings_are_frozen_and_hide_the_dsn() -> None:
    settings = load(Settings, {"NUNCIO_ROOMS_DATABASE__DSN": "postgresql://u:hush@h/d"})
    assert settings.database.dsn == SecretStr("postgresql://u:hush@h/d")
    assert "hush" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.database.pool_max = 3


def test_a_schema_name_that_would_need_quotes_is_refused() -> None:
    (problem,) = problems(DATABASE__SCHEMA="rooms; drop")
    assert problem.startswith("NUNCIO_ROOMS_DATABASE__SCHEMA: ")


def test_all_settings_can_be_listed_with_default_and_meaning() -> None:
    listed = {setting.variable: setting for setting in describe(Settings)}
    assert listed["NUNCIO_ROOMS_DOOR__OPEN_AFTER"] == Setting(
        "NUNCIO_ROOMS_DOOR__OPEN_AFTER", "duration", "PT10M", "How long it stays shut."
    )
    assert listed["NUNCIO_ROOMS_DOOR__KEYS"].default == "brass,iron"
    assert listed["NUNCIO_ROOMS_SERVER__LISTEN"].default == "127.0.0.1:7999"
    assert listed["NUNCIO_ROOMS_DATABASE__SCHEMA"].default == "rooms"
    assert listed["NUNCIO_ROOMS_LOG__FORMAT"].type == "json | console"
    assert all(setting.description for setting in listed.values())
