"""Opening files of users: regular ones, since pipes and devices may never come to an end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def opened(path: Path) -> BinaryIO:
    """Return a file opened for reading bytes; raise OSError for anything but a regular file.

    Nothing is waited for: a pipe nobody writes to is refused like one that is written to.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    stream = os.fdopen(os.open(path, flags), "rb")
    mode = os.fstat(stream.fileno()).st_mode
    if stat.S_ISREG(mode):
        return stream
    stream.close()
    kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    words = "it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file"
    raise OSError(kind, words, str(path))
