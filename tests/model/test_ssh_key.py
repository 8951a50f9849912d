import base64

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
    ssh_key_fingerprint,
)
from hypothesis import given
from hypothesis import strategies as st

from portway.errors import Error
from portway.model.ssh_key import LINE_LIMIT, parse_ssh_key

Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def line(key: Private) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def written(kind: str, *parts: bytes) -> str:
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (kind.encode(), *parts))
    return f"{kind} {base64.b64encode(blob).decode()}"


ED25519 = written("ssh-ed25519", bytes(range(32)))
SK = written("sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:")
SK_ECDSA = written("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\x04" + bytes(64), b"ssh:")


@pytest.mark.parametrize(
    "text",
    [
        line(ed25519.Ed25519PrivateKey.generate()),
        line(ec.generate_private_key(ec.SECP256R1())),
        line(ec.generate_private_key(ec.SECP384R1())),
        line(ec.generate_private_key(ec.SECP521R1())),
        line(rsa.generate_private_key(65_537, 2048)),
        SK,
        SK_ECDSA,
    ],
    ids=lambda text: text.split()[0],
)
def test_keys_that_are_taken(text: str) -> None:
    key = parse_ssh_key(f"  {text}   me@host and more \n")
    assert key.line == f"{text} me@host and more"
    assert key.type == text.split()[0]
    assert key.fingerprint.startswith("SHA256:")
    assert len(key.fingerprint) == 50
    assert parse_ssh_key(text).fingerprint == key.fingerprint, "the comment does not matter"
    if not text.startswith("sk-"):
        known = ssh_key_fingerprint(load_ssh_public_key(text.encode()), hashes.SHA256())
        assert key.fingerprint == f"SHA256:{base64.b64encode(known).decode().rstrip('=')}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 611),
        (" \n", 611),
        ("ssh-ed25519", 612),
        ("ssh-ed25519 ", 612),
        ("ssh-ed25519 AAAA", 612),
        (f"restrict {ED25519}", 612),
        (f'command="x" {ED25519}', 612),
        (f"{ED25519}\n{ED25519}", 612),
        (ED25519.replace("ssh-ed25519 ", "ssh-rsa "), 612),
        (ED25519[:-4], 612),
        (ED25519.replace(" ", "\t"), 612),
        ("ssh-ed25519 !" + ED25519[13:], 612),
        (written("ssh-ed25519", bytes(31)), 612),
        (written("ssh-ed25519", bytes(32), b"more"), 612),
        (written("ecdsa-sha2-nistp256", b"nistp384", b"\x04" + bytes(64)), 612),
        (written("ecdsa-sha2-nistp256", b"nistp256", b"\x02" + bytes(32)), 612),
        (written("ssh-rsa", b"\x03", b"\x01" + bytes(126) + b"\x01"), 612),
        (written("ssh-rsa", b"\x02", b"\x01" + bytes(256) + b"\x01"), 612),
        (written("ssh-rsa", b"\x03", b"\x01" + bytes(256)), 612),
        (written("ssh-dss", b"\x01", b"\x01", b"\x01", b"\x01"), 612),
        ("-----BEGIN PUBLIC KEY-----", 612),
        (f"{ED25519} {'x' * LINE_LIMIT}", 612),
        (f"{ED25519} \x1b[31m", 612),
    ],
)
def test_keys_that_are_refused(text: str, code: int) -> None:
    with pytest.raises(Error) as raised:
        parse_ssh_key(text)
    assert raised.value.code == f"ERR_NGROK_{code}"


@given(st.binary(max_size=80), st.sampled_from(["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "x"]))
def test_any_blob_is_a_key_or_612(blob: bytes, kind: str) -> None:
    try:
        code = parse_ssh_key(f"{kind} {base64.b64encode(blob).decode()}").type[:0]
    except Error as error:
        code = error.code
    assert code in {"", "ERR_NGROK_612"}
