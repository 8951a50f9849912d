"""The variables of expressions: every documented name, its type, and the phases that have it.

Each dotted name is a variable of its own; that is how ``req.url`` can be a text and ``req.url.path`` another.
Types are written as CEL writes them. ``docs/spec/policy.md`` lists them for people.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from portway.policy.phase import Phase

STRINGS: Final = "list(string)"
HEADERS: Final = "map(string, list(string))"
COOKIES: Final = "map(string, list(dyn))"

TERMINATED: Final = "actions.ngrok.terminate_tls"
"""What terminate-tls has agreed on. Its certificates have names that are texts and have parts, as those of
``conn.tls`` do; a map of results could not hold such."""


class Name(NamedTuple):
    """A variable: its type, what it needs, and whether only HTTP or only responses have it."""

    type: str
    needs: str = ""
    """``geo`` or ``categories``: what the operator must have set up."""


def _table(prefix: str, **types: str) -> Iterator[tuple[str, str]]:
    for kind, names in types.items():
        written = {"strings": STRINGS, "headers": HEADERS, "cookies": COOKIES}.get(kind, kind)
        for name in names.split():
            yield (f"{prefix}.{name}" if prefix else name), written


def _connection() -> Iterator[tuple[str, str]]:
    yield from _table(
        "conn",
        int="bytes_in bytes_out client_port server_port",
        string="client_ip server_ip server_region",
        timestamp="ts.start",
    )
    yield from _table(
        "conn.tls", string="cipher_suite ja4_fingerprint negotiated_alpn sni version", bool="session_resumed"
    )
    yield from _certificate("conn.tls.client")
    yield "conn.tls.client.pem", "string"
    yield from _certificate("conn.tls.server")
    yield from _certificate(f"{TERMINATED}.client")
    yield from _certificate(f"{TERMINATED}.server")
    yield from _table(
        "conn.k8s.pod",
        string="id metadata.name metadata.namespace metadata.error_code metadata.error_message",
    )
    yield "conn.k8s.pod.metadata.annotations", "map(string, string)"
    yield from _table("endpoint", string="addr host id protocol url", int="port")
    yield "time.now", "string"


def _certificate(prefix: str) -> Iterator[tuple[str, str]]:
    yield from _table(
        prefix,
        string="issuer subject san serial_number signature_algorithm",
        timestamp="validity.not_before validity.not_after",
    )
    yield f"{prefix}.extensions", "list(dyn)"
    for name in ("issuer", "subject"):
        yield f"{prefix}.{name}.common_name", "string"
        yield from _table(
            f"{prefix}.{name}",
            strings="country locality organization organizational_unit postal_code province street_address",
        )
    yield from _table(f"{prefix}.san", strings="dns_names email_addresses ip_addresses uris")


def _geography() -> Iterator[tuple[str, str]]:
    yield from _table("conn.geo", string="city country country_code latitude longitude radius subdivision")
    for prefix in ("conn.client_ip", "conn.server_ip"):
        yield from _table(prefix, int="as.number", string="as.organization")
        yield from _table(
            f"{prefix}.geo.location",
            string="city continent country country_code latitude longitude metro_code postal_code radius "
            "subdivision timezone",
            bool="is_eu",
        )
        yield from _table(
            f"{prefix}.geo.registered_location",
            string="city continent country country_code metro_code subdivision timezone",
            bool="is_eu",
        )


def _intelligence() -> Iterator[tuple[str, str]]:
    for prefix in ("conn.client_ip", "conn.server_ip"):
        yield from _table(prefix, strings="categories", bool="is_on_blocklist is_tor_node")


def _request() -> Iterator[tuple[str, str]]:
    yield from _table(
        "req",
        string="method host version location url content_type content_type.raw user_agent",
        headers="headers trailers",
        cookies="cookies",
        int="content_length",
        strings="content_encoding",
        timestamp="ts.header_received ts.body_received",
    )
    yield "req.content_type.parameters", "map(string, string)"
    yield from _table(
        "req.url",
        string="scheme host authority path query uri raw raw_path user_password",
        int="port",
        headers="query_params",
    )
    yield from _table(
        "req.user_agent",
        string="name version os os_version device url",
        bool="is_mobile is_tablet is_desktop is_bot",
    )


def _response() -> Iterator[tuple[str, str]]:
    # A published sample compares the status with a text: that is an error of the request, not of the policy.
    yield "res.status_code", "dyn"
    yield from _table(
        "res",
        string="location content_type content_type.raw",
        headers="headers trailers",
        cookies="cookies",
        int="content_length",
        strings="content_encoding",
    )
    yield "res.content_type.parameters", "map(string, string)"


ROOTS: Final = ("actions", "conn", "endpoint", "req", "res", "time", "vars")
"""First words of all variables. No comprehension may bind one of them."""

HEADER_MAPS: Final = ("req.headers", "req.trailers", "res.headers", "res.trailers")
"""Maps whose keys do not care about case."""

LENIENT_MAPS: Final = (*HEADER_MAPS, "req.cookies", "res.cookies", "req.url.query_params")
"""Maps in which a key that is not there means an empty list."""


@cache
def names_of(phase: Phase) -> dict[str, Name]:
    """Return the variables of a phase."""
    found = {name: Name(kind) for name, kind in _connection()}
    found |= {name: Name(kind, "geo") for name, kind in _geography()}
    found |= {name: Name(kind, "categories") for name, kind in _intelligence()}
    if phase is not Phase.TCP_CONNECT:
        found |= {name: Name(kind) for name, kind in _request()}
    if phase in {Phase.HTTP_RESPONSE, Phase.EVENT_STREAM_MESSAGE}:
        found |= {name: Name(kind) for name, kind in _response()}
    found["vars"] = found["actions"] = Name("dyn")
    return found
