"""Files with tokens in them."""

import os
from pathlib import Path
from typing import TextIO


def fresh_private(path: Path) -> TextIO:
    """A new file in place of any that is there; only its owner may read it. Raises OSError."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")
