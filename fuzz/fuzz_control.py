"""Any bytes are, for each control message, the message or a MessageError; a message that was read is
written in a form that reads as itself; and a stream's opening is the same however its bytes are cut.
"""

import json
import random
from typing import Final, cast

import msgspec

from portway.errors import MessageError
from portway.wire import messages
from portway.wire.messages import OptsView, answer_opts, decode, encode, refusal
from portway.wire.opening import MAX_BODY, Collector, Opening, StreamType, pack_opening, read_proxy

CLASSES: Final[list[type[msgspec.Struct]]] = [
    messages.Auth, messages.AuthResp, messages.Bind, messages.BindResp, messages.BindLabels,
    messages.BindLabelsResp, messages.Unbind, messages.UnbindResp, messages.SrvInfo, messages.SrvInfoResp,
    messages.Patch, messages.PatchResp, messages.Command, messages.CommandResp, messages.Update,
    messages.StopTunnel, messages.ProxyHeader,
]  # fmt: skip
_PROTOS: Final = ("http", "https", "tcp", "tls")
_TYPES: Final = frozenset(StreamType)
_OPENING: Final = 0x40
"""Inputs whose first byte has this bit are the bytes of a stream; the others are one message."""

_BIND: Final = {
    "Id": "", "Proto": "https", "ForwardsTo": "http://localhost:80", "Extra": {"Bindings": ["public"],
    "Token": "t"},
    "Opts": {
        "URL": "https://a.example", "ProxyProto": 2, "Compression": {},
        "TrafficPolicy": "on_http_request: []",
        "BasicAuth": {"credentials": [{"username": "a", "cleartext_password": "b"}]},
        "IPRestriction": {"allow_cidrs": ["10.0.0.0/8"]}, "RequestHeaders": {"add": {"a": "b"},
        "remove": ["c"]},
        "CircuitBreaker": {"error_threshold": 0.5}, "OAuth": {"provider": "x", "scopes": ["s"]},
    },
}  # fmt: skip
_TEXTS: Final[list[tuple[type[msgspec.Struct], object]]] = [
    (messages.Auth, {"Version": ["3", "2"], "Extra": {"Authtoken": "x", "HeartbeatInterval": 10**10,
        "Fingerprint": None}}),
    (messages.Auth, {"version": ["2"], "extra": {"AuthToken": "x", "updateunsupportederror": "",
        "LegNumber": 1}}),
    (messages.AuthResp, {"Version": "3", "Extra": {"DeprecationWarning": {"Msg": "m"},
        "ConnectAddresses": [{"Region": "r"}]}}),
    (messages.Bind, _BIND),
    (messages.Bind, {"Proto": "tcp", "Opts": {"Addr": "1:2"}}),
    (messages.BindResp, {"Id": "i", "URL": "u", "Opts": {"Hostname": "h"}, "Extra": {"TunnelID": "t"}}),
    (messages.BindLabels, {"Labels": {"a": "b"}}),
    (messages.Patch, {"TunnelId": "t", "Name": None, "PoolingEnabled": False, "TrafficPolicy": ""}),
    (messages.Unbind, {"Id": "x", "Extra": {"a": [1, 2.5, 1e300, None, True]}}),
    (messages.ProxyHeader, {"Id": "i", "ClientAddr": "1:2", "Proto": "tcp", "EdgeType": "0",
        "PassthroughTLS": False}),
    (messages.Update, {"Version": "1", "PermitMajorVersion": True}),
]  # fmt: skip
SEEDS: Final = [
    *(bytes([CLASSES.index(cls)]) + json.dumps(value).encode() for cls, value in _TEXTS),
    *(
        bytes([_OPENING, 3]) + pack_opening(kind, body)
        for kind, body in (
            (StreamType.AUTH, b' {"a":"}\\"","b":[[{}]]}\n  x'),
            (StreamType.PROXY, b'{"Id":"x"}'),
            (StreamType.HEARTBEAT, b"ping"),
            (99, b"?"),
            (StreamType.BIND, b"[" * 20),
            (StreamType.BIND, b'{"a":' * 20),
        )
    ),
]
WORDS: Final = [
    b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"0", b"-1",
    b"1e999", b"2.5",
    b"9223372036854775808", b'""', b"{}", b"[]", b'"Extra":', b'"Opts":', b'"Error":"x"', b'"URL":""',
    b'"Addr":1', b"\xff",
    b"\0\0\0\x03", b"\xff" * 8, b" ", b"\n", '"\u212a"'.encode(), '"\u0130d":"x"'.encode(),
]  # fmt: skip


