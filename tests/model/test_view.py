"""Items of the view travel as JSON and come back as they were."""

import msgspec
import pytest

from portway.model import view

ITEMS: list[view.ViewItem] = [
    view.CredentialItem("cr_1", "ac_1", ("bind:*.example.com",)),
    view.AddressItem("ra_1", "ac_1", "1.tcp.example.com", 20_001),
    view.DomainItem("rd_1", "ac_1", "*.example.com", "cert_1"),
    view.CertificateItem("cert_1", "ac_1", "PEM"),
    view.AuthorityItem("ca_1", "ac_1", "PEM"),
    view.CloudEndpointItem("ep_1", "ac_1", "https://a.example.com", "public", True, "{}", "d", "m"),
    view.AddressItem("ra_2", "ac_1", gone=True),
]


def test_a_list_of_all_kinds_comes_back_as_it_was() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ITEMS), type=list[view.ViewItem]) == ITEMS


def test_an_item_says_its_kind() -> None:
    kinds = [each["kind"] for each in msgspec.json.decode(msgspec.json.encode(ITEMS))]
    assert kinds == [
        "credential",
        "address",
        "domain",
        "certificate",
        "authority",
        "cloud_endpoint",
        "address",
    ]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'[{"kind": "other", "id": "x", "account_id": "y"}]', type=list[view.ViewItem])
