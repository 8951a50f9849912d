"""How TLS is ended at the edge: what is refused, and what contexts do to visitors of every kind."""

import contextlib
import ssl

import pytest
from OpenSSL import SSL
from tests.kit import mutual
from tests.kit.certificates import Authority

from portway.edge.ports import CertificatePem
from portway.edge.tls_settings import (
    AUTHORITIES,
    AUTHORITY_BYTES,
    CERTIFICATE_BYTES,
    PLAIN,
    Contexts,
    Strategy,
    TlsSettings,
    check,
    make_context,
)
from portway.errors import ConfigError, ConnectError, Error
from portway.net.tls import Agreed, TlsPump

SERVER = Authority()
PEM = CertificatePem(*SERVER.issue("a.test"))
STRATEGIES: list[Strategy] = ["require-and-verify", "require-any", "request"]


def client_context(shown: mutual.Signed | None = None) -> ssl.SSLContext:
    """Return the context of a visitor that trusts the server."""
    context = SERVER.client_context()
    return context if shown is None else shown.show(context)


def shake(
    settings: TlsSettings, client: ssl.SSLContext, alpn: tuple[str, ...] = ()
) -> tuple[TlsPump, TlsPump]:
    """Shake hands in memory; raise what the server raises. Returns server and client."""
    server = TlsPump(make_context(settings, PEM, alpn), server_side=True)
    visitor = TlsPump(client, server_side=False, server_hostname="a.test")
    for _ in range(8):
        if not visitor.secure:
            visitor.handshake()
        server.received(visitor.output())
        if not server.secure:
            server.handshake()
        visitor.received(server.output())
    assert server.secure
    assert visitor.secure
    return server, visitor


def agreed(settings: TlsSettings, client: ssl.SSLContext, alpn: tuple[str, ...] = ()) -> Agreed:
    return shake(settings, client, alpn)[0].agreed


def code(settings: TlsSettings) -> str:
    with pytest.raises(Error) as refused:
        check(settings)
    return refused.value.code.removeprefix("ERR_NGROK_")


MUTUAL = TlsSettings(authorities=mutual.authority().pem)


def test_a_plain_context_shows_the_certificate_of_the_name() -> None:
    found = agreed(PLAIN, client_context())
    assert (found.version, found.peer_certificate, found.alpn) == ("TLSv1.3", b"", "")


def test_a_certificate_of_ones_own_is_shown() -> None:
    chain, private = SERVER.issue("a.test", "own.test")
    _server, visitor = shake(TlsSettings(chain=chain, key=private), client_context())
    assert ssl.PEM_cert_to_DER_cert(chain.decode().split("-----END")[0] + "-----END CERTIFICATE-----\n") == (
        visitor.agreed.peer_certificate
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_versions_are_kept_to(strategy: Strategy, version: str) -> None:
    settings = TlsSettings(min_version=version, max_version=version, strategy=strategy)  # type: ignore[arg-type]
    assert agreed(settings, client_context(mutual.client())).version == f"TLSv{version}"
    other = client_context(mutual.client())
    if version == "1.2":
        other.minimum_version = ssl.TLSVersion.TLSv1_3
    else:
        other.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ConnectError, match=r"version|protocol"):
        shake(settings, other)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nobody_may_renegotiate(strategy: Strategy) -> None:
    """With the other OpenSSL as the visitor: the standard library's cannot even ask."""
    server = TlsPump(make_context(TlsSettings(strategy=strategy), PEM), server_side=True)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate(mutual.client().certificate)
    context.use_privatekey(mutual.client().key)
    client = SSL.Connection(context)
    client.set_connect_state()

    def turn() -> None:
        for _ in range(4):
            try:
                client.do_handshake()
            except SSL.WantReadError:
                pass
            with contextlib.suppress(SSL.WantReadError):
                server.received(client.bio_read(65_536))
            if not server.secure:
                server.handshake()
            else:
                server.read_into(memoryview(bytearray(100)))
            if server.has_output:
                client.bio_write(server.output())

    turn()
    assert server.secure
    client.renegotiate()
    with pytest.raises((ConnectError, SSL.Error)):
        turn()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_protocols_are_agreed_on_by_our_order_or_not_at_all(strategy: Strategy) -> None:
    settings = TlsSettings(strategy=strategy)
    client = client_context(mutual.client())
    client.set_alpn_protocols(["http/1.1", "h2"])
    assert agreed(settings, client, ("h2", "http/1.1")).alpn == "h2"
    assert agreed(settings, client, ("imap",)).alpn == ""
    assert agreed(settings, client).alpn == ""


