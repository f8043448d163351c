"""Keys as files: 32 bytes in base64 each, `seal-<id>.key` and `lookup.key`."""

import base64
import binascii
import os
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from nuncio_registry.domain.sealing import KEY_BYTES, KeyChanged, KeyRing
from nuncio_registry.metrics import KEYS_UNUSABLE
from nuncio_runtime.clock import Clock
from nuncio_runtime.config import ConfigError

log = structlog.get_logger(__name__)

VARIABLE: Final = "NUNCIO_REGISTRY_KEYS__FOLDER"

_LOOKUP: Final = "lookup.key"
_SEAL: Final = re.compile(r"seal-([1-9][0-9]{0,4})\.key")
_MAX_ID: Final = 32_767  # A smallint of the database.
_LOOK_PAUSE: Final = 1.0


class _Keys(NamedTuple):
    """What a folder holds."""

    seal_keys: dict[int, bytes]
    lookup_key: bytes


class KeyFolder:
    """The key ring of a running process, which takes up the keys that are put into its folder.

    Raises ConfigError, when it is made, that names every file that cannot be used. Later, files
    that cannot be used leave the ring as it is; `keys_unusable` is logged, and counted.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._looked = clock.monotonic()
        self._told: tuple[str, ...] = ()
        keys = _read_keys(folder)
        self.ring = KeyRing(
            seal_keys=keys.seal_keys, lookup_key=keys.lookup_key, look=self._look_for_missing
        )

    async def keep_looking(self, every: timedelta) -> None:
        """Look for new keys now and then, until cancelled."""
        while True:
            await self._clock.sleep(every.total_seconds())
            self.look()

    def look(self) -> None:
        """Take up what the folder holds now."""
        self._looked = self._clock.monotonic()
        before = self.ring.newest
        try:
            keys = _read_keys(self._folder)
            self.ring.take_up(keys.seal_keys, lookup_key=keys.lookup_key)
        except ConfigError as error:
            self._tell(error.problems)
        except KeyChanged:
            self._tell((f"{VARIABLE}: a key that is in use was replaced by another one",))
        else:
            self._told = ()
            if self.ring.newest != before:
                log.info("keys_taken_up", newest=self.ring.newest, ids=self.ring.ids)

    def _look_for_missing(self) -> None:
        """At most once a second: a whole page of tokens may lack its key."""
        if self._clock.monotonic() - self._looked >= _LOOK_PAUSE:
            self.look()

    def _tell(self, problems: tuple[str, ...]) -> None:
        KEYS_UNUSABLE.inc()
        if problems != self._told:  # Once for each state of the folder, not every ten seconds.
            log.error("keys_unusable", problems=problems)
        self._told = problems


def read_key_ring(folder: Path) -> KeyRing:
    """The keys of a folder. Raises ConfigError that names every file that cannot be used."""
    keys = _read_keys(folder)
    return KeyRing(seal_keys=keys.seal_keys, lookup_key=keys.lookup_key)


def newest_since(folder: Path) -> datetime:
    """When the newest key was put into the folder, by the time of its file. Raises ConfigError."""
    newest = max(_read_keys(folder).seal_keys)
    seconds = (folder / f"seal-{newest}.key").stat().st_mtime
    return datetime.fromtimestamp(seconds, UTC)


def add_seal_key(folder: Path) -> int:
    """Make the next key that seals, readable for the owner only; gives its id.

    The file is whole and on the disk when this returns. Raises ConfigError when the folder cannot
    be used, has no id left, or somebody else adds one at the same time.
    """
    key_id = max(_read_keys(folder).seal_keys) + 1
    if key_id > _MAX_ID:
        message = f"{VARIABLE}: there is no id after {_MAX_ID}"
        raise ConfigError(message)
    path = folder / f"seal-{key_id}.key"
    try:
        written = _write_once(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)))
    except OSError as error:
        message = f"{VARIABLE}: {path.name} cannot be written"
        raise ConfigError(message) from error
    if not written:
        message = f"{VARIABLE}: {path.name} was added by somebody else just now"
        raise ConfigError(message)
    return key_id


def _read_keys(folder: Path) -> _Keys:
    problems: list[str] = []
    lookup_key = _read(folder / _LOOKUP, problems)
    seal_keys: dict[int, bytes] = {}
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
    return _Keys(seal_keys, lookup_key)


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


def _write_once(path: Path, content: bytes) -> bool:
    """Write the whole file or nothing, to the disk; False when there is one already: it stays."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
        _sync_folder(path.parent)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _sync_folder(folder: Path) -> None:
    """A name is as good as lost as long as its folder is not on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
