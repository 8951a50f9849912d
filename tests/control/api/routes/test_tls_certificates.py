"""/tls_certificates over HTTP."""

from pathlib import Path

from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis
from tests.kit.x509 import make

from portway.control.api.routes.tls_certificates import TlsCertificateCreate

PLACE = "/tls_certificates"
ROOT = make("root", ca=True, number=1)
LEAF = make(issuer=ROOT, names=["www.example.com", "10.0.0.1"])
UPLOAD = {"certificate_pem": LEAF.pem + ROOT.pem, "private_key_pem": LEAF.key_pem}


async def test_from_beginning_to_end(tmp_path: Path) -> None:
    async with two_apis(tmp_path, Clock()) as (ann, _):
        made = await ann.send("POST", PLACE, UPLOAD | {"description": "d", "metadata": ""})
        assert made.status == 201
        certificate = made.json
        assert certificate == {
            "id": certificate["id"], "uri": f"{ann.context.settings.api_url}{PLACE}/{certificate['id']}",
            "created_at": "2027-01-15T08:00:00Z", "description": "d", "metadata": "",
            "certificate_pem": LEAF.pem + ROOT.pem, "subject_common_name": "example.com",
            "subject_alternative_names": {"dns_names": ["www.example.com"], "ips": ["10.0.0.1"]},
            "issued_at": None, "not_before": "2026-01-02T03:04:05Z", "not_after": "2036-01-02T03:04:05Z",
            "key_usages": ["DigitalSignature", "KeyEncipherment"],
            "extended_key_usages": ["ServerAuth", "1.2.3.4"], "private_key_type": "ecdsa",
            "issuer_common_name": "root", "serial_number": "abcdef", "subject_organization": "Widgets",
            "subject_organizational_unit": "Making", "subject_locality": "Bern", "subject_province": "BE",
            "subject_country": "CH",
        }  # fmt: skip
        place = f"{PLACE}/{certificate['id']}"
        replies = [made, await ann.send("GET", place), await ann.send("GET", PLACE)]
        assert replies[1].json == certificate
        assert replies[2].json["tls_certificates"] == [certificate]
        changed = await ann.send("PATCH", place, {"metadata": "n"})
        assert (changed.status, changed.json) == (200, certificate | {"metadata": "n"})
        replies += [changed, await ann.send("PATCH", place, {})]
        assert replies[-1].json == changed.json
        secret = LEAF.key_pem.splitlines()[1]
        for reply in replies:
            assert secret not in reply.body.decode()
            assert "PRIVATE" not in reply.body.decode()
        assert (await ann.send("DELETE", place)).status == 204
        assert (await ann.send("GET", place)).status == 404


def test_no_repr_shows_the_key() -> None:
    given = TlsCertificateCreate(**UPLOAD)
    assert "PRIVATE" not in repr(given) + str(given)
    assert given.private_key_pem == LEAF.key_pem


async def test_refusals_have_their_codes_and_never_quote_the_key(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        for change, code in (
            ({"certificate_pem": ""}, 1919), ({"certificate_pem": "x"}, 1920),
            ({"certificate_pem": ROOT.pem + LEAF.pem}, 1926),
            ({"private_key_pem": ""}, 1901), ({"private_key_pem": make(number=5).key_pem}, 1923),
            ({"certificate_pem": LEAF.key_pem, "private_key_pem": LEAF.pem}, 1925),
            ({"private_key_pem": LEAF.pem}, 1924), ({"description": "x" * 256}, 1916),
            ({"metadata": "x" * 4097}, 1917), ({"private_key_pem": [LEAF.key_pem]}, 215),
            ({"private_key": LEAF.key_pem}, 214),
        ):  # fmt: skip
            reply = await ann.send("POST", PLACE, UPLOAD | change)
            assert (reply.status, reply.code) == (400, code), change
            assert LEAF.key_pem.splitlines()[1] not in reply.body.decode()


async def test_a_certificate_in_use_cannot_be_deleted(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        made = (await ann.send("POST", PLACE, UPLOAD)).json
        wish = {"domain": "www.example.com", "certificate_id": made["id"]}
        domain = (await ann.send("POST", "/reserved_domains", wish)).json
        assert (await ann.send("DELETE", f"{PLACE}/{made['id']}")).status == 400
        assert (await ann.send("DELETE", f"/reserved_domains/{domain['id']}")).status == 204
        assert (await ann.send("DELETE", f"{PLACE}/{made['id']}")).status == 204


async def test_a_certificate_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        made = (await ann.send("POST", PLACE, UPLOAD)).json
        await is_private(ann, ben, f"{PLACE}/{made['id']}", update={"description": "mine"})
        wish = {"domain": "www.example.com", "certificate_id": made["id"]}
        assert (await ben.send("POST", "/reserved_domains", wish)).code == 1965


async def test_lists_are_filtered(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        made = (await ann.send("POST", PLACE, UPLOAD)).json
        for text, found in (
            ('obj.serial_number=="abcdef"', [made]),
            ('obj.subject_common_name=="example.org"', []),
            ('obj.not_after>timestamp("2030-01-01T00:00:00Z")', [made]),
            ('obj.not_before>timestamp("2030-01-01T00:00:00Z")', []),
        ):
            listed = (await ann.send("GET", f"{PLACE}?filter={text}")).json
            assert listed["tls_certificates"] == found, text
