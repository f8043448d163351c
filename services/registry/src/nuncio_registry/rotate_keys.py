"""The command `nuncio-registry rotate-keys`: seals all tokens with the newest key, online."""

import argparse
import os
import pwd
import sys
from datetime import timedelta
from typing import Final, TypeAlias

import orjson

from nuncio_registry.app import folder_of_keys
from nuncio_registry.config import Settings
from nuncio_registry.domain.audit import KEY_ROTATION, Audit, Caller
from nuncio_registry.domain.rotate import BATCH, Rotate, Rotation
from nuncio_registry.domain.sealing import KeyRing
from nuncio_registry.storage.audit import PostgresAudit
from nuncio_registry.storage.key_files import add_seal_key, newest_since, read_key_ring
from nuncio_registry.storage.sealed import PostgresSealedTokens
from nuncio_runtime.clock import SYSTEM_CLOCK, Clock
from nuncio_runtime.main import Command
from nuncio_runtime.postgres import open_pool

# A replica that looked just before the key was there looks again after one interval; what it
# sealed until then is committed after one more.
_INTERVALS: Final = 2

Report: TypeAlias = dict[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command can be told."""
    parser.add_argument(
        "--add",
        action="store_true",
        help="first make the next key; only where all replicas share this folder of keys",
    )
    parser.add_argument(
        "--batch", type=_batch, default=BATCH, help="tokens per transaction, 1 to 10000"
    )
    parser.add_argument("--json", action="store_true", help="report as JSON on stdout")


async def rotate_keys(
    settings: Settings, arguments: argparse.Namespace, clock: Clock = SYSTEM_CLOCK
) -> int:
    """Run the command. Exit code 1: some tokens do not open, and keep their key.

    Raises ConfigError for keys that cannot be used, StorageUnavailable.
    """
    folder = folder_of_keys(settings)
    ring = read_key_ring(folder)
    async with open_pool(settings.database) as pool:
        # What cannot be audited is not done: no key is made, either.
        async with Audit(PostgresAudit(pool), clock) as audit:
            await audit.record(
                KEY_ROTATION,
                Caller(principal=_operator(), peer="", request_id=""),
                app_id="",
                details={"add": "true" if arguments.add else "false"},
            )
        if arguments.add:
            sys.stderr.write(f"added seal-{add_seal_key(folder)}.key\n")
            ring = read_key_ring(folder)
        settled = newest_since(folder) + _INTERVALS * settings.keys.reload_interval
        if settled > clock.now():
            sys.stderr.write(f"replicas take up the new key until {settled:%H:%M:%S} UTC\n")
        rotation = await Rotate(PostgresSealedTokens(pool), ring, clock).run(
            settled=settled,
            batch=arguments.batch,
            progress=_Progress(clock),
        )
    report = _report(rotation, ring)
    sys.stdout.write(orjson.dumps(report).decode() + "\n" if arguments.json else _text(report))
    return 1 if rotation.unreadable else 0


ROTATE_KEYS: Final = Command(
    name=KEY_ROTATION,
    help="seal all tokens with the newest key, while the service runs",
    run=rotate_keys,
    add_arguments=add_arguments,
)


class _Progress:
    """A line on stderr now and then."""

    EVERY: Final = timedelta(seconds=1).total_seconds()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told = clock.monotonic()

    def __call__(self, rotation: Rotation) -> None:
        if self._clock.monotonic() - self._told >= self.EVERY:
            self._told = self._clock.monotonic()
            sys.stderr.write(
                f"walk {rotation.walks}: looked at {rotation.looked_at} tokens, "
                f"sealed {rotation.resealed} anew so far\n"
            )


def _report(rotation: Rotation, ring: KeyRing) -> Report:
    return {
        "newest": rotation.newest,
        "resealed": rotation.resealed,
        "walks": rotation.walks,
        "tokens": rotation.looked_at,
        "unreadable": {str(id_): count for id_, count in sorted(rotation.unreadable.items())},
        "removable": [id_ for id_ in ring.ids if id_ not in rotation.in_use | {rotation.newest}],
    }


def _text(report: Report) -> str:
    lines = [
        "{resealed} tokens sealed anew with key {newest}, in {walks} walks over {tokens} tokens."
    ]
    if report["unreadable"]:
        lines.append("Tokens that do not open, by the id of their key: {unreadable}.")
    if report["removable"]:
        lines.append(
            "Keys that seal nothing any more: {removable}. Keep them as long as backups of the"
            " database that need them, away from here."
        )
    return "".join(line.format(**report) + "\n" for line in lines)


def _operator() -> str:
    """The account of the operating system that runs the command."""
    uid = os.geteuid()
    names = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == uid]
    return f"os:{names[0] if names else uid}"


def _batch(text: str) -> int:
    batch = int(text)
    if not 1 <= batch <= 10_000:
        raise argparse.ArgumentTypeError("must be 1 to 10000")
    return batch
