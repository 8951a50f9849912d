"""Fuzzing itself: the kept corpus breaks nothing, the checks can fail, and a mistake is found."""

import hashlib
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import harness

ROOT = Path(__file__).parent.parent
BROKEN = "tests.kit.broken_parser"
CARELESS = "tests.kit.careless_parser"
NAMES = harness.names()


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Begin each search without the finds of another one."""
    monkeypatch.setattr(harness, "SCRATCH", tmp_path)
    return tmp_path


def fuzz(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as a developer does."""
    command = [sys.executable, "-m", "fuzz", *arguments]
    environment = {**os.environ, "FUZZ_SCRATCH": str(harness.SCRATCH)}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, env=environment)


def test_there_is_a_target_for_every_parser_of_outside_bytes() -> None:
    parsers = ["chunked", "client_hello", "control", "http1", "http2", "proxy_protocol", "url", "wire"]
    policy = ["policy_document", "policy_expression", "policy_interpolation"]
    assert sorted(parsers + policy) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_breaks_nothing(name: str) -> None:
    target = harness.load(name)
    assert re.fullmatch(r"[A-Z][^.]+\.\s*", target.invariant)
    assert harness.replay(target, target.inputs()) > len(target.seeds)


def test_the_corpus_is_small_and_its_names_tell_its_content() -> None:
    assert {path.name for path in harness.CORPUS.iterdir()} == set(NAMES)
    size = 0
    for name in NAMES:
        kept = list((harness.CORPUS / name).iterdir())
        assert 0 < len(kept) <= harness.KEPT
        for path in kept:
            data = path.read_bytes()
            assert path.name == hashlib.sha256(data).hexdigest()[:12]
            size += len(data)
    assert size < 2 << 20


def lenient(*_: object, **__: object) -> None:
    """Whatever it was to refuse or to do, it does not."""


def upper(value: bytes) -> str:
    """A name that is not folded."""
    return value.decode("latin-1").upper()


def off_by_one(ip: object, port: int) -> str:
    """An address that is not the one that was read."""
    return f"{ip}:{port + 1}"


def impatient(line: bytes) -> bool:
    """What refuses only when a line comes in pieces."""
    return line[0] != ord("5")


def unfolded(label: str, _name: str) -> str:
    """A label as it came."""
    return label


def silent(*_: object) -> str:
    """Nothing is told."""
    return ""


def plain_end(text: str, at: int) -> int:
    """The next brace, whatever stands around it."""
    return text.find("}", at) if "}" in text[at:] else len(text) + 1


def careless(value: object, _depth: int) -> bool:
    """A mistake of ours: not every value can be asked that."""
    return "x" in value  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType] - the point of it


@pytest.mark.parametrize(
    ("name", "place", "broken"),
    [
        ("http1", "portway.codec.http1._TABBED", lenient),
        ("http1", "portway.codec.headers._is_ours", lenient),
        ("http2", "portway.codec.http2_hpack.Reader._shrink", lenient),
        ("http2", "portway.codec.http2.Http2.goaway", lenient),
        ("chunked", "portway.codec.chunked._could_begin", impatient),
        ("client_hello", "portway.codec.client_hello._host", upper),
        ("proxy_protocol", "portway.codec.proxy_protocol._join", off_by_one),
        ("url", "portway.model.url._label", unfolded),
        ("control", "portway.wire.dialect._deeper_than", careless),
        ("policy_document", "portway.codec.document._at", lenient),
        ("policy_expression", "portway.policy.said.failed", silent),
        ("policy_interpolation", "portway.policy.interpolation._end", plain_end),
        ("wire", "portway.wire.connection.Connection._check_id", lenient),
        ("wire", "portway.wire.connection.Connection.goaway", lenient),
    ],
)
def test_a_broken_parser_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, name: str, place: str, broken: object
) -> None:
    target = harness.load(name)
    monkeypatch.setattr(place, broken)
    with pytest.raises(Exception):  # noqa: B017 - any exception at all is a finding
        harness.replay(target, target.inputs())


def mistake(target: str, result: "subprocess.CompletedProcess[str]") -> Path:
    """Return the file with the input that the search has found."""
    assert result.returncode == harness.FINDING, result.stderr
    assert "IndexError" in result.stderr
    assert f"{target} breaks its invariant" in result.stderr
    found = re.search(r"--reproduce (\S+)", result.stderr)
    assert found is not None
    return Path(found[1])


def test_a_mistake_is_found_and_can_be_repeated(scratch: Path) -> None:
    path = mistake(CARELESS, fuzz(CARELESS, "--plain", "--seconds", "60", "--seed", "1"))
    assert path.is_relative_to(scratch)
    assert mistake(CARELESS, fuzz(CARELESS, "--reproduce", str(path))) == path


def test_coverage_leads_to_a_mistake() -> None:
    """Chance alone does not find this one in millions of inputs."""
    if harness.engine() is None:
        pytest.skip("atheris is only made for Linux on x86-64: the targets run unguided here")
    result = fuzz(BROKEN, "--seconds", "60", "--seed", "1")
    assert "unguided" not in result.stdout
    assert "INITED cov:" in result.stderr
    mistake(BROKEN, result)


def test_a_sound_target_passes() -> None:
    result = fuzz("proxy_protocol", "--plain", "--seconds", "0.2", "--seed", "1")
    assert result.returncode == 0
    assert "changed at random" in result.stdout


def test_what_adds_nothing_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "CORPUS", tmp_path / "corpus")
    target = harness.load("proxy_protocol")
    new = b"PROXY TCP4 999.0.0.1 1.1.1.1 1 1\r\n"
    for data in (target.seeds[0], new, new + b"longer", b"\x00" * (target.longest + 1)):
        harness.store(target.scratch, data)
    assert harness.keep(target) == (1, len(new))
    assert harness.files(target.corpus) == [new]


def test_targets_are_imported_once() -> None:
    module = importlib.import_module("fuzz.fuzz_url")
    assert harness.load("url").check is module.check
