"""A real browser on a page of ours. The page tells what it has seen by asking for a URL of the test's.

It trusts the certificate that the page's server shows, once that was verified; it finds only names below
``localhost``, and keeps its profile in a folder of the test.
"""

import base64
import contextlib
import hashlib
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.kit.programs import need

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost",
)


@contextlib.contextmanager
def browsing(url: str, folder: Path, ca: Path) -> Generator[None]:
    """Show an https page on this machine for the time of the context; ``ca`` is who vouches for it."""
    program = need("chromium")
    with (folder / "browser.log").open("ab") as log:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={folder}", _trust(url, ca), url],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"HOME": str(folder)},
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _trust(url: str, ca: Path) -> str:
    """Return the flag that has the key trusted which the page's server shows."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", parts.port or 443)) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown
    key = x509.load_der_x509_certificate(shown).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return f"--ignore-certificate-errors-spki-list={base64.b64encode(digest).decode()}"
