"""Settings: one frozen model per service, read once from the environment.

A variable is the service's prefix and the path of the field: `NUNCIO_X_SERVER__LISTEN` is
`settings.server.listen` of the service whose prefix is `NUNCIO_X_`.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

S = TypeVar("S", bound="ServiceSettings")

NESTING = "__"
NO_TIME = timedelta(0)
A_MILLISECOND = timedelta(milliseconds=1)  # PostgreSQL counts in them, and takes 0 for no limit.
LISTS = (list, tuple, set, frozenset)
HIDDEN = "(hidden)"
LAST_PORT = 65_535
MOST_WORKERS = 64


class ConfigError(Exception):
    """The settings cannot be used. `problems` names each variable and its trouble, no values."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def split_address(address: str) -> tuple[str, int]:
    """Take `host:port` or `[v6]:port` apart. Raises ValueError when it is neither."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > LAST_PORT:
        raise ValueError("must be host:port, or [address]:port for IPv6")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_local_target(target: str) -> bool:
    """Whether what gRPC is to connect to is on this machine: a Unix socket, or loopback only.

    Of the names, only `localhost` is; what another one resolves to can change.
    Source: gRPC Name Resolution (grpc/doc/naming.md).
    """
    scheme, _, rest = target.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return True
    if scheme not in ("dns", "ipv4", "ipv6"):
        rest = target
    # What follows two slashes is the name server to ask; after three it is the one of the machine.
    return all(is_loopback(_host_of(each)) for each in rest.removeprefix("///").split(","))


def _host_of(address: str) -> str:
    """The host of an address whose port may be left out."""
    try:
        return split_address(address)[0]
    except ValueError:
        return address.removeprefix("[").removesuffix("]")


def _kinds(annotation: Any) -> set[Any]:
    """The plain types in an annotation: {timedelta, None} for `timedelta | None`."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return set().union(*(_kinds(part) for part in get_args(annotation)))
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    return {origin or annotation}


class _ReadsText(BaseModel):
    """Takes the plain text of environment variables for lists and durations."""

    @field_validator("*", mode="before")
    @classmethod
    def _from_text(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str) or info.field_name is None:
            return value
        kinds = _kinds(cls.model_fields[info.field_name].annotation)
        if kinds & set(LISTS):
            return [part.strip() for part in value.split(",") if part.strip()]
        if timedelta in kinds and value.replace(".", "", 1).isdigit():
            return float(value)  # Plain seconds; ISO 8601 is read by pydantic.
        return value


class Section(_ReadsText):
    """A group of settings. Subclasses give every field a default and a docstring."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )


class LogSettings(Section):
    """What is written to stderr, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious events to write."""

    format: Literal["json", "console"] = "json"
    """One JSON object per line, or coloured text for people."""


class ServerSettings(Section):
    """Where and how the service listens."""

    tls_certificate_file: Path | None = None
    """PEM file with the server's certificate chain. Read again when it changes."""

    tls_key_file: Path | None = None
    """PEM file with the certificate's private key. Read again when it changes."""

    tls_client_ca_file: Path | None = None
    """PEM file with the authorities of client certificates. When set, clients must have one."""

    listen: str = "127.0.0.1:0"
    """Host and port for gRPC. Port 0 takes a free one. Only loopback may go without TLS."""

    drain_grace: timedelta = Field(default=timedelta(seconds=10), ge=NO_TIME)
    """How long running calls may take to finish when the service stops."""

    metrics_public: bool = False
    """Whether metrics may be shown beyond loopback, such as to scrapers in a private network."""

    metrics_listen: str = ""
    """Host and port for /metrics and /healthz over plain HTTP. Empty: none.

    They are open to all who can reach them: beyond loopback only with METRICS_PUBLIC. With
    several workers this shows the supervisor; worker 1 is at the next port, and so on.
    """

    workers: int = Field(default=1, ge=1, le=MOST_WORKERS)
    """How many processes share the port. More than 1 needs Linux; see docs/workers.md."""

    default_deadline: timedelta = Field(default=timedelta(seconds=30), gt=NO_TIME)
    """The deadline of unary calls whose caller states none."""

    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """The largest message that is taken or sent, in bytes."""

    reflection: bool = True
    """Whether clients may ask for the descriptors of the services."""

    @field_validator("tls_key_file")
    @classmethod
    def _need_both(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("tls_certificate_file") is None):
            raise ValueError("a TLS certificate and its key are set together or not at all")
        return key

    @field_validator("tls_client_ca_file")
    @classmethod
    def _need_server_tls(cls, authorities: Path | None, info: ValidationInfo) -> Path | None:
        if authorities is not None and info.data.get("tls_certificate_file") is None:
            raise ValueError("client certificates need a TLS certificate of the server, too")
        return authorities

    @field_validator("listen")
    @classmethod
    def _refuse_an_open_door(cls, listen: str, info: ValidationInfo) -> str:
        host, _ = split_address(listen)
        if not is_loopback(host) and info.data.get("tls_certificate_file") is None:
            message = "refuses to start: an address that is not loopback needs TLS files"
            raise ValueError(message)
        return listen

    @field_validator("workers")
    @classmethod
    def _need_ports_for_metrics(cls, workers: int, info: ValidationInfo) -> int:
        metrics = info.data.get("metrics_listen")
        if workers > 1 and metrics and split_address(metrics)[1] + workers > LAST_PORT:
            message = "each worker needs a port above that of METRICS_LISTEN, and there is none"
            raise ValueError(message)
        return workers

    @field_validator("metrics_listen")
    @classmethod
    def _refuse_open_metrics(cls, listen: str, info: ValidationInfo) -> str:
        public = info.data.get("metrics_public", True)  # Missing: it has a problem of its own.
        if listen and not is_loopback(split_address(listen)[0]) and not public:
            message = "refuses to start: an address that is not loopback needs METRICS_PUBLIC"
            raise ValueError(message)
        return listen


