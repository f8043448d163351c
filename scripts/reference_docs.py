"""Write docs/settings.md and docs/errors.md from the code and the contracts.

Run by `make docs`. With --check nothing is written; the exit code says whether they are fresh.
"""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from nuncio_runtime.config import describe

ROOT = Path(__file__).parents[1]
SERVICES = ("registry", "targeting", "dispatcher", "feedback")
REASONS_FILE = "nuncio/common/v1/error_reason.proto"
PREFIX = "ERROR_REASON_"
ENUM_VALUE = 2  # Field number of EnumDescriptorProto.value, as it stands in a source path.

SETTINGS_HEAD = """\
# Settings

Every setting is an environment variable, read once at start. `check-config` of a service reports
every problem at once, names the variable and shows no values; a variable with the service's prefix
that is no setting is a problem too. When all is well it shows each value in force and where it
comes from, but no secrets. Durations are ISO 8601 (`PT10S`) or plain seconds; lists are
separated by commas. This page is made by `make docs`.
"""
ERRORS_HEAD = """\
# Errors

A failed call carries a gRPC status and a `google.rpc.ErrorInfo` with domain `nuncio`, one of these
reasons, and metadata. Programs decide by the reason, never by the text. Next to it may stand
`google.rpc.BadRequest`, which names field and rule, and `google.rpc.RetryInfo`, which says when to
try again. This page is made from the contracts by `make docs`.

| reason | meaning |
|---|---|"""


def settings_page() -> Iterator[str]:
    yield SETTINGS_HEAD
    for service in SERVICES:
        config = importlib.import_module(f"nuncio_{service}.config")
        yield f"## {service}\n"
        yield "| variable | type | default | meaning |\n|---|---|---|---|"
        for setting in describe(config.Settings):
            kind = setting.type.replace("|", "\\|")
            default = f"`{setting.default}`" if setting.default else ""
            yield f"| `{setting.variable}` | {kind} | {default} | {setting.description} |"
        yield ""


def errors_page() -> Iterator[str]:
    yield ERRORS_HEAD
    yield from (f"| `{name}` | {text} |" for name, text in reasons())
    yield ""


def reasons() -> Iterator[tuple[str, str]]:
    """Names without prefix and comments of the enum's values, in order."""
    image = subprocess.run(
        [ROOT / ".venv/bin/buf", "build", "--as-file-descriptor-set", "--output", "-"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    files = FileDescriptorSet.FromString(image).file
    file = next(file for file in files if file.name == REASONS_FILE)
    for location in file.source_code_info.location:
        if len(location.path) == 4 and location.path[2] == ENUM_VALUE:  # enum, 0, value, n
            value = file.enum_type[0].value[location.path[3]]
            if value.number:
                yield value.name.removeprefix(PREFIX), " ".join(location.leading_comments.split())


def main() -> int:
    pages = {"settings.md": settings_page(), "errors.md": errors_page()}
    stale = []
    for name, lines in pages.items():
        path, text = ROOT / "docs" / name, "\n".join(lines)
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            stale.append(f"docs/{name}")
    if stale:
        print(f"not fresh, run make docs: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
