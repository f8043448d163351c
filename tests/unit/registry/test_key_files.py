"""Keys as files, and the settings that say where they are."""

import base64
import os
from pathlib import Path

import pytest

from nuncio_registry.config import Settings
from nuncio_registry.storage.key_files import make_missing_keys, read_key_ring
from nuncio_runtime.config import ConfigError, describe, load


def put(folder: Path, **keys: bytes) -> None:
    for name, key in keys.items():
        (folder / f"{name.replace('_', '-')}.key").write_bytes(base64.b64encode(key) + b"\n")


def test_the_highest_id_seals(tmp_path: Path) -> None:
    put(tmp_path, lookup=bytes(32), seal_2=bytes(32), seal_10=bytes(32))
    assert read_key_ring(tmp_path).newest == 10


def test_all_problems_are_named_at_once_and_no_key_is_shown(tmp_path: Path) -> None:
    put(tmp_path, seal_1=b"short", seal_x=bytes(32), seal_40000=bytes(32))
    (tmp_path / "seal-2.key").write_text("not base64!")
    with pytest.raises(ConfigError) as refused:
        read_key_ring(tmp_path)
    problems = "\n".join(refused.value.problems)
    for name in ("lookup.key", "seal-1.key", "seal-2.key", "seal-x.key", "seal-40000.key"):
        assert name in problems
    assert all("NUNCIO_REGISTRY_KEYS__FOLDER" in problem for problem in refused.value.problems)
    assert base64.b64encode(b"short").decode() not in problems


def test_an_empty_folder_has_no_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"seal-<id>\.key"):
        read_key_ring(tmp_path)


def test_keys_are_made_once_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "keys"
    make_missing_keys(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    make_missing_keys(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(before) == {"lookup.key", "seal-1.key"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    assert folder.stat().st_uid == os.geteuid()
    assert read_key_ring(folder).newest == 1


REMOTE = "postgresql://registry@db.example/nuncio"
SOCKET = "postgresql://registry@/nuncio?host=%2Frun%2Fpostgresql"


def test_a_database_over_a_network_needs_a_folder_of_keys() -> None:
    with pytest.raises(ConfigError, match="NUNCIO_REGISTRY_KEYS__FOLDER"):
        load(Settings, {"NUNCIO_REGISTRY_DATABASE__DSN": REMOTE})
    folder = {"NUNCIO_REGISTRY_KEYS__FOLDER": "/keys"}
    assert load(Settings, {"NUNCIO_REGISTRY_DATABASE__DSN": REMOTE} | folder).keys.folder


@pytest.mark.parametrize("environment", [{}, {"NUNCIO_REGISTRY_DATABASE__DSN": SOCKET}])
def test_development_needs_no_settings(environment: dict[str, str]) -> None:
    settings = load(Settings, environment)
    assert settings.server.listen == "127.0.0.1:7411"
    assert settings.database.schema == "registry"


def test_lists_are_comma_separated() -> None:
    origins = {"NUNCIO_REGISTRY_WEB_PUSH__ALLOWED_ORIGINS": "https://a:1, https://b:2"}
    assert load(Settings, origins).web_push.allowed_origins == ("https://a:1", "https://b:2")


def test_every_setting_is_described() -> None:
    assert all(setting.description for setting in describe(Settings))
