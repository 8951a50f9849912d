"""/reserved_domains over HTTP."""

from pathlib import Path

from tests.kit.api import Api
from tests.kit.names import DOMAIN
from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis
from tests.kit.x509 import make

PLACE = "/reserved_domains"
OWN = f"app.{DOMAIN}"
POLICY = {"authority": "internal", "private_key_type": "ecdsa"}
NOTHING_GIVEN: dict[str, object] = {"region": "", "description": "", "metadata": "", "resolves_to": []}
"""What official clients send of a domain when they are told nothing but its name."""


async def certificate(api: Api) -> str:
    made = make(names=["www.example.com"])
    upload = {"certificate_pem": made.pem, "private_key_pem": made.key_pem}
    return (await api.send("POST", "/tls_certificates", upload)).json["id"]


async def test_an_own_name_from_beginning_to_end(tmp_path: Path) -> None:
    async with two_apis(tmp_path, Clock()) as (ann, _):
        made = await ann.send("POST", PLACE, NOTHING_GIVEN | {"domain": OWN, "description": "d"})
        assert made.status == 201
        domain = made.json
        assert domain == {
            "id": domain["id"], "uri": f"{ann.context.settings.api_url}{PLACE}/{domain['id']}",
            "created_at": "2027-01-15T08:00:00Z", "description": "d", "metadata": "", "domain": OWN,
            "region": "", "cname_target": None, "certificate": None, "certificate_management_policy": None,
            "certificate_management_status": None, "acme_challenge_cname_target": None, "resolves_to": [],
            "is_dev": False, "http_endpoint_configuration": None, "https_endpoint_configuration": None,
            "error_redirect_url": None,
        }  # fmt: skip
        place = f"{PLACE}/{domain['id']}"
        assert (await ann.send("GET", place)).json == domain
        listed = (await ann.send("GET", PLACE)).json["reserved_domains"]
        assert [each for each in listed if not each["is_dev"]] == [domain]
        changed = await ann.send("PATCH", place, {"description": "", "resolves_to": [{"value": "local"}]})
        assert (changed.status, changed.json["resolves_to"]) == (200, [{"value": "local"}])
        # What the official client sends when it is told to change the metadata alone.
        changed = await ann.send("PATCH", place, {"metadata": "m", "resolves_to": []})
        assert (changed.json["metadata"], changed.json["resolves_to"]) == ("m", [{"value": "local"}])
        nothings: tuple[dict[str, object], ...] = ({}, {"resolves_to": []})
        for nothing in nothings:
            assert (await ann.send("PATCH", place, nothing)).code == 422
        assert (await ann.send("DELETE", place)).status == 204
        assert (await ann.send("DELETE", place)).status == 404


