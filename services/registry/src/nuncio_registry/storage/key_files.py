"""Keys as files: 32 bytes in base64 each, `seal-<id>.key` and `lookup.key`."""

import base64
import binascii
import os
import re
import secrets
from pathlib import Path
from typing import Final

from nuncio_registry.domain.sealing import KEY_BYTES, KeyRing
from nuncio_runtime.config import ConfigError

VARIABLE: Final = "NUNCIO_REGISTRY_KEYS__FOLDER"

_LOOKUP: Final = "lookup.key"
_SEAL: Final = re.compile(r"seal-([1-9][0-9]{0,4})\.key")
_MAX_ID: Final = 32_767  # A smallint of the database.


def read_key_ring(folder: Path) -> KeyRing:
    """The keys of a folder. Raises ConfigError that names every file that cannot be used."""
    problems: list[str] = []
    lookup_key = _read(folder / _LOOKUP, problems)
    seal_keys = {}
    for path in sorted(folder.glob("seal-*.key")):
        matched = _SEAL.fullmatch(path.name)
        if matched is None or int(matched[1]) > _MAX_ID:
            problems.append(f"{VARIABLE}: {path.name}: the id must be a number, 1 to {_MAX_ID}")
        else:
            seal_keys[int(matched[1])] = _read(path, problems)
    if not seal_keys:
        problems.append(f"{VARIABLE}: there is no seal-<id>.key")
    if problems:
        raise ConfigError(*problems)
    return KeyRing(seal_keys=seal_keys, lookup_key=lookup_key)


def make_missing_keys(folder: Path) -> None:
    """Make the folder and its first keys where there are none, readable for the owner only.

    For development. Safe when several processes start at once: the first one's keys stay.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (_LOOKUP, "seal-1.key"):
        _write_once(folder / name, base64.b64encode(secrets.token_bytes(KEY_BYTES)))


def _read(path: Path, problems: list[str]) -> bytes:
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except FileNotFoundError:
        problems.append(f"{VARIABLE}: there is no {path.name}")
    except OSError:
        problems.append(f"{VARIABLE}: {path.name} cannot be read")
    except binascii.Error:
        problems.append(f"{VARIABLE}: {path.name} is not base64")
    else:
        if len(key) == KEY_BYTES:
            return key
        problems.append(f"{VARIABLE}: {path.name} must hold {KEY_BYTES} bytes")
    return b""


def _write_once(path: Path, content: bytes) -> None:
    """Write the whole file or nothing; a file that is there stays."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content + b"\n")
        os.link(draft, path)
    except FileExistsError:
        pass  # Another process was first.
    finally:
        draft.unlink()
