"""A folder of files that nobody but this user can have written, and that show damage."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

try:
    import grp
    import pwd
except ImportError:     # Windows
    pass

DIGEST = hashlib.sha256().digest_size


class UnsafeError(Exception):
    """Another user may have written what would be loaded."""


class Folder:
    """A folder for code: of this user, as all its files, and not to be written by anyone else.

    As nobody else can change anything in it, what was checked stays as it was.

    Parameters
    ----------
    path : Path
        Made with what is missing above it, for this user alone.

    Raises
    ------
    UnsafeError
        If it, or a folder above it, is somebody else's or may be written by others.
    OSError
        If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():       # not as `parents=True` does, with modes that the umask leaves
            for each in (*reversed(path.absolute().parents), path):
                if not each.exists():
                    each.mkdir(mode=0o700, exist_ok=True)
        self.path = path.resolve(strict=True)
        for each in (self.path, *self.path.parents):
            _check(each, os.stat(each), above=each != self.path)

    def read(self, name: str) -> bytes | None:
        """Return what `write` wrote; None if it is not there, or damaged.

        Raises
        ------
        UnsafeError
            If the file is somebody else's, may be written by others, or is a link.
        """
        path = self.path / name
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        if path.is_symlink():
            raise UnsafeError(f"{path} is a link")
        try:
            handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            return None
        with open(handle, "rb") as file:
            _check(path, os.fstat(handle))
            data = file.read()
        digest, data = data[:DIGEST], data[DIGEST:]
        return data if hashlib.sha256(data).digest() == digest else None

    def write(self, name: str, data: bytes) -> None:
        """Write a file for `read`, whole or not at all."""
        self.put(name, hashlib.sha256(data).digest() + data)

    def put(self, name: str, data: bytes) -> None:
        """Write a file as it is, whole or not at all."""
        handle, temporary = tempfile.mkstemp(dir=self.path, suffix=".tmp")  # for this user alone
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, self.path / name)
        except OSError:
            os.unlink(temporary)
            raise


def _check(path: Path, found: os.stat_result, above: bool = False) -> None:
    """Raise an error for what another user may have written; the administrator may write all."""
    if sys.platform == "win32":     # has no such modes; folders of a profile are the user's
        return
    user = os.geteuid()
    if found.st_uid not in (0, user):
        raise UnsafeError(f"{path} belongs to another user ({found.st_uid})")
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if above and (found.st_mode & stat.S_ISVTX or
                  (others == stat.S_IWGRP and _is_alone(found.st_gid, user))):
        return      # of /tmp: nobody moves what is another's
    if others:
        raise UnsafeError(f"{path} may be written by other users")
    if not (above or stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise UnsafeError(f"{path} is not a file")


def _is_alone(group: int, user: int) -> bool:
    """Return whether a group is the one that many systems give a user of their own."""
    try:
        name = pwd.getpwuid(user).pw_name
        found = grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}
