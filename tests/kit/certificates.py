"""A certificate authority for one test: contexts for both ends, PEM for foreign programs."""

import ssl

import trustme


class Authority:
    """A fresh authority that nobody else trusts."""

    def __init__(self) -> None:
        """Make its key and certificate."""
        self._ca = trustme.CA()
        self.pem = self._ca.cert_pem.bytes()

    def issue(self, *names: str) -> tuple[bytes, bytes]:
        """Return certificate chain and key of a server with these names or addresses, both PEM."""
        issued = self._ca.issue_cert(*names)
        chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
        return chain, issued.private_key_pem.bytes()

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return a context for a server with these names."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with self._ca.issue_cert(*names).private_key_and_cert_chain_pem.tempfile() as file:
            context.load_cert_chain(file)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return a context for a client that trusts this authority alone."""
        return ssl.create_default_context(cadata=self.pem.decode())
