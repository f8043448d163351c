"""Where `--json FILE` puts a report."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from nuncio_cli.errors import FileUnusable
from nuncio_cli.output import emit


class ReportFile:
    """A file, stdout for "-", or nothing at all for None."""

    def __init__(self, path: Path | None) -> None:
        """Raises FileUnusable when the file could not be written, before the long work begins."""
        self._path = path
        self.is_wanted = path is not None
        self.is_stdout = path is not None and str(path) == "-"
        if path is not None and not self.is_stdout:
            writable = path if path.exists() else path.absolute().parent
            if path.is_dir() or not os.access(writable, os.W_OK):
                raise FileUnusable(detail=str(path))

    def write(self, document: Mapping[str, Any]) -> None:
        """Nothing when there is none."""
        if self.is_stdout:
            emit(document)
        elif self._path is not None:
            self._path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
