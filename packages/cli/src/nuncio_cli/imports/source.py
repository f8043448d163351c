"""The file that is imported: plain or gzip, read line by line."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

GZIP_MAGIC: Final = b"\x1f\x8b"
# What reading raises: the disk fails, or a compressed file is cut or damaged.
READ_FAULTS: Final = (OSError, EOFError, zlib.error)


class Source:
    """An open file: its text, and how many of its bytes on disk have been read."""

    def __init__(self, text: TextIO, raw: io.BufferedReader, size: int) -> None:
        self.text = text
        self.size = size
        self._raw = raw

    def position(self) -> int:
        """Bytes read so far, of `size`; a little ahead of the text, which is buffered."""
        return self._raw.tell()


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a CSV, NDJSON or XML file, compressed or not.

    Bytes that are not UTF-8 become U+FFFD, which the readers refuse row by row. A byte order
    mark is passed over. Raises OSError when the file cannot be opened.
    """
    with path.open("rb") as raw:
        packed = raw.peek(2)[:2] == GZIP_MAGIC
        content = gzip.GzipFile(fileobj=raw) if packed else raw
        # newline="": line ends inside quoted CSV cells stay as they are.
        with io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace", newline="") as text:
            yield Source(text, raw, path.stat().st_size)
