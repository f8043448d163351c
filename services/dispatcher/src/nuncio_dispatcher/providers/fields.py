"""What the sections of credential files have in common: types of fields, and settings."""

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo

from nuncio_dispatcher.http2.exchange import Origin
from nuncio_runtime.config import Section

USER_AGENT: Final = ("user-agent", "nuncio")
SESSION_AGE: Final = timedelta(minutes=50)
"""How long a connection to FCM or a push service is used. FCM ends it after an hour."""
IDLE_AGE: Final = timedelta(minutes=2)
"""How long an unused one is kept. FCM ends it after four minutes."""


class CredentialError(Exception):
    """A credential cannot be used. The message is for the operator; it never holds a secret."""


def _origin(value: object) -> object:
    return Origin.parse(value) if isinstance(value, str) else value


def _beside(path: Path, info: ValidationInfo) -> Path:
    """Relative paths start at the folder that the credential file is in."""
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / path.expanduser()


OriginField = Annotated[Origin, BeforeValidator(_origin), PlainSerializer(str)]
FileField = Annotated[Path, AfterValidator(_beside)]


class LaneSettings(Section):
    """What every lane can be told."""

    transport: Literal["multiplex", "reference"] = "multiplex"
    """What carries the requests: nuncio's own HTTP/2, or the general-purpose libraries."""

    rate: Annotated[float, Field(gt=0, le=60_000_000)] | None = None
    """Requests per minute to one origin. Default: as many as its connections take."""

    ca_file: FileField | None = None
    """PEM file with the issuers to trust. Default: the system's."""

    answer_within: Annotated[timedelta, Field(gt=timedelta(), le=timedelta(minutes=5))] = timedelta(
        seconds=20
    )
    """How long a written request may stay unanswered."""

    probe_wait: Annotated[timedelta, Field(gt=timedelta(), le=timedelta(hours=1))] = timedelta(
        seconds=30
    )
    """How long nothing is sent after the provider refused the credential."""

    quota_wait: Annotated[timedelta, Field(ge=timedelta(), le=timedelta(days=1))] = timedelta(
        minutes=1
    )
    """The wait after an answer that asks for one and names none. Google advises one minute."""


def read_file(path: Path, *, key: str) -> bytes:
    """The content of a file that a credential names under `key`. Raises CredentialError."""
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{key}: cannot read {path.name}: {error.strerror}"
        raise CredentialError(message) from error


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A client's context that verifies the peer, by ca_file when given. Raises CredentialError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        message = f"ca_file: {ca_file.name if ca_file else 'system'}: no usable certificates"
        raise CredentialError(message) from error
