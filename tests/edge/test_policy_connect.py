"""The phase on_tcp_connect on a whole data plane: tcp, tls, http and https, before and behind TLS."""

import contextlib
import json
import re
import ssl
import tempfile
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from tests.kit import mutual
from tests.kit.agent import Agent, code
from tests.kit.service import DOMAIN, Running, running_worker
from tests.kit.traffic import visitor

from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.net.tasks import Tasks
from portway.net.tls import agent_context
from portway.session import StreamType

RESTRICT = "on_tcp_connect: [{actions: [{type: restrict-ips, config: {%s: [127.0.0.1/32]}}]}]"
ALLOW = RESTRICT % "allow"
DENY = RESTRICT.replace("%s: [127.0.0.1/32]", "allow: ['::/0', '0.0.0.0/0'], deny: [127.0.0.1/32]")
HTTP_NAME = f"app.{DOMAIN}"


@asynccontextmanager
async def bound(
    proto: str, policy: str, url: str = "", **opts: Any
) -> AsyncGenerator[tuple[Running, Agent, str]]:
    """Run a data plane with one endpoint that has this policy; yield its URL too."""
    async with running_worker() as service, service.connected() as agent:
        answer = await agent.bind(proto, {"URL": url, "TrafficPolicy": policy, **opts})
        assert answer["Error"] == "", answer
        yield service, agent, answer["URL"]


def port_of(service: Running, proto: str, url: str) -> int:
    if proto == "tcp":
        return int(url.rpartition(":")[2])
    return service.http_port if proto == "http" else service.https_port


def context_of(service: Running, proto: str) -> ssl.SSLContext | None:
    return agent_context(service.certs.ca) if proto in ("https", "tls") else None