class TestMutual:
    """Who gets in, by strategy and by what is shown."""

    EXPIRED = mutual.sign("late", mutual.authority(), expired=True)
    STRANGER = mutual.sign("mallory", mutual.sign("Others", ca=True))
    SELF_SIGNED = mutual.sign("nobody")

    @pytest.mark.row("G-110")
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize(
        ("shown", "strict", "any_one", "asked"),
        [
            (mutual.client(), True, True, True),
            (None, False, False, True),
            (EXPIRED, False, True, True),
            (STRANGER, False, True, True),
            (SELF_SIGNED, False, True, True),
        ],
        ids=["signed", "none", "expired", "of another authority", "self-signed"],
    )
    def test_who_gets_in(
        self,
        shown: mutual.Signed | None,
        strict: bool,
        any_one: bool,
        asked: bool,
        version: ssl.TLSVersion,
    ) -> None:
        for strategy, admitted in zip(STRATEGIES, (strict, any_one, asked), strict=True):
            client = client_context(shown)
            client.maximum_version = version
            settings = TlsSettings(authorities=mutual.authority().pem, strategy=strategy)
            if admitted:
                der = agreed(settings, client).peer_certificate
                assert bool(der) == (shown is not None)
            else:
                with pytest.raises(ConnectError):
                    shake(settings, client)

    def test_an_intermediate_authority_is_enough(self) -> None:
        between = mutual.sign("Between", mutual.authority(), ca=True)
        settings = TlsSettings(authorities=between.pem)
        assert agreed(settings, client_context(mutual.sign("bob", between))).peer_certificate
        with pytest.raises(ConnectError):
            shake(settings, client_context(mutual.client()))

    @pytest.mark.row("P-56")
    def test_a_chain_of_two_must_be_shown_whole(self) -> None:
        between = mutual.sign("Between", mutual.authority(), ca=True)
        late = mutual.sign("Late", mutual.authority(), ca=True, expired=True)
        bob, eve = mutual.sign("bob", between), mutual.sign("eve", late)
        assert agreed(MUTUAL, bob.show(client_context(), between)).peer_certificate == bob.der
        for context in (client_context(bob), eve.show(client_context(), late)):
            with pytest.raises(ConnectError):
                shake(MUTUAL, context)
        taken = TlsSettings(authorities=mutual.authority().pem, strategy="require-any")
        assert agreed(taken, client_context(bob)).peer_certificate == bob.der

    def test_several_authorities_and_text_between_them(self) -> None:
        other = mutual.sign("Others", ca=True)
        both = "die Behörde:\n".encode() + mutual.authority().pem + b"\nand\n" + other.pem
        settings = TlsSettings(authorities=both)
        check(settings)
        for signer in (mutual.authority(), other):
            assert agreed(settings, client_context(mutual.sign("x", signer))).peer_certificate

    @pytest.mark.parametrize("strategy", STRATEGIES)
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_nobody_gets_a_ticket(self, strategy: Strategy, version: ssl.TLSVersion) -> None:
        settings = TlsSettings(authorities=mutual.authority().pem, strategy=strategy)
        context = client_context(mutual.client())
        context.maximum_version = version
        _server, visitor = shake(settings, context)
        session = visitor._tls.session  # pyright: ignore[reportPrivateUsage] - nobody else can tell
        assert session is None or not session.has_ticket


class TestCheck:
    """What is refused, with its code."""

    def test_good_ones_pass(self) -> None:
        check(PLAIN)
        check(MUTUAL)
        check(TlsSettings(chain=PEM.chain, key=PEM.key))

    def test_one_without_the_other(self) -> None:
        assert code(TlsSettings(chain=PEM.chain)) == "2240"
        assert code(TlsSettings(key=PEM.key)) == "2240"

    def test_certificates_that_cannot_be_used(self) -> None:
        assert code(TlsSettings(chain=PEM.chain, key=mutual.client().key_pem)) == "14001"
        assert code(TlsSettings(chain=b"x", key=b"y")) == "14001"
        assert code(TlsSettings(chain=PEM.chain + b" " * CERTIFICATE_BYTES, key=PEM.key)) == "14001"

    def test_authorities_that_are_none(self) -> None:
        assert code(TlsSettings(authorities=b"CA")) == "1695"
        assert code(TlsSettings(authorities=mutual.client().key_pem)) == "1695"
        assert code(TlsSettings(authorities=mutual.client().pem)) == "1696"
        assert code(TlsSettings(authorities=mutual.authority().pem + mutual.client().pem)) == "1696"
        broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        assert code(TlsSettings(authorities=broken)) == "14002"
        assert code(TlsSettings(authorities=b"-----BEGIN CERTIFICATE-----\n")) == "14002"

    def test_too_many_and_too_long(self) -> None:
        assert code(TlsSettings(authorities=mutual.authority().pem * (AUTHORITIES + 1))) == "1675"
        assert code(TlsSettings(authorities=b" " * (AUTHORITY_BYTES + 1))) == "1614"


class TestContexts:
    """The cache."""

    def test_the_same_is_made_once(self) -> None:
        kept = Contexts(8)
        first = kept.get(PLAIN, PEM)
        assert kept.get(TlsSettings(), PEM) is first
        assert kept.get(PLAIN, PEM, ("h2",)) is not first
        assert kept.get(TlsSettings(min_version="1.3"), PEM) is not first
        own = TlsSettings(chain=PEM.chain, key=PEM.key)
        assert kept.get(own, PEM) is kept.get(own)
        assert len(kept) == 4

    def test_the_least_used_is_forgotten(self) -> None:
        kept = Contexts(2)
        first = kept.get(PLAIN, PEM)
        second = kept.get(PLAIN, PEM, ("h2",))
        assert kept.get(PLAIN, PEM) is first
        kept.get(PLAIN, PEM, ("http/1.1",))
        assert len(kept) == 2
        assert kept.get(PLAIN, PEM) is first
        assert kept.get(PLAIN, PEM, ("h2",)) is not second

    def test_what_cannot_be_made_raises_and_is_not_kept(self) -> None:
        kept = Contexts(2)
        for strategy in STRATEGIES:
            with pytest.raises(ConfigError):
                kept.get(TlsSettings(strategy=strategy), CertificatePem(b"x", b"y"))
            with pytest.raises(ConfigError):
                kept.get(TlsSettings(strategy=strategy), CertificatePem(PEM.chain, mutual.client().key_pem))
        assert len(kept) == 0

    def test_keys_stay_out_of_texts(self) -> None:
        shown = repr(TlsSettings(chain=PEM.chain, key=PEM.key))
        assert "PRIVATE" not in shown
