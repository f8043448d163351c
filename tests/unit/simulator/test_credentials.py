"""What the folder keeps, and for whom."""

from pathlib import Path

from nuncio_simulator.credentials import Credentials, prepare


def credentials(folder: Path, topic: str) -> Credentials:
    return prepare(folder, project="p1", token_uri="https://x/token", topic=topic, seed=None)


def test_the_certificates_of_clients_are_kept_until_the_app_is_another(tmp_path: Path) -> None:
    made = [credentials(tmp_path, topic) for topic in ("com.example.a", "com.example.a")]
    files = made[0].apns_clients
    assert files == made[1].apns_clients
    kept = [path.read_bytes() for path in files]
    assert credentials(tmp_path, "com.example.a").apns_clients == files
    assert [path.read_bytes() for path in files] == kept
    credentials(tmp_path, "com.example.b")
    assert not set(kept) & {path.read_bytes() for path in files}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
