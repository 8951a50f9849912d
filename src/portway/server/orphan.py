"""A child process that does not outlive its parent, even where neither of them can act any more.

A child whose parent was killed sees the end of its socket and ends by itself. One that is frozen then
(stopped, or stuck) sees nothing and would keep the store open for ever. So on Linux the kernel is asked
to kill it in the moment in which its parent ends. Elsewhere there is only the end of the socket.
"""

import ctypes
import os
import signal
import socket
import struct
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_CREDENTIALS: Final = struct.Struct("3i")


def die_with_parent(connection: socket.socket) -> None:
    """Die with the process that made this socket pair and then started us; die now if it is gone already.

    Raises OSError if the kernel refuses. Call it on the main thread, before anything is written.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    # It may have died before that call, and then nothing will tell us.
    maker = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )[0]
    if os.getppid() != maker:
        os.kill(os.getpid(), signal.SIGKILL)
