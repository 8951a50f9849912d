"""What is said to a proxy until the way is open: CONNECT (RFC 9110 section 9.3.6) or SOCKS5 (RFC 1928).

A conversation knows no socket: it says what to send first, is fed what the proxy answers, piece by piece,
and says what to send next, until it is done or raises. The host's name goes to the proxy as it is: it is
never resolved here. User and password never stand in a text; nor does anything that a proxy wrote.
"""

import re
from base64 import b64encode
from http import HTTPStatus
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final

from portway.errors import ConnectError
from portway.net.proxy_url import Proxy, authority

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_LIMIT: Final = 16_384
"""Bytes that an HTTP proxy's answer may have, 1xx answers before it included."""

_UNSAFE = re.compile(r"[^\x21-\x7e]")


class Conversation:
    """What is said to a proxy until the way is open; pure. Raises ConnectError("proxy") for a refusal."""

    def __init__(self, proxy: Proxy) -> None:
        """Begin nothing yet."""
        self.proxy = proxy
        self.done = False
        """Whether the proxy has connected us."""
        self._held = bytearray()

    def begin(self) -> bytes:
        """Return what to send first."""
        raise NotImplementedError

    def feed(self, data: bytes) -> bytes:
        """Take what the proxy said; return what to send next, maybe nothing. Not after `done`."""
        raise NotImplementedError

    @property
    def rest(self) -> bytes:
        """What came behind the proxy's last word: it comes from the host. Only when `done`."""
        return bytes(self._held)

    def refusal(self, text: str) -> ConnectError:
        """Return the error that says so of this proxy."""
        return ConnectError("proxy", f"the proxy {self.proxy} {text}")

    def __repr__(self) -> str:
        """Show the proxy and whether it has connected us."""
        return f"<{type(self).__name__} {self.proxy}{' done' if self.done else ''}>"


_VERSION: Final = b"HTTP/1."
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")
_BLANK = re.compile(rb"\r?\n\r?\n")  # a single LF may end a line: RFC 9112 section 2.2


class HttpConnect(Conversation):
    """A CONNECT request and its answer. Whatever its fields say, an answer 2xx has no body."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        """Be about to ask for `host`:`port`."""
        super().__init__(proxy)
        self._where = authority(_ascii(host), port)
        self._spent = 0  # bytes of 1xx answers

    def begin(self) -> bytes:
        """Return the request."""
        lines = [f"CONNECT {self._where} HTTP/1.1", f"Host: {self._where}"]
        if self.proxy.has_login:
            login = b64encode(f"{self.proxy.user}:{self.proxy.password}".encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {login}")
        return "\r\n".join([*lines, "", ""]).encode()

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the answer; there is nothing more to send."""
        held = self._held
        start = max(0, len(held) - 3)
        held += data
        while not self.done and (end := _BLANK.search(held, start)):
            self._judge(bytes(held[: end.start()]), self._spent + end.end())
            self._spent += end.end()
            del held[: end.end()]
            start = 0
        if not self.done:
            if not _VERSION.startswith(bytes(held[: len(_VERSION)])):
                raise self._not_http()
            self._bound(self._spent + len(held))
        return b""

    def _judge(self, head: bytes, size: int) -> None:
        """Look at one whole head: an interim answer, consent, or a refusal."""
        found = _STATUS.fullmatch(head.partition(b"\n")[0].removesuffix(b"\r"))
        if found is None:
            raise self._not_http()
        self._bound(size)
        status = int(found[1])
        if 200 <= status < 300:
            self.done = True
        elif status >= 200 or status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise self.refusal(f"answered {_named(status)}: {self._advice(status)}")

    def _bound(self, size: int) -> None:
        if size > HEAD_LIMIT:
            raise self.refusal(f"answered with a head of more than {HEAD_LIMIT} bytes")

    def _not_http(self) -> ConnectError:
        return self.refusal("does not answer in HTTP: check the scheme and the port of its URL")

    def _advice(self, status: int) -> str:
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            if self.proxy.has_login:
                return "it refuses the user and password of its URL (sent as Basic authentication)"
            return "put user:password@ before the host in its URL"
        if status in (HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED):
            return f"it does not allow CONNECT to {self._where}; its administrator may"
        if status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT):
            return f"it cannot reach {self._where}; check the connect URL"
        return f"it did not connect to {self._where}; check that its URL is a proxy's"


