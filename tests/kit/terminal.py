"""A program on a terminal of a given size, and what a person would see there."""

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from typing import Any

import pyte

from tests.kit.product import clean_environment

STOP = 20.0
"""Seconds that the program may take to end."""


class Terminal:
    """`portway …` on a pseudo terminal, its escape sequences understood by a terminal emulator."""

    def __init__(
        self, *command: str, columns: int = 110, rows: int = 30, environ: Mapping[str, str] | None = None
    ) -> None:
        """Start the command line."""
        self._screen: Any = pyte.Screen(columns, rows)
        self._stream: Any = pyte.ByteStream(self._screen)
        self.raw = b""
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "portway.cli.main", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=clean_environment() | {"TERM": "xterm-256color"} | dict(environ or {}),
            start_new_session=True,
        )
        os.close(slave)

    def text(self) -> str:
        """Return what the screen shows now."""
        self._read()
        return "\n".join(line.rstrip() for line in self._screen.display)

    def resize(self, columns: int, rows: int = 30) -> None:
        """Make the window another size, as its owner does with the mouse."""
        self._read()
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def interrupt(self) -> int:
        """Press Ctrl+C; return the exit status."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; return the exit status."""
        try:
            status = self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the program does not end; it shows:\n{self.text()}") from None
        self._read()
        return status

    def close(self) -> None:
        """End the program if it runs, and give the terminal back."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    def _read(self) -> None:
        while select.select([self._master], [], [], 0)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: the program has gone and everything was read
                return
            if not data:
                return
            self.raw += data
            self._stream.feed(data)
