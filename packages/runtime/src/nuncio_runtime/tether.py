"""A process that ends with the one that started it, however that one ended, by kill -9 too.

Standard input is a pipe or a socket whose other end only the starter holds: the kernel closes it
with the starter.
"""

import os
import signal
import threading
import time


def end_with_starter(*, grace: float) -> None:
    """From now on: once standard input ends, ask this process to end; after the grace, make it.

    grace: in seconds. Whoever holds the other end writes nothing.
    """
    threading.Thread(target=_wait_for_the_end, args=(grace,), daemon=True).start()


def _wait_for_the_end(grace: float) -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.kill(os.getpid(), signal.SIGKILL)
