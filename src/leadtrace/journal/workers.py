"""Workers that live: each holds a lock on a file of its own, which the kernel lets go with the process.

A claim names its worker. Only a lock that is free means that the worker died, and that its claims are nobody's: no clock,
no process id that another process may have by now, and no lease that runs out under a sender that is merely slow.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Worker"]


class Worker:
    """This process as a worker of that folder; a forked child is another one. `folder` None: of this process alone."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._token = ""
        self._file = -1

    @property
    def token(self) -> str:
        """The name of this worker; from the first look on it is seen to live."""
        with self._lock:
            if not self._token:
                token = secrets.token_hex(8)
                if self._folder is not None:
                    self._file = self._hold(self._folder, token)
                self._token = token
            return self._token

    def _hold(self, folder: Path, token: str) -> int:
        """Locked under another name first: nobody may meet the file and find its lock free."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = folder / f".{token}"
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(draft, folder / token)
        except BaseException:
            os.close(file)
            draft.unlink(missing_ok=True)
            raise
        return file

    def alive(self, token: str) -> bool:
        """Whether that worker lives; the file of one that does not is cleared away."""
        if token == self._token:
            return True
        if self._folder is None or not token:
            return False
        try:
            file = os.open(self._folder / token, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            (self._folder / token).unlink(missing_ok=True)
            return False
        finally:
            os.close(file)

    def close(self) -> None:
        """Live no more: what this worker claims and has not settled is free for others."""
        with self._lock:
            if self._file >= 0 and self._folder is not None:
                (self._folder / self._token).unlink(missing_ok=True)
                os.close(self._file)
            self._token, self._file = "", -1

    def after_fork(self) -> None:
        """In a child: the parent's lock stays the parent's, which it would not while the child has the file open."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
        self._renew()
