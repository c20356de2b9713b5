"""Files that stay as they are while they are looked at: a lease of the system (fcntl(2), F_SETLEASE; Linux only).

Who looks at a page of a mapped file that lies behind the file's end is killed by a signal. So a file that anybody may
cut short can be mapped only where nobody can do so meanwhile: under a lease, whoever opens the file to write to it, or
truncates it, waits until the lease is given back (at most /proc/sys/fs/lease-break-time, 45 seconds). A file that
somebody has open to write to gets none, nor does one of another user, or on a file system without leases (NFS).
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LEASES = sys.platform == "linux"
"""Whether this system has leases."""

if sys.platform == "linux":
    import fcntl

    @contextmanager
    def leased(descriptor: int) -> Iterator[None]:
        """Keep an open file as it is inside the block. Raises OSError where the system gives no lease.

        The descriptor must be one of its own: a lease belongs to what open(2) gave, duplicates and forked children
        included.
        """
        # Who waits is announced by a signal; of the default one (SIGIO) a process dies, this one it ignores.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        try:
            yield
        finally:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def lease_stands(descriptor: int) -> bool:
        """Tell whether nobody waits for the lease to be given back."""
        return fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_RDLCK

else:

    @contextmanager
    def leased(descriptor: int) -> Iterator[None]:
        """Raise OSError: this system has no leases."""
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        yield

    def lease_stands(descriptor: int) -> bool:
        """Return False."""
        return False