async def test_a_foreign_name_with_its_certificates(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        domain = (await ann.send("POST", PLACE, NOTHING_GIVEN | {"domain": "www.example.com"})).json
        target = f"{domain['id'].removeprefix('rd_').lower()}.cname.{DOMAIN}"
        assert domain["cname_target"] == target
        assert domain["certificate_management_policy"] == {
            "authority": "internal",
            "private_key_type": "ecdsa",
        }
        assert domain["certificate_management_status"] == {"renews_at": None, "provisioning_job": None}
        place = f"{PLACE}/{domain['id']}"
        assert (await ann.send("DELETE", f"{place}/certificate")).code == 436
        mine = await certificate(ann)
        changed = (await ann.send("PATCH", place, {"certificate_id": mine})).json
        uri = f"{ann.context.settings.api_url}/tls_certificates/{mine}"
        assert changed["certificate"] == {"id": mine, "uri": uri}
        assert changed["certificate_management_policy"] is None
        assert changed["cname_target"] == target, "it stays"
        assert (await ann.send("DELETE", f"{place}/certificate")).status == 204
        assert (await ann.send("DELETE", f"{place}/certificate")).status == 404
        policy = {"authority": "letsencrypt", "private_key_type": "rsa"}
        changed = (await ann.send("PATCH", place, {"certificate_management_policy": policy})).json
        assert changed["certificate_management_policy"] == policy
        job = changed["certificate_management_status"]["provisioning_job"]
        assert job["error_code"] == "UNSUPPORTED"
        assert "letsencrypt" in job["msg"]
        both = {"certificate_id": mine, "certificate_management_policy": policy}
        assert (await ann.send("PATCH", place, both)).code == 434
        assert (await ann.send("DELETE", f"{place}/certificate_management_policy")).status == 204
        assert (await ann.send("DELETE", f"{place}/certificate_management_policy")).status == 404


async def test_refusals_have_their_codes(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        assert (await ben.send("POST", PLACE, {"domain": f"ben.{DOMAIN}"})).status == 201
        assert (await ann.send("POST", PLACE, {"name": "app"})).json["domain"] == OWN
        policy = {"authority": "internal"}
        for body, code in (
            ({}, 448), ({"domain": ""}, 448), ({"domain": "a_b.example.com"}, 438), ({"domain": DOMAIN}, 404),
            ({"domain": f"*.{DOMAIN}"}, 416), ({"domain": f"x.api.{DOMAIN}"}, 450), ({"domain": OWN}, 413),
            ({"domain": f"ben.{DOMAIN}"}, 414), ({"domain": f"x.ben.{DOMAIN}"}, 414),
            ({"domain": f"*.ben.{DOMAIN}"}, 417), ({"domain": "a.example.com", "name": "a"}, 449),
            ({"domain": f"x.{DOMAIN}", "certificate_management_policy": policy}, 439),
            ({"domain": "a.example.com", "certificate_management_policy": {"authority": "me"}}, 435),
            ({"domain": "a.example.com", "certificate_management_policy": {"private_key_type": "dsa"}}, 1909),
            ({"domain": "a.example.com", "resolves_to": [{"value": "local"}, {"value": "local"}]}, 456),
            ({"domain": "a.example.com", "region": "xx"}, 400), ({"domain": "a.example.com", "x": 1}, 214),
            ({"domain": ["a.example.com"]}, 215),
        ):  # fmt: skip
            reply = await ann.send("POST", PLACE, body)
            assert (reply.status, reply.code) == (400, code), body


async def test_the_dev_domain_is_listed_and_stays(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        (dev,) = (await ann.send("GET", PLACE)).json["reserved_domains"]
        assert dev["is_dev"]
        assert dev["domain"].endswith(f".{DOMAIN}")
        assert (await ann.send("DELETE", f"{PLACE}/{dev['id']}")).code == 458
        assert (await ben.send("POST", PLACE, {"domain": dev["domain"]})).code == 414


async def test_a_domain_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        made = (await ann.send("POST", PLACE, {"domain": "www.example.com"})).json
        below = ("/certificate", "/certificate_management_policy")
        await is_private(ann, ben, f"{PLACE}/{made['id']}", *below, update={"description": "mine"})


async def test_lists_are_filtered(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        mine = await certificate(ann)
        wish = {"domain": "www.example.com", "certificate_id": mine}
        made = (await ann.send("POST", PLACE, wish)).json
        await ann.send("POST", PLACE, {"domain": "other.example.com"})
        for text in (
            'obj.domain=="www.example.com"', f'obj.certificate.id=="{mine}"', 'obj.domain.startsWith("www.")',
            f'obj.cname_target=="{made["cname_target"]}"',
        ):  # fmt: skip
            listed = (await ann.send("GET", f"{PLACE}?filter={text}")).json
            assert listed["reserved_domains"] == [made], text
        for text, count in (("obj.acme_challenge_cname_target==null", 3), ('obj.region==""', 3)):
            assert len((await ann.send("GET", f"{PLACE}?filter={text}")).json["reserved_domains"]) == count
