"""What is hard to see in a review: import arrows, rooms, furniture, error reasons, loose files."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nuncio.common.v1.error_reason_pb2 import ErrorReason

ROOT = Path(__file__).parents[1]
SERVICES = ("registry", "targeting", "dispatcher", "feedback")
ROOMS = {"api", "domain", "storage", "clients", "providers", "http2"}
ONLY_IN_DISPATCHER = {"providers", "http2"}
PROVIDERS = ("apns", "fcm", "webpush")
PROVIDER_FILES = {"settings.py", "auth.py", "payload.py", "outcomes.py", "client.py"}

WIRE = {"grpc", "google", "buf", "nuncio"}
FORBIDDEN = {  # room -> packages and sibling rooms that its files leave alone
    "domain": WIRE | {"asyncpg", "api", "storage", "clients", "providers", "http2"},
    "api": {"asyncpg", "storage", "clients", "providers", "http2"},
    "storage": WIRE | {"api", "clients", "providers", "http2"},
    "clients": {"asyncpg", "api", "storage", "providers", "http2"},
    # google is google-auth here, the vendor's own library for the service account.
    "providers": (WIRE - {"google"}) | {"asyncpg", "api", "storage", "clients"},
    "http2": WIRE | {"asyncpg", "domain", "providers"},
}
DOMAIN_MAY_TAKE = {"nuncio_runtime.errors", "nuncio_runtime.clock", "nuncio_runtime.secret"}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def service_files() -> list[Path]:
    return [path for path in python_files("services") if "src" in path.parts]


def package_of(path: Path) -> str:
    """nuncio_registry for any file below services/registry/src/nuncio_registry."""
    return path.parts[path.parts.index("src") + 1]


def room_of(path: Path) -> str:
    """The folder right below the package; empty for app.py, config.py and __main__.py."""
    inside = path.parts[path.parts.index("src") + 2 : -1]
    return inside[0] if inside else ""


def imported_modules(path: Path) -> Iterator[str]:
    """Absolute names of everything the file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            assert node.level == 0, f"{path}: relative import"
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> set[str]:
    """Top-level packages, and sibling rooms by their bare name."""
    own = package_of(path)
    found = set()
    for module in imported_modules(path):
        parts = module.split(".")
        found.add(parts[0])
        if parts[0] == own and len(parts) > 1:
            found.add(parts[1])
    return found


@pytest.mark.parametrize("path", service_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_keep_their_arrows(path: Path) -> None:
    broken = imports_of(path) & FORBIDDEN.get(room_of(path), set())
    assert not broken, f"{room_of(path)}/ must not import {sorted(broken)}"


@pytest.mark.parametrize("path", service_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_services_never_import_one_another(path: Path) -> None:
    others = {f"nuncio_{name}" for name in SERVICES} - {package_of(path)}
    assert not imports_of(path) & others


@pytest.mark.parametrize("path", service_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_domain_takes_little_of_the_runtime(path: Path) -> None:
    if room_of(path) != "domain":
        return
    taken = {m for m in imported_modules(path) if m.startswith("nuncio_runtime")}
    loose = {
        m for m in taken if not any(m == ok or m.startswith(f"{ok}.") for ok in DOMAIN_MAY_TAKE)
    }
    assert not loose


@pytest.mark.parametrize("service", SERVICES)
def test_services_have_the_same_furniture(service: str) -> None:
    home = ROOT / "services" / service
    package = home / "src" / f"nuncio_{service}"
    for name in ("README.md", "Dockerfile", "pyproject.toml"):
        assert (home / name).is_file(), f"services/{service}/{name}"
    for name in ("__main__.py", "config.py", "app.py", "storage/schema.sql"):
        assert (package / name).is_file(), f"{package.name}/{name}"
    rooms = {p.name for p in package.iterdir() if p.is_dir() and p.name != "__pycache__"}
    allowed = ROOMS if service == "dispatcher" else ROOMS - ONLY_IN_DISPATCHER
    assert rooms <= allowed
    assert {"api", "domain", "storage"} <= rooms


@pytest.mark.parametrize("provider", PROVIDERS)
def test_providers_have_the_same_files(provider: str) -> None:
    folder = ROOT / "services/dispatcher/src/nuncio_dispatcher/providers" / provider
    assert {path.name for path in folder.glob("*.py")} >= PROVIDER_FILES


@pytest.mark.parametrize("path", python_files("packages/runtime", "packages/simulator"), ids=str)
def test_packages_below_the_services_know_none_of_them(path: Path) -> None:
    names = {module.split(".")[0] for module in imported_modules(path)}
    assert not names & {f"nuncio_{name}" for name in SERVICES}
    if "nuncio_runtime" in path.parts:
        assert not any(module.startswith("nuncio.") for module in imported_modules(path))


@pytest.mark.parametrize("path", service_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_servicers_leave_errors_to_the_interceptor(path: Path) -> None:
    if room_of(path) != "api":
        return
    tree = ast.parse(path.read_text())
    handlers = [n for n in ast.walk(tree) if isinstance(n, ast.Try) and n.handlers]
    assert not handlers, f"except in {path.name}, line {handlers[0].lineno}"


def test_every_error_reason_is_in_the_contract() -> None:
    known = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name}
    used = {}
    for path in python_files("services", "packages/runtime/src"):
        for reason in re.findall(r'^    reason = "(\w+)"', path.read_text(), re.MULTILINE):
            used[reason] = path
    unknown = {reason: str(path) for reason, path in used.items() if reason not in known}
    assert not unknown


def test_sql_lives_in_sql_files() -> None:
    statement = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|DELETE FROM|UPDATE \w+ SET)\b")
    found = [
        str(path.relative_to(ROOT))
        for path in service_files()
        if statement.search(path.read_text()) and path.name != "predicate.py"
    ]
    assert not found


def test_all_members_are_installed_by_make() -> None:
    listed = set(
        re.findall(r'^  "((?:packages|services)/\w+)",$', read("pyproject.toml"), re.MULTILINE)
    )
    present = {
        str(path.parent.relative_to(ROOT))
        for path in [
            *ROOT.glob("packages/*/pyproject.toml"),
            *ROOT.glob("services/*/pyproject.toml"),
        ]
    }
    assert listed == present
    makefile = read("Makefile")
    assert all(member in makefile for member in present)


def test_nothing_is_committed_that_must_not_be() -> None:
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    assert "uv.lock" not in files
    present = [ROOT / name for name in files if name and (ROOT / name).is_file()]
    large = [path.name for path in present if path.stat().st_size > 1 << 20]
    assert not large


def read(name: str) -> str:
    return (ROOT / name).read_text()