async def is_closed(service: Running, proto: str, url: str) -> None:
    """Visit, and see the connection closed without a byte."""
    port = port_of(service, proto, url)
    if proto in ("https", "tls"):
        with pytest.raises((ConnectionError, ssl.SSLError)):
            async with visitor(port, tls=context_of(service, proto), name=HTTP_NAME):
                pass
        return
    async with visitor(port) as (reader, writer):
        if proto == "http":
            writer.write(f"GET / HTTP/1.1\r\nHost: {HTTP_NAME}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


URLS = {
    "tcp": "",
    "tls": f"tls://{HTTP_NAME}",
    "http": f"http://{HTTP_NAME}",
    "https": f"https://{HTTP_NAME}",
}


@pytest.mark.row("T-013", "P-16", "P-39", "P-65")
@pytest.mark.parametrize("proto", list(URLS))
async def test_who_may_not_enter_is_closed_before_anything_and_told_of(proto: str) -> None:
    async with bound(proto, DENY, URLS[proto]) as (service, agent, url):
        await is_closed(service, proto, url)
        assert agent.visitors.empty()
        event = await service.events.next(TcpConnectionClosed)
        assert (event.ip_policy_decision, event.url) == ("block", url)
        assert "ERR_NGROK_3203" in event.error
        assert not service.events.of(HttpRequestComplete)


@pytest.mark.row("T-013", "P-16")
async def test_who_may_enter_a_tcp_endpoint_is_served() -> None:
    async with bound("tcp", ALLOW) as (service, agent, url):
        async with visitor(port_of(service, "tcp", url)) as (reader, writer):
            taken = await agent.visitor()
            writer.write(b"hi")
            assert await taken.read(2) == b"hi"
            taken.finish(b"bye")
            assert await reader.read() == b"bye"
        event = await service.events.next(TcpConnectionClosed)
        assert (event.ip_policy_decision, event.error) == ("allow", "")


@pytest.mark.row("T-013")
async def test_what_is_of_http_is_refused_on_tcp() -> None:
    policy = "on_tcp_connect: [{actions: [{type: custom-response}]}]"
    async with running_worker() as service, service.connected() as agent:
        assert code(await agent.bind("tcp", {"URL": "", "TrafficPolicy": policy})) == "2202"
        assert code(await agent.bind("tcp", {"URL": "", "TrafficPolicy": "on_http_request: []"})) == "2230"
        assert code(await agent.bind("tcp", {"URL": "", "Compression": {}})) == "2205"


@pytest.mark.row("P-13")
async def test_a_policy_is_swapped_under_a_live_connection() -> None:
    async with running_worker() as service, service.connected() as agent:
        answer = await agent.bind("tcp", {"URL": "", "TrafficPolicy": ALLOW})
        port = port_of(service, "tcp", answer["URL"])
        async with visitor(port) as (reader, writer):
            taken = await agent.visitor()
            change = {"TunnelId": answer["Extra"]["TunnelID"], "TrafficPolicy": DENY}
            assert await agent.call(StreamType.PATCH, change) == {"Error": ""}
            await is_closed(service, "tcp", answer["URL"])
            writer.write(b"still")
            assert await taken.read(5) == b"still"
            taken.finish(b"here")
            assert await reader.read() == b"here"
        assert (
            code(await agent.call(StreamType.PATCH, change | {"TrafficPolicy": "on_tcp_connect: 1"}))
            == "2203"
        )
        await is_closed(service, "tcp", answer["URL"])  # what was refused has changed nothing
        assert await agent.call(StreamType.PATCH, change | {"TrafficPolicy": ""}) == {"Error": ""}
        async with visitor(port):
            await agent.visitor()


TERMINATE = """
on_tcp_connect:
  - actions:
      - {type: set-vars, config: {vars: [{before: "${conn.tls.ja4_fingerprint} ${conn.tls.sni}"}]}}
      - {type: terminate-tls, config: {min_version: "1.3", mutual_tls_verification_strategy: request}}
  - expressions: ["actions.ngrok.terminate_tls.version != '1.3' || conn.tls.sni != 'app.portway.localhost'"]
    actions: [{type: deny}]
  - actions:
      - type: log
        config:
          metadata:
            suite: "${conn.tls.cipher_suite}"
            before: "${vars.before}"
            who: "${conn.tls.client.subject.common_name} ${actions.ngrok.terminate_tls.client.issuer}"
            shown: "${actions.ngrok.terminate_tls.server.san}"
"""


@pytest.mark.row("T-012", "P-16", "P-25", "P-27", "P-56")
async def test_tls_ends_here_where_a_policy_says_so_and_what_follows_sees_the_session() -> None:
    async with bound("tls", TERMINATE, URLS["tls"]) as (service, agent, _):
        trusting = mutual.client().show(agent_context(service.certs.ca))
        async with visitor(service.https_port, tls=trusting, name=HTTP_NAME) as (reader, writer):
            taken = await agent.visitor()
            assert not taken.header.passthrough_tls
            writer.write(b"clear")
            assert await taken.read(5) == b"clear"
            taken.finish(b"text")
            assert await reader.read() == b"text"
        event = await service.events.next(TcpConnectionClosed)
        [entry] = event.traffic_policy_logs
        metadata = cast("dict[str, dict[str, str]]", entry)["metadata"]
        assert metadata["suite"].startswith("TLS_")
        assert metadata["shown"].startswith("DNS:")
        assert metadata["who"] == "alice CN=Clients"
        assert event.ja4.startswith("t13d")
        assert metadata["before"] == f"{event.ja4} {HTTP_NAME}"
        old = agent_context(service.certs.ca)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with visitor(service.https_port, tls=old, name=HTTP_NAME):
                pass
        assert agent.visitors.empty()


@pytest.mark.row("P-26", "P-56")
async def test_mutual_tls_on_https_by_a_policy() -> None:
    pem = mutual.authority().pem.decode()
    indented = pem.replace("\n", "\n            ")
    policy = f"""
on_tcp_connect:
  - actions:
      - type: terminate-tls
        config:
          mutual_tls_certificate_authorities:
          - |
            {indented}
on_http_request:
  - actions:
      - type: custom-response
        config: {{body: "${{conn.tls.client.subject.common_name}}"}}
"""
    async with bound("https", policy, URLS["https"]) as (service, agent, url):
        head = f"GET / HTTP/1.1\r\nHost: {url.removeprefix('https://')}\r\nConnection: close\r\n\r\n".encode()
        context = mutual.client("visitor").show(agent_context(service.certs.ca))
        async with visitor(service.https_port, tls=context, name=HTTP_NAME) as (reader, writer):
            writer.write(head)
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert answer.endswith(b"visitor")

        async def without_certificate() -> bytes:
            plain = agent_context(service.certs.ca)
            async with visitor(service.https_port, tls=plain, name=HTTP_NAME) as (reader, writer):
                writer.write(head)
                return await reader.read()

        with pytest.raises((ssl.SSLError, ConnectionError)):
            await without_certificate()
        assert agent.visitors.empty()


PARTS = (
    "common_name", "country", "locality", "organization", "organizational_unit", "postal_code", "province",
    "street_address",
)  # fmt: skip
CERTIFICATE = (
    "extensions", "issuer", *(f"issuer.{each}" for each in PARTS), "subject",
    *(f"subject.{each}" for each in PARTS), "san", "san.dns_names", "san.email_addresses", "san.ip_addresses",
    "san.uris", "serial_number", "signature_algorithm", "validity.not_before", "validity.not_after",
)  # fmt: skip
SESSION = ("cipher_suite", "ja4_fingerprint", "negotiated_alpn", "session_resumed", "sni", "version")
TLS_NAMES = (
    *(f"conn.tls.{each}" for each in SESSION),
    *(f"conn.tls.{side}.{each}" for side in ("client", "server") for each in CERTIFICATE),
    "conn.tls.client.pem",
    *(f"actions.ngrok.terminate_tls.{each}" for each in ("cipher_suite", "sni", "version", "warnings")),
    "actions.ngrok.terminate_tls.error.code", "actions.ngrok.terminate_tls.error.message",
    *(f"actions.ngrok.terminate_tls.{side}.{each}" for side in ("client", "server") for each in CERTIFICATE),
)  # fmt: skip
"""Every name that is documented of a connection's TLS; of ``extensions`` the list has three more."""

ORGANIZATION = NameOID.ORGANIZATION_NAME
ADA = x509.Name([
    x509.NameAttribute(kind, text)
    for kind, text in (
        (NameOID.COUNTRY_NAME, "GB"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Surrey"),
        (NameOID.LOCALITY_NAME, "Ockham"),
        (NameOID.STREET_ADDRESS, "1 Park Lane"),
        (NameOID.POSTAL_CODE, "GU23"),
        (NameOID.ORGANIZATION_NAME, "Engines"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Notes"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Numbers"),
        (NameOID.COMMON_NAME, "Ada, Countess"),
    )
])  # fmt: skip
ALTERNATIVES = x509.SubjectAlternativeName([
    x509.DNSName("ada.test"),
    x509.RFC822Name("ada@a.test"),
    x509.IPAddress(ip_address("192.0.2.7")),
    x509.UniformResourceIdentifier("spiffe://a.test/ada"),
])  # fmt: skip


def tls_policy(strategy: str) -> str:
    """Return a policy that answers with every name of TLS, a line each."""
    shown = {"extensions": "%s.map(e, [e.id, string(e.critical), base64.encode(e.value)])"}
    shown |= {"not_before": "string(%s)", "not_after": "string(%s)"}
    wanted = [shown.get(each.rpartition(".")[2], "%s") % each for each in TLS_NAMES]
    # A text holds a hundred expressions.
    lines = [f"${{json.encode([{', '.join(wanted[at : at + 5])}])}}\n" for at in range(0, len(wanted), 5)]
    ask = {
        "type": "terminate-tls",
        "config": {
            "mutual_tls_certificate_authorities": [mutual.authority().pem.decode()],
            "mutual_tls_verification_strategy": strategy,
        },
    }
    answer = {"type": "custom-response", "config": {"body": "".join(lines)}}
    document = {"on_tcp_connect": [{"actions": [ask]}], "on_http_request": [{"actions": [answer]}]}
    return json.dumps(document)


async def told(service: Running, context: ssl.SSLContext) -> dict[str, Any]:
    """Return every name and what it is for a visitor, and the certificate that the visitor was ``shown``."""
    head = f"GET / HTTP/1.1\r\nHost: {HTTP_NAME}\r\nConnection: close\r\n\r\n".encode()
    async with visitor(service.https_port, tls=context, name=HTTP_NAME) as (reader, writer):
        writer.write(head)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        _, _, body = (await reader.read()).partition(b"\r\n\r\n")
    values = [value for line in body.splitlines() for value in json.loads(line)]
    return dict(zip(TLS_NAMES, values, strict=True)) | {"shown": shown}


@pytest.mark.row("P-25", "P-26", "P-27", "P-56")
@pytest.mark.parametrize("strategy", ["require-and-verify", "require-any"])
async def test_every_name_of_tls_is_what_the_visitor_and_the_service_have_shown(strategy: str) -> None:
    between = mutual.sign("Between", mutual.authority(), ca=True)
    ada = mutual.sign("", between, subject=ADA, serial=0x0A1B2C, extensions=((ALTERNATIVES, False),))
    assert (len(SESSION), len(CERTIFICATE) + 3) == (6, 31)
    async with bound("https", tls_policy(strategy), URLS["https"]) as (service, _, _):
        context = ada.show(agent_context(service.certs.ca), between)
        context.set_alpn_protocols(["http/1.1"])
        found = await told(service, context)
        event = await service.events.next(HttpRequestComplete)
    server = {
        name.removeprefix("conn.tls.server."): found.pop(name)
        for name in list(found)
        if name.startswith("conn.tls.server.")
    }
    shown = x509.load_der_x509_certificate(found.pop("shown"))
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert server["san.dns_names"] == names.get_values_for_type(x509.DNSName) != []
    assert server["san"].startswith(f"DNS:{server['san.dns_names'][0]}")
    assert server["issuer"] == shown.issuer.rfc4514_string()
    assert server["issuer.organization"] == [each.value for each in shown.issuer if each.oid == ORGANIZATION]
    assert server["serial_number"] == f"{shown.serial_number:x}"
    assert server["signature_algorithm"] in ("ECDSA-SHA256", "SHA256-RSA")
    assert server["validity.not_after"] == f"{shown.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    assert [each[0] for each in server["extensions"]] == [each.oid.dotted_string for each in shown.extensions]
    assert re.fullmatch(r"t13d\d{4}h1_[0-9a-f]{12}_[0-9a-f]{12}", found["conn.tls.ja4_fingerprint"])
    assert found.pop("conn.tls.ja4_fingerprint") == event.ja4
    expected: dict[str, Any] = {
        "conn.tls.cipher_suite": "TLS_AES_256_GCM_SHA384",
        "conn.tls.negotiated_alpn": "http/1.1",
        "conn.tls.session_resumed": False,
        "conn.tls.sni": HTTP_NAME,
        "conn.tls.version": "1.3",
        "conn.tls.client.pem": ada.pem.decode(),
        "actions.ngrok.terminate_tls.cipher_suite": "TLS_AES_256_GCM_SHA384",
        "actions.ngrok.terminate_tls.sni": HTTP_NAME,
        "actions.ngrok.terminate_tls.version": "1.3",
        "actions.ngrok.terminate_tls.warnings": [],
        "actions.ngrok.terminate_tls.error.code": "",
        "actions.ngrok.terminate_tls.error.message": "",
    }
    subject = r"CN=Ada\, Countess,OU=Numbers,OU=Notes,O=Engines,POSTALCODE=GU23,STREET=1 Park Lane"
    client: dict[str, Any] = {
        "extensions": [
            [
                each.oid.dotted_string,
                str(each.critical).lower(),
                b64encode(each.value.public_bytes()).decode(),
            ]
            for each in ada.certificate.extensions
        ],
        "issuer": "CN=Between",
        **{f"issuer.{each}": [] for each in PARTS},
        "issuer.common_name": "Between",
        "subject": f"{subject},L=Ockham,ST=Surrey,C=GB",
        "subject.common_name": "Ada, Countess",
        "subject.country": ["GB"],
        "subject.locality": ["Ockham"],
        "subject.organization": ["Engines"],
        "subject.organizational_unit": ["Notes", "Numbers"],
        "subject.postal_code": ["GU23"],
        "subject.province": ["Surrey"],
        "subject.street_address": ["1 Park Lane"],
        "san": "DNS:ada.test, email:ada@a.test, IP Address:192.0.2.7, URI:spiffe://a.test/ada",
        "san.dns_names": ["ada.test"],
        "san.email_addresses": ["ada@a.test"],
        "san.ip_addresses": ["192.0.2.7"],
        "san.uris": ["spiffe://a.test/ada"],
        "serial_number": "a1b2c",
        "signature_algorithm": "ECDSA-SHA256",
        "validity.not_before": f"{ada.certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "validity.not_after": f"{ada.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    }
    for prefix in ("conn.tls.client", "actions.ngrok.terminate_tls.client"):
        expected |= {f"{prefix}.{name}": value for name, value in client.items()}
    expected |= {f"actions.ngrok.terminate_tls.server.{name}": value for name, value in server.items()}
    assert found == expected


@pytest.mark.row("P-26")
@pytest.mark.parametrize("broken", ["doubled", "x400"])
async def test_a_certificate_that_can_hardly_be_read_is_like_none(broken: str) -> None:
    """Where none is verified anybody's arrives here, made of whatever OpenSSL takes."""
    kinds = [
        x509.UnrecognizedExtension(x509.ObjectIdentifier(each), b"aa") for each in ("1.2.3.4", "1.2.3.5")
    ]
    if broken == "x400":
        kinds = [x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"0\x04\xa3\x020\x00")]
    eve = mutual.sign("eve", extensions=tuple((each, False) for each in kinds))
    policy = """
        on_tcp_connect:
          - actions: [{type: terminate-tls, config: {mutual_tls_verification_strategy: request}}]
        on_http_request:
          - actions: [{type: custom-response, config: {body: "<${conn.tls.client.subject}>"}}]
        """
    async with bound("https", policy, URLS["https"]) as (service, _, _):
        context = eve.show(agent_context(service.certs.ca))
        if broken == "doubled":
            context = _showing(eve, eve.der.replace(b"\x2a\x03\x05", b"\x2a\x03\x04"), service.certs.ca)
        head = f"GET / HTTP/1.1\r\nHost: {HTTP_NAME}\r\nConnection: close\r\n\r\n".encode()
        async with visitor(service.https_port, tls=context, name=HTTP_NAME) as (reader, writer):
            writer.write(head)
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert answer.endswith(b"<>")
        await service.events.next(HttpRequestComplete)


def _showing(signed: mutual.Signed, der: bytes, ca: bytes) -> ssl.SSLContext:
    """Return a client's context that shows a certificate as these bytes, whose signature nobody checks."""
    context = agent_context(ca)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "client.pem"
        file.write_bytes(ssl.DER_cert_to_PEM_cert(der).encode() + signed.key_pem)
        context.load_cert_chain(file)
    return context


NOTHING = """
on_tcp_connect:
  - expressions:
      - "conn.tls.sni + conn.tls.ja4_fingerprint + conn.tls.version + conn.tls.cipher_suite != ''
        || conn.tls.client.subject + conn.tls.server.san + conn.tls.client.pem != ''
        || conn.tls.client.subject.organization.size() + conn.tls.server.extensions.size() != 0
        || has(conn.tls.server.validity.not_after) || conn.tls.session_resumed"
    actions: [{type: deny}]
"""


@pytest.mark.row("P-25", "P-27")
@pytest.mark.parametrize("proto", ["tcp", "http"])
async def test_where_there_is_no_tls_its_names_are_empty(proto: str) -> None:
    bind = bound(proto, NOTHING, URLS[proto])
    async with bind as (service, agent, url), visitor(port_of(service, proto, url)) as (_, writer):
        writer.write(f"GET / HTTP/1.1\r\nHost: {HTTP_NAME}\r\n\r\n".encode())
        taken = await agent.visitor()
        taken.finish(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.mark.row("P-14", "P-49")
async def test_a_connection_is_forwarded_to_an_internal_endpoint_and_its_rules_hold() -> None:
    forward = "on_tcp_connect: [{actions: [{type: forward-internal, config: {url: 'tcp://in.internal:1'}}]}]"
    async with running_worker() as service:
        outer, inner = await service.two_agents()
        answer = await outer.bind("tcp", {"URL": "", "TrafficPolicy": forward})
        assert answer["Error"] == ""
        await is_closed(service, "tcp", answer["URL"])  # nobody is there
        target = await inner.bind("tcp", {"URL": "tcp://in.internal:1"})
        assert target["Error"] == "", target
        port = port_of(service, "tcp", answer["URL"])
        async with visitor(port) as (_, writer):
            taken = await inner.visitor()
            writer.write(b"x")
            assert await taken.read(1) == b"x"
        change = {"TunnelId": target["Extra"]["TunnelID"], "TrafficPolicy": DENY}
        assert await inner.call(StreamType.PATCH, change) == {"Error": ""}
        await is_closed(service, "tcp", answer["URL"])
        assert outer.visitors.empty()
        for agent in (outer, inner):
            await agent.leave()


async def test_tls_options_and_terminate_tls_exclude_each_other() -> None:
    async with running_worker() as service, service.connected() as agent:
        policy = "on_tcp_connect: [{actions: [{type: terminate-tls}]}]"
        opts: dict[str, Any] = {"URL": URLS["tls"], "TrafficPolicy": policy, "TLSTermination": {}}
        assert code(await agent.bind("tls", opts)) == "2203"
        mutual_tls = {"mutual_tls_ca": b64encode(mutual.authority().pem).decode()}
        opts = {"URL": URLS["https"], "TrafficPolicy": policy, "MutualTLSCA": mutual_tls}
        assert code(await agent.bind("https", opts)) == "2203"


async def test_members_of_a_pool_may_bring_different_policies() -> None:
    deny = "on_http_request: [{actions: [{type: deny}]}]"
    async with running_worker() as service:
        one, two = await service.two_agents()
        for agent, text in ((one, ""), (two, deny)):
            opts = {"URL": URLS["http"], "TrafficPolicy": text}
            assert (await agent.bind("http", opts, PoolingEnabled=True))["Error"] == ""

        async def serve() -> None:
            while True:
                (await one.visitor()).finish(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        tasks = Tasks()
        tasks.start(serve(), name="serve")
        statuses: set[bytes] = set()
        while len(statuses) < 2:
            async with visitor(service.http_port) as (reader, writer):
                writer.write(f"GET / HTTP/1.1\r\nHost: {HTTP_NAME}\r\nConnection: close\r\n\r\n".encode())
                statuses.add((await reader.readline()).split(b" ")[1])
        assert statuses == {b"200", b"403"}
        assert two.visitors.empty()
        await tasks.close()
        for agent in (one, two):
            await agent.leave()