_NO_LOGIN, _LOGIN, _NOTHING_FITS = 0, 2, 255
_IPV4, _NAME, _IPV6 = 1, 3, 4
_REPLIES: Final = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


class Socks5(Conversation):
    """The choice of a method, perhaps a login, then the request and its reply."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        """Be about to ask for `host`:`port`."""
        super().__init__(proxy)
        self._where = authority(_ascii(host), port)
        self._request = b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2, "big")
        self._step: Callable[[bytearray], bytes | None] = self._method

    def begin(self) -> bytes:
        """Return the greeting: which methods we offer."""
        return bytes((5, 2, _NO_LOGIN, _LOGIN) if self.proxy.has_login else (5, 1, _NO_LOGIN))

    def feed(self, data: bytes) -> bytes:
        """Take a piece of what the proxy says; return our next word."""
        self._held += data
        sent = b""
        while not self.done and (answer := self._step(self._held)) is not None:
            sent += answer
        return sent

    def _method(self, held: bytearray) -> bytes | None:
        """Read which method the proxy has chosen. None, here and below: more is needed."""
        self._expect(held, 5)
        if len(held) < 2:
            return None
        chosen = held[1]
        del held[:2]
        if chosen == _NO_LOGIN:
            self._step = self._reply
            return self._request
        if chosen == _LOGIN and self.proxy.has_login:
            self._step = self._status
            user, password = self.proxy.user.encode(), self.proxy.password.encode()
            return bytes((1, len(user))) + user + bytes((len(password),)) + password
        if self.proxy.has_login or chosen not in (_LOGIN, _NOTHING_FITS):
            raise self.refusal("wants a login of another kind than user and password")
        raise self.refusal("wants a login: put user:password@ before the host in its URL")

    def _status(self, held: bytearray) -> bytes | None:
        """Read whether the login is accepted (RFC 1929)."""
        self._expect(held, 1)
        if len(held) < 2:
            return None
        if held[1]:
            raise self.refusal("refuses the user and password of its URL")
        del held[:2]
        self._step = self._reply
        return self._request

    def _reply(self, held: bytearray) -> bytes | None:
        """Read the reply; its address, of any kind, is of no interest."""
        self._expect(held, 5)
        if len(held) > 1 and held[1]:  # some send no more than this
            reason = _REPLIES.get(held[1], "a reply that SOCKS5 does not have")
            raise self.refusal(f"answered {held[1]} ({reason}) to CONNECT to {self._where}")
        if len(held) < 5:
            return None
        kind = held[3]
        if kind not in (_IPV4, _NAME, _IPV6):
            raise self.refusal(f"sent a malformed reply: address type {kind}")
        size = 6 + {_IPV4: 4, _IPV6: 16, _NAME: 1 + held[4]}[kind]
        if len(held) < size:
            return None
        del held[:size]
        self.done = True
        return b""

    def _expect(self, held: bytearray, version: int) -> None:
        if held and held[0] != version:
            raise self.refusal("does not answer in SOCKS5: check the scheme and the port of its URL")


def _named(status: int) -> str:
    """Return the status with its standard words; those of the proxy may say anything."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _ascii(host: str) -> str:
    """Return a host as it travels. Raises ConnectError("proxy") for one that would break the request."""
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not name or len(name) > 255 or _UNSAFE.search(name):
        raise ConnectError("proxy", f"a proxy cannot be asked for {host!r}: that is no host's name")
    return name


def _socks_address(host: str) -> bytes:
    name = _ascii(host)
    try:
        address = ip_address(name)
    except ValueError:
        return bytes((_NAME, len(name))) + name.encode()
    return bytes((_IPV4 if isinstance(address, IPv4Address) else _IPV6,)) + address.packed


def conversation_with(proxy: Proxy, host: str, port: int) -> Conversation:
    """Return the conversation that asks `proxy` for `host`:`port`. Raises ConnectError for a bad host."""
    kind = HttpConnect if proxy.scheme in ("http", "https") else Socks5
    return kind(proxy, host, port)
