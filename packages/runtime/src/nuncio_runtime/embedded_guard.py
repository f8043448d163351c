"""The process that stands between an embedded PostgreSQL and its users.

It is the server's parent, in a session of its own: a Ctrl-C meant for the users does not reach
the server, and when the last user is gone, killed perhaps, the server is stopped. It imports
little, because every embedded server has one.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from nuncio_runtime.locks import locked, try_lock


def main(argv: list[str]) -> None:
    """Run the server until it ends or its last user does.

    argv: the cluster's folder, the descriptor that carries the server lock, the user and group
    to run as, then the server's command line.
    """
    folder, lock, user, group, *command = argv
    if os.fork():
        # The caller has no child to wait for, and the guard no parent to die with.
        os._exit(0)
    server = subprocess.Popen(  # noqa: S603 - the command line is our own
        command,
        pass_fds=(int(lock),),
        stdin=subprocess.DEVNULL,
        # Only root can, and must, become somebody else.
        user=None if os.geteuid() else int(user),
        group=None if os.geteuid() else int(group),
        extra_groups=None if os.geteuid() else [],
    )
    threading.Thread(target=_end_with, args=(server,), daemon=True).start()
    _stop_after_last_user(Path(folder), server)


def _stop_after_last_user(folder: Path, server: "subprocess.Popen[bytes]") -> None:
    while True:
        with locked(folder / "alive"):
            pass  # Nobody is alive, or nobody was for a moment.
        with locked(folder / "lock"), (folder / "users").open("ab") as users:
            if try_lock(users):
                server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown.
                threading.Event().wait()  # Until _end_with ends us, with the lock held.


def _end_with(server: "subprocess.Popen[bytes]") -> None:
    os._exit(server.wait())


if __name__ == "__main__":
    main(sys.argv[1:])
