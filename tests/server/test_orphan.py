"""A child that dies with its parent, frozen or not, and one that comes too late."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.kit.eventually import eventually
from tests.kit.product import Service

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's end"
)

PARENT = """
import os, signal, socket
from portway.server.orphan import die_with_parent
ours, theirs = socket.socketpair()
ready, told = os.pipe()
child = os.fork()
if not child:
    die_with_parent(theirs)
    os.write(told, b"x")
    os.kill(os.getpid(), signal.SIGSTOP)
os.read(ready, 1)
print(child, flush=True)
signal.pause()
"""


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_frozen_child_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        eventually(lambda: psutil.Process(child).status() == psutil.STATUS_STOPPED, "the child is frozen")
        parent.kill()
    eventually(lambda: is_gone(child), "the frozen child is dead")


def test_a_child_that_comes_too_late_dies_at_once() -> None:
    """The socket says who made it; that is not this process's parent."""
    code = (
        "import os, socket, sys\n"
        "from portway.server.orphan import die_with_parent\n"
        "die_with_parent(socket.socket(fileno=int(sys.argv[1])))\n"
        "print('alive')\n"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        descriptor = theirs.fileno()

        def run(*wrapper: str) -> "subprocess.CompletedProcess[bytes]":
            command = [*wrapper, sys.executable, "-c", code, str(descriptor)]
            return subprocess.run(command, pass_fds=[descriptor], capture_output=True, check=False)

        assert run().stdout == b"alive\n"
        # A shell between us is its parent then, as init would be of an orphan.
        assert run("/bin/sh", "-c", '"$@"; echo $?', "sh").stdout == b"137\n"


def test_no_controller_is_left_when_a_service_is_killed_while_it_is_frozen(tmp_path: Path) -> None:
    service = Service(tmp_path)
    try:
        service.start()
        (controller,) = psutil.Process(service.pid).children()
        controller.send_signal(signal.SIGSTOP)
        eventually(lambda: controller.status() == psutil.STATUS_STOPPED, "the controller is frozen")
        os.kill(service.pid, signal.SIGKILL)
        eventually(lambda: is_gone(controller.pid), "the controller is gone")
    finally:
        service.kill()
