"""Endpoint URLs: one grammar for the command line, the SDK and the service.

::

    url     = "" | scheme "://" | [ scheme "://" ] host [ ":" port ]
    scheme  = "http" | "https" | "tcp" | "tls"
    host    = [ "*." ] label *( "." label ) [ "." ]

Nothing, or a scheme alone, asks for a random host. A bare host takes the default scheme. Hosts
are folded: lower case, Unicode labels to punycode (RFC 3492), one trailing dot dropped. A port
that is the scheme's default is not written. User information, a path, a query and a fragment are
refused, never ignored: an endpoint is a place to listen, not a resource.

The service shows visitors its *public* port of a scheme. Given ``public_ports``, a URL may name no
port, the public one or the scheme's default; all become the public one.

Every refusal is an :class:`portway.errors.Error` with the code of its cause.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from portway.errors import Error

Binding = Literal["public", "internal", "kubernetes"]

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "tls": 443}
SCHEMES: Final = ("http", "https", "tcp", "tls")
LABEL_LIMIT: Final = 63
HOST_LIMIT: Final = 253
INTERNAL_SUFFIX: Final = ".internal"
INTERNAL_DEPTH: Final = 5
"""Labels that may stand before ``.internal``."""

_SCHEME: Final = re.compile(r"([^/?#@\[\]]*?)://(.*)", re.DOTALL)
_SPLIT: Final = re.compile(r"[/?#\\]")
_LABEL_CHARACTERS: Final = re.compile(r"[a-z0-9-]*", re.ASCII)
_DOTS: Final = str.maketrans("。．｡", "...")


class Url(msgspec.Struct, frozen=True):
    """Where an endpoint is reached. ``host`` is "" while it is still to be chosen at random.

    ``port`` is always a number: the scheme's default where none was named, 0 for a random tcp one.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return ``scheme://host[:port]``, without the scheme's default port."""
        if not self.host or self.port == DEFAULT_PORTS.get(self.scheme):
            return f"{self.scheme}://{self.host}"
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def hostport(self) -> str:
        """``host:port``, the port always written."""
        return f"{self.host}:{self.port}"

    @property
    def is_random(self) -> bool:
        """The host is left to the service."""
        return not self.host

    @property
    def is_wildcard(self) -> bool:
        """The URL stands for every name below its host."""
        return self.host.startswith("*.")

    @property
    def is_internal(self) -> bool:
        """The host ends in ``.internal``, so the binding is internal unless said otherwise."""
        return self.host.endswith(INTERNAL_SUFFIX)


def parse_endpoint_url(
    text: str,
    default_scheme: str = "https",
    *,
    binding: Binding | None = None,
    public_ports: Mapping[str, int] | None = None,
) -> Url:
    """Read what a user asked for and fold it into one form.

    ``binding`` None is inferred from the host. ``public_ports`` (scheme to port) makes the port
    rules of the public binding apply; without it any port is taken, which is what an agent does:
    only the service knows its ports.

    Raises Error 9028–9039 and 9041 for the form, 326–330, 347, 355, 396, 397, 402, 403 for the host.
    """
    asked = text.strip()
    scheme, rest = _split_scheme(asked, default_scheme)
    authority = _only_authority(asked, scheme, rest)
    name, port = _split_port(asked, authority)
    host = normal_host(name) if name else ""
    if not host and port is not None:
        raise Error(f"The URL {asked!r} has a port but no host.", 9034)
    url = Url(scheme, host, DEFAULT_PORTS.get(scheme, 0) if port is None else port)
    return _judge(url, asked, binding, named_port=port, public_ports=public_ports)


def normal_host(name: str) -> str:
    """Fold a host name and check it; ``*`` may be the whole first label.

    Raises Error 326–330, 347, 355, 396, 397, 402 or 403.
    """
    folded = name.translate(_DOTS).lower().removesuffix(".")
    labels = folded.split(".")
    if "" in labels:
        if labels[0] == "" and ".." not in folded:
            raise Error(f"The domain {name!r} may not start with a dot.", 328)
        raise Error(f"The domain {name!r} has an empty label: two dots in a row.", 327)
    wildcard = labels[0] == "*" and len(labels) > 1
    host = ".".join([*["*"][:wildcard], *(_label(label, name) for label in labels[wildcard:])])
    if len(host) > HOST_LIMIT:
        raise Error(f"The domain is {len(host)} characters long; {HOST_LIMIT} are allowed.", 397)
    return host


def _split_scheme(text: str, default: str) -> tuple[str, str]:
    """Return scheme and rest. A scheme that is no scheme of ours is refused."""
    if not text.isprintable() or " " in text:
        raise Error(f"The URL {text!r} holds a space or a control character.", 9034)
    found = _SCHEME.fullmatch(text)
    scheme, rest = (found[1].lower(), found[2]) if found else (default, text)
    if scheme not in SCHEMES:
        wanted = ", ".join(f"{each}://" for each in SCHEMES)
        raise Error(f"The scheme {scheme!r} of {text!r} is not supported; use one of {wanted}.", 9036)
    return scheme, rest


def _only_authority(text: str, scheme: str, rest: str) -> str:
    """Return host and port, refusing every other part of a URL."""
    cut = _SPLIT.search(rest)
    authority = rest[: cut.start()] if cut else rest
    if "@" in authority:
        raise Error(f"The URL {_censored(text)!r} may not hold user information.", 9037)
    if cut is None:
        return authority
    if rest[cut.start() :] == "/":
        raise Error(
            f"The URL {text!r} may not end in a slash; use {f'{scheme}://{authority}'!r} instead.", 9038
        )
    part = {"?": "a query", "#": "a fragment"}.get(cut[0], "a path")
    raise Error(f"The URL {text!r} may not have {part}; use {f'{scheme}://{authority}'!r} instead.", 9037)


def _censored(text: str) -> str:
    """Hide what may be a password: this text ends up in logs."""
    return re.sub(r"(^|//)[^/]*@", r"\1…@", text)


def _split_port(text: str, authority: str) -> tuple[str, int | None]:
    if authority.startswith("[") or authority.count(":") > 1:
        raise Error(f"{authority!r} cannot be the host of an endpoint: it is no domain name.", 9032)
    host, colon, digits = authority.partition(":")
    if not colon:
        return host, None
    if not (digits.isascii() and digits.isdigit()):
        raise Error(f"The port {digits!r} of {text!r} is not a number.", 9033)
    port = int(digits) if len(digits) < 20 else 1 << 16
    if not 1 <= port <= 65_535:
        raise Error(f"The port {digits[:20]} of {text!r} is outside 1–65535.", 9030)
    return host, port


def _label(label: str, name: str) -> str:
    """Check and fold one label that is not the wildcard."""
    if "*" in label:
        if label == "*":
            raise Error(f"The wildcard of {name!r} may only be the first label of a longer name.", 402)
        raise Error(f"The wildcard label of {name!r} must be exactly '*'.", 403)
    if "_" in label:
        raise Error(f"The domain {name!r} may not hold an underscore.", 355)
    folded = label if label.isascii() else _to_punycode(label, name)
    found = _LABEL_CHARACTERS.match(folded)
    if found is None or found.end() < len(folded):
        raise Error(f"The domain {name!r} holds a character that is not allowed.", 326)
    if folded.startswith("-"):
        raise Error(f"The label {label!r} of {name!r} may not start with a hyphen.", 328)
    if folded.endswith("-"):
        raise Error(f"The label {label!r} of {name!r} may not end with a hyphen.", 329)
    if len(folded) > LABEL_LIMIT:
        raise Error(f"A label of {name[:80]!r} is longer than {LABEL_LIMIT} characters.", 396)
    if folded[2:4] == "--":
        _check_punycode(folded, name)
    return folded


def _to_punycode(label: str, name: str) -> str:
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError as error:
        if len(label.encode("punycode")) + 4 > LABEL_LIMIT:
            raise Error(f"A label of {name[:80]!r} is longer than {LABEL_LIMIT} characters.", 396) from error
        raise Error(f"The domain {name!r} holds a character that is not allowed.", 326) from error


def _check_punycode(label: str, name: str) -> None:
    """RFC 5890 keeps hyphens in positions 3 and 4 for punycode; what follows must decode."""
    if not label.startswith("xn--"):
        raise Error(f"The label {label!r} of {name!r} has hyphens in positions 3 and 4.", 330)
    try:
        text = label[4:].encode("ascii").decode("punycode")
        same = text.encode("punycode").decode("ascii") == label[4:]
    except (UnicodeError, ValueError, OverflowError) as error:
        raise Error(f"The punycode label {label!r} of {name!r} is invalid.", 347) from error
    if not same or text.isascii() or not text.isprintable():
        raise Error(f"The punycode label {label!r} of {name!r} is invalid.", 347)


def _judge(
    url: Url,
    text: str,
    binding: Binding | None,
    *,
    named_port: int | None,
    public_ports: Mapping[str, int] | None,
) -> Url:
    """Apply the rules of the binding."""
    kind = binding or ("internal" if url.is_internal else "public")
    if url.scheme == "tcp" and url.host and named_port is None:
        raise Error(f"The URL {text!r} needs a port: tcp://HOST:PORT.", 9035)
    if kind == "internal":
        return _internal(url, text)
    if kind == "kubernetes":
        return _kubernetes(url, text)
    if url.is_internal:
        raise Error(f"The URL {text!r} ends in {INTERNAL_SUFFIX}, which is never public.", 9029)
    if public_ports is None or url.scheme == "tcp":
        return url
    public = public_ports.get(url.scheme, DEFAULT_PORTS[url.scheme])
    if url.port not in {public, DEFAULT_PORTS[url.scheme]}:
        raise Error(f"The port {url.port} is not allowed for {url.scheme}://; use {public} or none.", 9035)
    return Url(url.scheme, url.host, public)


def _internal(url: Url, text: str) -> Url:
    if not url.host:
        raise Error(f"An internal endpoint needs a host that ends in {INTERNAL_SUFFIX}.", 9028)
    if not url.is_internal:
        raise Error(f"The host of an internal endpoint must end in {INTERNAL_SUFFIX}, not {text!r}.", 9029)
    if url.host.count(".") > INTERNAL_DEPTH:
        raise Error(f"The internal host {url.host!r} has more than {INTERNAL_DEPTH} labels.", 9031)
    return url


def _kubernetes(url: Url, text: str) -> Url:
    if not url.host:
        raise Error("A kubernetes endpoint needs a host of the form NAME.NAMESPACE.", 9039)
    if url.scheme == "https":
        raise Error("A kubernetes endpoint is http, tls or tcp.", 9041)
    if url.is_wildcard or url.host.count(".") != 1:
        raise Error(f"The host of {text!r} must be NAME.NAMESPACE.", 9032)
    return url
