"""Every error that portway raises.

::

    PortwayError                   never raised itself
    ├── Error                      the service refused; has a code such as ERR_NGROK_107
    │   ├── NotFound               the thing does not exist for this caller
    │   ├── RefusedSession         an agent was refused, of whom it is known whose it is
    │   └── StoreUnavailable       the store is full, read-only, away or busy: nothing was done
    ├── LocalProtocolError         we broke the rules of a protocol: a bug on our side
    ├── RemoteProtocolError        the peer of a session broke them; says the GOAWAY code
    ├── MessageError               a control message is malformed; says which key
    ├── DocumentError              a text is no YAML or JSON that is read; says the place
    ├── HttpError                  a visitor or an upstream broke HTTP; says the status to answer
    ├── StreamLimit                the session bears no further stream now
    ├── StreamReset                a stream was cut by the other end
    ├── SessionClosed              the session is over
    ├── ListenerClosed             the endpoint is over, nothing more can be accepted
    ├── NotConnected               the agent has no session and may not make one
    ├── AlreadyConnected           connect() was called on an agent that is connected
    ├── ConnectError               a connection could not be made; says at which step
    │   └── DiagnoseFailure        ... in a diagnosis; has what it found out (agent/diagnose.py)
    └── ConfigError                an option, a flag, a variable or a file is wrong

Blame: Local… is ours, Remote… is the peer's, Error is the service's decision, ConnectError is
the world's, ConfigError is the user's.
"""

import re

_CODE = re.compile(r"ERR_NGROK_\d+")


class PortwayError(Exception):
    """Base of all errors of portway; never raised itself."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what it says, not what it was made of: errors go from process to process."""
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(kind: type[PortwayError], args: tuple[object, ...]) -> PortwayError:
    return kind.__new__(kind, *args)


class Error(PortwayError):
    """The service refused a request.

    ``str(error)`` is the service's text as it travels: the message, a blank line, then the code
    alone on a line (docs/spec/wire.md, Errors).
    """

    def __init__(self, message: str, code: str | int = "") -> None:
        """Make an error from a message and a code: 107, "ERR_NGROK_107" or "" for none."""
        self.message = message
        self.code = f"ERR_NGROK_{code}" if isinstance(code, int) else code
        super().__init__(f"{message}\r\n\r\n{self.code}\r\n" if self.code else message)

    @classmethod
    def parse(cls, text: str) -> "Error":
        """Read the text form. The code is its first ERR_NGROK_n; the other lines are the message."""
        found = _CODE.search(text)
        lines = [line.strip() for line in text.splitlines()]
        error = cls(
            "\n".join(line for line in lines if line and not _CODE.search(line)),
            found.group() if found else "",
        )
        error.args = (text,)
        return error


class NotFound(Error):
    """The thing does not exist for this caller: it never did, is gone, or belongs to somebody else.

    Which of the three must not show, so it has one text.
    """

    def __init__(self, message: str = "Resource not found", code: str | int = "") -> None:
        """Make an error; say more only where that tells nothing of what others have."""
        super().__init__(message, code)


class RefusedSession(Error):
    """An agent was refused, of whom it is known whose it is: the account may be told of it."""

    def __init__(self, message: str, code: str | int, account_id: str, credential_id: str) -> None:
        """Take also the account and the credential that it came with."""
        super().__init__(message, code)
        self.account_id = account_id
        self.credential_id = credential_id


class StoreUnavailable(Error):
    """The store cannot be read or written now: it is full, read-only, away or busy.

    Nothing of what was asked is done. It may pass: the API answers 503, the data plane gets Error 128.
    """

    def __init__(self, message: str = "The store cannot be used now; try again in a moment.") -> None:
        """Make the error; the cause is chained and logged, not told."""
        super().__init__(message)


class LocalProtocolError(PortwayError):
    """Our own side broke the rules of a protocol. Always a bug."""


class RemoteProtocolError(PortwayError):
    """The peer of a session broke the wire protocol; the session ends.

    ``code`` is the GOAWAY code to answer with (docs/spec/wire.md, Error codes).
    """

    def __init__(self, code: int, message: str) -> None:
        """Make a fault with its GOAWAY code."""
        super().__init__(message)
        self.code = code


class MessageError(PortwayError):
    """The peer sent a control message that cannot be understood. The request fails, the session lives.

    The text is a safe sentence of one line that names the key, so it may be sent back to the peer.
    """


class DocumentError(PortwayError):
    """A text is no YAML or JSON that may be read: it breaks the form or a bound.

    ``message`` is a safe sentence; ``line`` and ``column`` say where, from 1. Whoever asked for the document
    says which one it was.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        """Make an error with its place."""
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column


class HttpError(PortwayError):
    """An HTTP message that cannot be served.

    ``status`` is the answer for the visitor, ``reason`` a safe sentence for it.
    """

    def __init__(self, status: int, reason: str) -> None:
        """Make an error with the status to answer and a sentence that may be shown."""
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class StreamLimit(PortwayError):
    """The session bears no further stream now; another member may."""


class StreamReset(PortwayError):
    """A stream was cut by its other end. ``code`` is the wire's reset code."""

    def __init__(self, code: int) -> None:
        """Make an error with the wire's reset code."""
        super().__init__(f"stream reset, code {code}")
        self.code = code


class SessionClosed(PortwayError):
    """The session has ended."""


class ListenerClosed(PortwayError):
    """The endpoint has ended; nothing more can be accepted from it."""


class NotConnected(PortwayError):
    """The agent has no session, and may not or could not make one."""


class AlreadyConnected(PortwayError):
    """``connect()`` was called on an agent that is connected: one agent has one session."""


class ConnectError(PortwayError):
    """A connection could not be made.

    ``step`` is "tcp", "proxy", "tls" or "muxado"; the cause is chained.
    """

    def __init__(self, step: str, message: str) -> None:
        """Make an error that names the failing step."""
        super().__init__(message)
        self.step = step


class ConfigError(PortwayError):
    """An option, flag, variable or file is wrong. The text says where and what to do."""
