"""Certificates that people have uploaded to a control plane of ten lines."""

from portway.edge.ports import CertificatePem
from portway.model.view import CertificateItem
from tests.kit.service import FakeControl


def upload(control: FakeControl, certificate_id: str, domain: str, *names: str) -> CertificateItem:
    """Upload a certificate of an authority of its own, for a reserved domain."""
    control.keys[certificate_id] = CertificatePem(*control.authority.issue(*(names or (domain,))))
    item = CertificateItem(certificate_id, "ac_good", control.keys[certificate_id].chain.decode())
    control.view.apply([item])
    control.reserve_domain(domain, certificate_id=certificate_id)
    return item
