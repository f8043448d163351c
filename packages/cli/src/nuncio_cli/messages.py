"""Messages and destinations as files: JSON of the contract, over which options may go."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import google.protobuf.message
from google.protobuf import json_format

from nuncio.dispatcher.v1.message_pb2 import PRIORITY_NORMAL, Message
from nuncio_cli.errors import FileUnusable

M = TypeVar("M", bound=google.protobuf.message.Message)

STDIN: Final = Path("-")


def read(path: Path, kind: type[M], *, secret: bool = False) -> M:
    """The message of the contract that a file has as JSON, in UTF-8; "-" is standard input.

    Raises FileUnusable; when the content is secret, without anything of it.
    """
    name = "standard input" if path == STDIN else str(path)
    try:
        text = sys.stdin.read() if path == STDIN else path.read_text(encoding="utf-8")
        return json_format.Parse(text, kind())
    except OSError as error:
        raise FileUnusable(detail=f"{name}: {error.strerror}") from error
    except (ValueError, json_format.ParseError) as error:
        why = f"it is no {kind.DESCRIPTOR.full_name} in JSON"
        raise FileUnusable(detail=f"{name}: {why}" if secret else f"{name}: {error}") from error


def message_from(
    file: Path | None,
    *,
    texts: dict[str, str],
    data: dict[str, str] | None = None,
    ttl: int | None = None,
    quiet: bool = False,
) -> Message:
    """The file's message, or an empty one, with what the options say over it.

    texts: fields by their names; empty ones say nothing. ttl: seconds.
    """
    message = read(file, Message) if file else Message()
    message.MergeFrom(Message(**texts, data=data or {}))  # type: ignore[arg-type]
    if ttl is not None:
        message.time_to_live.FromTimedelta(timedelta(seconds=ttl))
    if quiet:
        message.priority = PRIORITY_NORMAL
    return message
