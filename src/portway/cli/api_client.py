"""Calls of the control API: where it is, with which key, and one request after the other.

The address, the key and the authorities are each the first that is found of: the flag; the environment
(``PORTWAY_API_URL`` and then ``NGROK_API_URL``, ``PORTWAY_API_KEY`` and then ``NGROK_API_KEY``,
``PORTWAY_CONNECT_CAS``); ``bootstrap.json``, which a service of the same user leaves in its data folder.
The key and the authorities in that file are used for that service only.

A name that ends in ``.localhost`` is this machine (RFC 6761 section 6.3), which the C library does not
know; the connection is made to the loopback address, name and certificate stay those of the URL.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from portway.agent.discovery import SYSTEM_CAS, read_bootstrap
from portway.errors import ConfigError, ConnectError, Error

TIMEOUT: Final = 30.0
"""Seconds without a byte from the API."""
ANSWER_LIMIT: Final = 64 << 20
"""Bytes of one answer."""


@dataclass(frozen=True, slots=True)
class Api:
    """A control API. ``url`` ends without a slash; ``cas`` is a file of authorities, None: the system's."""

    url: str
    key: str = field(repr=False)
    cas: str | None = None


def find(url: str | None, key: str | None, environ: Mapping[str, str], bootstrap: Path) -> Api:
    """Return the API to call. Raises ConfigError, saying what to set, when its address or key is unknown."""
    known = read_bootstrap(bootstrap)
    own_url = _own_url(known)
    address = url or environ.get("PORTWAY_API_URL") or environ.get("NGROK_API_URL") or own_url
    if not address:
        raise ConfigError(
            "no control API to call: set PORTWAY_API_URL (or --api-url) to its address, such as"
            f" https://api.example.com, or start a service on this machine (it would leave {bootstrap})"
        )
    address = address.rstrip("/")
    own = address == own_url
    token = key or environ.get("PORTWAY_API_KEY") or environ.get("NGROK_API_KEY")
    token = token or (known.get("api_key") if own else None)
    if not token:
        raise ConfigError(
            "no API key: set PORTWAY_API_KEY (or --api-key); on the service's machine"
            " `portway admin api-key add` makes one"
        )
    cas = environ.get("PORTWAY_CONNECT_CAS") or (known.get("ca_cert") if own else None)
    return Api(address, token.strip(), None if cas == SYSTEM_CAS else cas)


def call(api: Api, method: str, target: str, body: object | None = None) -> object:
    """Send one request and return the decoded answer, None for an empty one.

    ``target`` is a path with its query, or an absolute URL of this API, as paging gives them. Raises
    Error, with its code, when the API refuses, ConnectError when it cannot be reached or understood.
    """
    if target.startswith(("http://", "https://")):
        if not target.startswith(f"{api.url}/"):  # the key goes nowhere else
            raise ConnectError("http", f"the API names a page at another address: {target}")
        target = target[len(api.url) :]
    parts = urlsplit(api.url)
    headers = {"authorization": f"Bearer {api.key}", "ngrok-version": "2", "accept": "application/json"}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["content-type"] = "application/json"
    connection = _connection(api)
    try:
        connection.request(method, parts.path + target, body=data, headers=headers)
        answer = connection.getresponse()
        text = answer.read(ANSWER_LIMIT)
    except ssl.SSLError as error:
        raise ConnectError("tls", f"{api.url}: {error.reason or error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise ConnectError("tcp", f"{api.url}: {error}") from error
    finally:
        connection.close()
    return _answer(api, answer.status, text)


def _answer(api: Api, status: int, data: bytes) -> object:
    if not data and status < 300:
        return None
    try:
        value: object = json.loads(data)
    except ValueError:
        raise ConnectError(
            "http", f"{api.url} answered {status} without JSON: is it a control API?"
        ) from None
    if status < 300:
        return value
    said = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    raise Error(str(said.get("msg") or f"The API answered {status}."), str(said.get("error_code") or ""))


def _own_url(known: Mapping[str, str]) -> str | None:
    """Return the address of this machine's API: ``api`` below the service's domain, on its https port."""
    parts = urlsplit(known.get("https_url", ""))
    if not parts.hostname:
        return None
    return f"https://api.{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _connection(api: Api) -> http.client.HTTPConnection:
    parts = urlsplit(api.url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ConfigError(f"{api.url!r} is no address of an API; it looks like https://api.example.com")
    if parts.scheme == "http":
        return _Plain(host, port, timeout=TIMEOUT)
    try:
        context = ssl.create_default_context(cafile=api.cas)
    except OSError as error:
        raise ConfigError(f"{api.cas}: the authorities cannot be read: {error}") from error
    return _Secure(host, port, timeout=TIMEOUT, context=context)


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = _socket(self.host, self.port)


class _Secure(http.client.HTTPSConnection):
    def __init__(self, host: str, port: int | None, *, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._portway_context = context

    def connect(self) -> None:
        self.sock = self._portway_context.wrap_socket(
            _socket(self.host, self.port), server_hostname=self.host
        )


def _socket(host: str, port: int) -> socket.socket:
    here = host == "localhost" or host.endswith(".localhost")
    return socket.create_connection(("127.0.0.1" if here else host, port), TIMEOUT)
