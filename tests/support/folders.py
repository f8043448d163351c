"""Where the databases of tests are kept."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - folders in it get names of their own
_ENOUGH: Final = 4 << 30


def in_memory() -> Path | None:
    """A folder that the kernel keeps in memory, for `dir` of `tempfile`; None for the usual one.

    A test's database is hundreds of files that live for a second: on a disk that others use too,
    making them takes longer than the test. A process that is killed leaves there what it would
    leave on a disk. None where there is no such folder, or little room in it, as in containers.
    """
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ENOUGH:
        return _MEMORY
    return None


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """One where PostgreSQL's own user gets to when the tests run as root, unlike pytest's own."""
    with tempfile.TemporaryDirectory(
        prefix="nuncio-", dir=in_memory(), ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
