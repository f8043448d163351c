"""A running process takes up the keys that are put into its folder."""

import asyncio
import base64
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nuncio_registry.domain.model import Provider
from nuncio_registry.domain.sealing import KeyRing, UnreadableToken, bound_to
from nuncio_registry.domain.tokens import plain_token
from nuncio_registry.metrics import KEYS_UNUSABLE
from nuncio_registry.storage.key_files import (
    KeyFolder,
    add_seal_key,
    make_missing_keys,
    read_key_ring,
)
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.config import ConfigError
from tests.unit.registry.builders import key

TOKEN = plain_token("ab" * 32)
ROW = bound_to("app", key(1))


def put(path: Path, content: bytes) -> None:
    path.write_bytes(base64.b64encode(content))


def made(folder: Path, clock: ManualClock) -> KeyFolder:
    make_missing_keys(folder)
    return KeyFolder(folder, clock)


def sealed_elsewhere(folder: Path) -> tuple[bytes, int]:
    """A token that another process sealed with the newest key of the folder."""
    other = read_key_ring(folder)
    return other.seal(TOKEN, ROW), other.newest


def unusable() -> float:
    """How many looks found files that cannot be used."""
    (metric,) = KEYS_UNUSABLE.collect()
    return metric.samples[0].value


async def test_a_new_key_seals_after_the_next_look(tmp_path: Path) -> None:
    clock = ManualClock()
    folder = made(tmp_path, clock)
    old = folder.ring.seal(TOKEN, ROW)
    looking = asyncio.create_task(folder.keep_looking(timedelta(seconds=10)))
    await asyncio.sleep(0)
    assert add_seal_key(tmp_path) == 2
    clock.advance(9)
    await asyncio.sleep(0)
    assert folder.ring.newest == 1
    clock.advance(1)
    for _ in range(3):
        await asyncio.sleep(0)
    looking.cancel()
    assert folder.ring.newest == 2
    assert folder.ring.open(old, key_id=1, bound_to=ROW) == TOKEN.reveal()
    new = folder.ring.seal(TOKEN, ROW)
    assert read_key_ring(tmp_path).open(new, key_id=2, bound_to=ROW) == TOKEN.reveal()


def test_a_token_of_an_unknown_key_is_a_reason_to_look_at_once(tmp_path: Path) -> None:
    clock = ManualClock()
    folder = made(tmp_path, clock)
    add_seal_key(tmp_path)
    sealed, key_id = sealed_elsewhere(tmp_path)
    clock.advance(1)
    assert folder.ring.open(sealed, key_id=key_id, bound_to=ROW) == TOKEN.reveal()
    assert folder.ring.newest == 2


def test_the_folder_is_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    clock = ManualClock()
    folder = made(tmp_path, clock)
    clock.advance(5)
    with pytest.raises(UnreadableToken):
        folder.ring.open(bytes(40), key_id=2, bound_to=ROW)
    add_seal_key(tmp_path)
    sealed, key_id = sealed_elsewhere(tmp_path)
    clock.advance(0.5)
    with pytest.raises(UnreadableToken):
        folder.ring.open(sealed, key_id=key_id, bound_to=ROW)
    clock.advance(0.5)
    assert folder.ring.open(sealed, key_id=key_id, bound_to=ROW) == TOKEN.reveal()


def test_damaged_files_leave_the_ring_as_it_is_and_are_told_without_contents(
    tmp_path: Path,
) -> None:
    folder = made(tmp_path, ManualClock())
    sealed = folder.ring.seal(TOKEN, ROW)
    (tmp_path / "seal-2.key").write_text("half-a-secret")
    before = unusable()
    with capture_logs() as logs:
        folder.look()
        folder.look()
    assert folder.ring.newest == 1
    assert folder.ring.open(sealed, key_id=1, bound_to=ROW) == TOKEN.reveal()
    assert unusable() == before + 2
    assert [entry["event"] for entry in logs] == ["keys_unusable"]
    assert "seal-2.key" in str(logs)
    assert "half-a-secret" not in str(logs)


@pytest.mark.parametrize("name", ["seal-1.key", "lookup.key"])
def test_a_key_in_use_that_is_replaced_is_not_taken_up(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path, ManualClock())
    sealed, token_hash = folder.ring.seal(TOKEN, ROW), folder.ring.hash(Provider.APNS, TOKEN)
    put(tmp_path / name, bytes(32))
    put(tmp_path / "seal-2.key", bytes(32))
    with capture_logs() as logs:
        folder.look()
    assert [entry["event"] for entry in logs] == ["keys_unusable"]
    assert folder.ring.newest == 1
    assert folder.ring.open(sealed, key_id=1, bound_to=ROW) == TOKEN.reveal()
    assert folder.ring.hash(Provider.APNS, TOKEN) == token_hash


def test_a_key_that_vanishes_opens_on_and_seals_no_more(tmp_path: Path) -> None:
    make_missing_keys(tmp_path)
    add_seal_key(tmp_path)
    folder = KeyFolder(tmp_path, ManualClock())
    sealed = folder.ring.seal(TOKEN, ROW)
    (tmp_path / "seal-2.key").unlink()
    folder.look()
    assert folder.ring.newest == 1
    assert folder.ring.open(sealed, key_id=2, bound_to=ROW) == TOKEN.reveal()


def test_an_added_key_is_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    make_missing_keys(tmp_path)
    assert [add_seal_key(tmp_path), add_seal_key(tmp_path)] == [2, 3]
    added = tmp_path / "seal-3.key"
    assert added.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(added.read_bytes())) == 32
    assert {path.name for path in tmp_path.iterdir()} == {
        "lookup.key", "seal-1.key", "seal-2.key", "seal-3.key",
    }  # fmt: skip


def test_there_is_no_key_after_the_last_id(tmp_path: Path) -> None:
    put(tmp_path / "lookup.key", bytes(32))
    put(tmp_path / "seal-32767.key", bytes(32))
    with pytest.raises(ConfigError, match="32767"):
        add_seal_key(tmp_path)


def test_subjects_are_told_apart_by_kind_app_and_name() -> None:
    ring = KeyRing(seal_keys={1: bytes(32)}, lookup_key=b"l" * 32)
    hashes = {
        ring.subject_hash(*subject)
        for subject in (("user", "a", "x"), ("installation", "a", "x"), ("user", "ax", ""))
    }
    assert {len(hash_) for hash_ in hashes} == {16}
    assert len(hashes) == 3
    assert ring.subject_hash("user", "a", "x") == ring.subject_hash("user", "a", "x")
    other = KeyRing(seal_keys={1: bytes(32)}, lookup_key=b"m" * 32)
    assert other.subject_hash("user", "a", "x") not in hashes
