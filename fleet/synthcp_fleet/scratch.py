"""A folder for one task on this machine, which is gone after it, even when its worker was killed.

Whoever works in it holds a lock, and the system takes the lock from a process that dies. What nobody holds any
more is removed by the next task here.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

PREFIX = "synthcp-fleet-"


def _locked(folder: Path) -> int | None:
    """The lock of a folder, unless somebody holds it or it is gone."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink > 0 and folder.exists():
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{PREFIX}*"):
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextmanager
def scratch():
    """An empty folder under TMPDIR."""
    base = Path(tempfile.gettempdir())
    _sweep(base)
    lock = None
    while lock is None:
        # Between its making and its locking another task may have swept it away.
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        lock = _locked(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