class UpstreamSettings(Section):
    """Where another service is. Subclasses say which, and give `target` a default."""

    target: str = Field(min_length=1)
    """Host and port of the service, or another name that gRPC resolves."""

    ca_file: Path | None = None
    """PEM file with the authorities of the service's certificate. Unset: no TLS, loopback only."""

    certificate_file: Path | None = None
    """PEM file with our certificate chain, for a service that asks for one. Read at the start."""

    key_file: Path | None = None
    """PEM file with the private key of our certificate, not encrypted. Read at the start."""

    @field_validator("ca_file")
    @classmethod
    def _refuse_clear_text(cls, ca_file: Path | None, info: ValidationInfo) -> Path | None:
        target = info.data.get("target")
        if ca_file is None and target is not None and not is_local_target(target):
            raise ValueError("refuses to start: a target that is not loopback needs TLS")
        return ca_file

    @field_validator("certificate_file")
    @classmethod
    def _need_tls(cls, certificate: Path | None, info: ValidationInfo) -> Path | None:
        # Missing: it has a problem of its own.
        if certificate is not None and info.data.get("ca_file", certificate) is None:
            raise ValueError("a client certificate is shown over TLS only: set CA_FILE, too")
        return certificate

    @field_validator("key_file")
    @classmethod
    def _need_both(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("certificate_file", key)
        if (key is None) != (certificate is None):
            raise ValueError("CERTIFICATE_FILE and KEY_FILE are set together or not at all")
        return key


def _default_embedded_folder() -> Path:
    home = Path("/var/lib") if os.geteuid() == 0 else Path.home() / ".local" / "share"
    return home / "nuncio" / "postgres"


with warnings.catch_warnings():
    # `schema` is also the name of a method that pydantic has deprecated; nothing here calls it.
    warnings.filterwarnings("ignore", message='Field name "schema"', category=UserWarning)

    class DatabaseSettings(Section):
        """Which PostgreSQL to use, and how."""

        dsn: SecretStr | None = None
        """postgresql://… of the server. Unset: the embedded one, for development only."""

        embedded_folder: Path = Field(default_factory=_default_embedded_folder)
        """Where the embedded PostgreSQL keeps its data.

        Unset: /var/lib/nuncio/postgres for root, ~/.local/share/nuncio/postgres for others.
        """

        schema: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")  # type: ignore[assignment]
        """The PostgreSQL schema that holds the service's tables."""

        pool_min: int = Field(default=1, ge=0)
        """Connections that are kept open when nothing happens."""

        pool_max: int = Field(default=10, ge=1)
        """The most connections of one pool; docs/scaling.md tells how many pools a process has."""

        statement_timeout: timedelta = Field(default=timedelta(seconds=30), ge=A_MILLISECOND)
        """How long one statement may run."""

        connect_timeout: timedelta = Field(default=timedelta(seconds=10), gt=NO_TIME)
        """How long opening a connection may take."""


class ServiceSettings(_ReadsText, BaseSettings):
    """The settings that every service has. Subclasses set `env_prefix` and `database`, and add."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
        env_nested_delimiter=NESTING,
        enable_decoding=False,
        nested_model_default_partial_update=True,
    )

    log: LogSettings = LogSettings()
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic names these arguments
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind the caller's back: `load` hands over the environment."""
        return (init_settings,)


class Setting(NamedTuple):
    """One variable, as documentation shows it."""

    variable: str
    type: str
    default: str
    description: str


class InForce(NamedTuple):
    """A setting as it is used. value: None when unset, HIDDEN for a secret that is set."""

    setting: Setting
    value: str | None
    source: Literal["default", "environment"]


def load(settings_type: type[S], environ: Mapping[str, str]) -> S:
    """Read the settings from the environment.

    Raises ConfigError with every problem at once: values that do not fit, and variables that
    carry the service's prefix but are none of its settings.
    """
    prefix = prefix_of(settings_type)
    known = dict(_variables(settings_type))
    ours = {name: value for name, value in environ.items() if name.startswith(prefix)}
    problems = [f"{name}: there is no such setting" for name in ours if name not in known]
    source = EnvSettingsSource(settings_type)
    source.env_vars = {name.lower(): value for name, value in ours.items() if name in known}
    try:
        settings = settings_type(**source())
    except ValidationError as error:
        problems += [
            _problem(prefix, known, fault["loc"], fault["msg"]) for fault in error.errors()
        ]
    if problems:
        raise ConfigError(*sorted(problems))
    return settings


def describe(settings_type: type[ServiceSettings]) -> list[Setting]:
    """All variables of a service with type, default and meaning, in the order of the models."""
    return [
        Setting(variable, _type_name(field.annotation), default, _paragraph(field.description))
        for variable, (field, default) in _variables(settings_type)
    ]


def in_force(settings: ServiceSettings, environ: Mapping[str, str]) -> list[InForce]:
    """All settings with their values, in the order of `describe`. environ: what was loaded."""
    return [
        InForce(
            setting,
            _value_of(settings, setting),
            "environment" if setting.variable in environ else "default",
        )
        for setting in describe(type(settings))
    ]


def _value_of(settings: ServiceSettings, setting: Setting) -> str | None:
    value: object = settings
    for name in setting.variable.removeprefix(prefix_of(type(settings))).lower().split(NESTING):
        value = getattr(value, name, None)  # None where a whole section is left out.
    return HIDDEN if isinstance(value, SecretStr) else _text(value) or None


def prefix_of(settings_type: type[BaseSettings]) -> str:
    """What the names of the service's variables begin with."""
    return (settings_type.model_config.get("env_prefix") or "").upper()


def _variables(settings_type: type[BaseSettings]) -> Iterator[tuple[str, tuple[FieldInfo, str]]]:
    yield from _walk(settings_type, prefix_of(settings_type), None)


def _walk(
    model: type[BaseModel], path: str, default: BaseModel | None
) -> Iterator[tuple[str, tuple[FieldInfo, str]]]:
    for name, field in model.model_fields.items():
        variable = f"{path}{name.upper()}"
        value = getattr(default, name) if default is not None else field.default
        section = next((k for k in _kinds(field.annotation) if _is_model(k)), None)
        if section is None:
            yield variable, (field, _shown(field, value))
        else:
            inner = value if isinstance(value, BaseModel) else None
            yield from _walk(section, variable + NESTING, inner)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _shown(field: FieldInfo, value: object) -> str:
    if field.default_factory is not None or (field.is_required() and value is field.default):
        return ""
    return _text(value)


def _text(value: object) -> str:
    """As it could stand in the environment; empty: unset."""
    if value is None or value == "":
        return ""
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return ",".join(str(part) for part in value)
    if isinstance(value, timedelta):
        return _iso_8601(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _iso_8601(duration: timedelta) -> str:
    """Such as "P400D" or "P1DT12H": pydantic would write 365 days as a year, which few know."""
    days, rest = divmod(duration, timedelta(days=1))
    time = str(TypeAdapter(timedelta).dump_python(rest, mode="json"))
    if not days:
        return time
    return f"P{days}D{time.removeprefix('P')}" if rest else f"P{days}D"


def _type_name(annotation: Any) -> str:
    names = {
        bool: "boolean", int: "integer", float: "number", str: "text", Path: "path",
        timedelta: "duration", SecretStr: "secret",
    }  # fmt: skip
    if get_origin(annotation) is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    kinds = [kind for kind in _kinds(annotation) if kind is not type(None)]
    if set(kinds) & set(LISTS):
        return "list"
    return " | ".join(sorted(names.get(kind, getattr(kind, "__name__", "text")) for kind in kinds))


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


def _problem(
    prefix: str, known: Mapping[str, object], location: tuple[int | str, ...], message: str
) -> str:
    """Name the variable: the longest part of the location that is one, or else a section."""
    words = [str(part).upper() for part in location]
    names = [prefix + NESTING.join(words[:end]) for end in range(len(words), 0, -1)]
    name = next((name for name in names if name in known), names[-1] if names else prefix)
    return f"{name}: {message.removeprefix('Value error, ')}"
