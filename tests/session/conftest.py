"""What the tests of sessions share."""

import pytest
from tests.kit.certs import Certs, make_certs


@pytest.fixture(scope="session")
def certs() -> Certs:
    """A CA and contexts signed by it."""
    return make_certs()