def check(data: bytes) -> None:
    """Take it as a message or as a stream."""
    if len(data) < 2:
        return
    if data[0] & _OPENING:
        _check_opening(data[2:], random.Random(data[1]))
    else:
        _check_message(CLASSES[data[0] % len(CLASSES)], data[1:])


def _check_message(cls: type[msgspec.Struct], body: bytes) -> None:
    try:
        message = decode(cls, body)
    except MessageError as error:
        if not str(error).startswith(cls.__name__):
            raise AssertionError(f"an error that does not say of what: {error}") from error
        refusal(error)
        return
    written = encode(message)
    if decode(cls, written) != message or encode(decode(cls, written)) != written:
        raise AssertionError(f"{message} is read anew as {decode(cls, written)}")
    if isinstance(message, messages.Bind):
        _check_opts(message)


def _check_opts(bind: messages.Bind) -> None:
    """The options are read, and answered so that the agent may ask for the same again."""
    try:
        names = OptsView.of(bind.opts).middleware
    except MessageError:
        return
    if len(set(names)) != len(names):
        raise AssertionError("a module is set twice")
    if bind.proto in _PROTOS:
        answer = answer_opts(bind.proto, bind.opts, f"{bind.proto}://a.example:1")
        if answer_opts(bind.proto, answer, f"{bind.proto}://a.example:1") != answer:
            raise AssertionError("an answer is not answered by itself")
        OptsView.of(answer)


def _collect(pieces: list[bytes]) -> tuple[Opening | None, bytes]:
    """Return the opening and what is left of the stream; in bounded memory."""
    collector = Collector()
    left = b""
    for piece in pieces:
        if collector.opening is None:
            used = collector.take(memoryview(piece))
            if not 0 <= used <= len(piece) or collector.held > MAX_BODY + 1:
                raise AssertionError(f"took {used} of {len(piece)} and holds {collector.held}")
            if used < len(piece) and collector.opening is None:
                raise AssertionError("stopped before the end")
            left += piece[used:]
        else:
            left += piece
    return collector.opening, left


def _check_opening(stream: bytes, rng: random.Random) -> None:
    pieces: list[bytes] = []
    at = 0
    while at < len(stream):
        step = rng.choice([1, 2, 5, 50])
        pieces.append(stream[at : at + step])
        at += step
    whole, left = _collect([stream])
    cut, cut_left = _collect(pieces)
    # Only white space and, of a refused request, the rest of the piece depend on the cuts.
    if whole != cut or (whole is not None and not whole.error and left.lstrip() != cut_left.lstrip()):
        raise AssertionError(f"whole {whole} {left!r}, cut {cut} {cut_left!r}")
    quick = read_proxy(memoryview(stream))
    if quick is not None and (quick[0], stream[quick[1] :]) != (whole, left):
        raise AssertionError(f"the quick way reads {quick}")
    if whole is not None and whole.error and whole.body:
        raise AssertionError("refused, and yet given a body")
    if whole is not None and whole.body and whole.type in _TYPES:
        again, _ = _collect([pack_opening(whole.type, whole.body)])
        if again != whole:
            raise AssertionError(f"{whole} is read anew as {again}")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change a value, a key or the kind of message, and keep it JSON where it was."""
    if len(data) < 2 or data[0] & _OPENING:
        return data + rng.choice(WORDS)
    try:
        value = json.loads(data[1:])
    except ValueError:
        return data[:1] + data[1:].replace(rng.choice(WORDS), rng.choice(WORDS), 1)
    kind = rng.randrange(len(CLASSES)) if rng.random() < 0.1 else data[0]
    return bytes([kind]) + json.dumps(_changed(value, rng), ensure_ascii=False).encode("utf-8", "replace")


def _changed(value: object, rng: random.Random) -> object:
    """Go down to some place and put something else there."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        made = dict(cast("dict[str, object]", value))
        key = rng.choice(list(made))
        if rng.random() < 0.2:
            made[rng.choice([key.upper(), key.lower(), "Extra", "x"])] = made.pop(key)
        else:
            made[key] = _changed(made[key], rng)
        return made
    if isinstance(value, list) and value and rng.random() < 0.7:
        return [_changed(item, rng) for item in cast("list[object]", value)]
    others: list[object] = [
        None, True, 0, -1, 2**63, 2**64, 1.5, 1e300, "", "x", "\0", "é", [], ["x"], {}, {"x": None}, [[]],
        {"a": {"b": {}}},
    ]  # fmt: skip
    return rng.choice(others)
