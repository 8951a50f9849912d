"""Compression and find/replace: what they do."""

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, facts, policy

from portway.policy.actions import ActionFailed
from portway.policy.actions.bodies import Compressed, Replaced
from portway.policy.engine import Run
from portway.policy.facts import Response
from portway.policy.phase import Phase
from portway.policy.verdict import CONTINUE, Respond


def answered(
    text: str, response: Response, fields: list[tuple[bytes, bytes]] | None = None, method: str = "GET"
) -> Run:
    """Run the response phase."""
    known = facts(method=method, fields=fields or [(b"accept-encoding", b"gzip")], response=response)
    run = begin(policy(text), Phase.HTTP_RESPONSE, known)
    assert run.step() == CONTINUE
    return run


COMPRESS = action("compress-response", "", "on_http_response")


@pytest.mark.parametrize(
    ("response", "method"),
    [
        (Response(204), "GET"),
        (Response(304), "GET"),
        (Response(206), "GET"),
        (Response(200), "HEAD"),
        (Response(200, [(b"Content-Length", b"0")]), "GET"),
        (Response(200, [(b"cache-control", b"no-transform")]), "GET"),
        (Response(200, [(b"content-encoding", b"br")]), "GET"),
    ],
    ids=repr,
)
def test_what_must_not_be_compressed_is_left_alone(response: Response, method: str) -> None:
    run = answered(COMPRESS, response, method=method)
    assert not run.filters.response
    assert not response.edited


def test_the_visitors_own_wish_counts_whatever_the_upstream_was_asked() -> None:
    response = Response(200, [(b"etag", b'"1"'), (b"vary", b"Accept-Encoding"), (b"content-length", b"9")])
    known = facts(response=response)
    assert known.request is not None
    known.request.accept_encoding = b"br"
    run = begin(policy(COMPRESS), Phase.HTTP_RESPONSE, known)
    assert run.step() == CONTINUE
    [coder] = run.filters.response
    assert isinstance(coder, Compressed)
    assert (response.get(b"content-encoding"), response.get(b"etag")) == ([b"br"], [b'W/"1"'])
    assert (response.get(b"content-length"), response.get(b"vary")) == ([], [b"Accept-Encoding"])
    coded = coder.feed(b"x" * 1000) + coder.end()
    assert run.decisions == {"compression.algorithm": "br", "compression.bytes_saved": 1000 - len(coded)}
    assert run.facts.results["compress"] == {"already_compressed": False, "negotiated_algorithm": "br"}


def test_what_cannot_be_decoded_passes_unchanged() -> None:
    text = action("response-body-find-replace", "replacements: [{from: a, to: b}]", "on_http_response")
    assert not answered(text, Response(200, [(b"content-encoding", b"compress")])).filters.response
    [whole] = answered(text, Response(200, [(b"content-encoding", b"gzip")])).filters.response
    assert isinstance(whole, Replaced)
    whole.feed(b"no gzip")
    with pytest.raises(ActionFailed) as caught:
        whole.end()
    assert caught.value.code == 3903


@pytest.mark.parametrize(
    ("replacement", "code"), [("from: '${\"(\"}'", 3901), ("from: \"${req.headers['x'][0]}\"", 3900)]
)
def test_what_is_computed_wrongly_is_an_error(replacement: str, code: int) -> None:
    text = action("request-body-find-replace", f"replacements: [{{{replacement}}}]")
    verdict = begin(policy(text)).step()
    assert isinstance(verdict, Respond)
    assert verdict.code == code


def test_a_body_that_would_grow_without_bound_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.policy.actions.bodies.WHOLE", 100)
    text = action(
        "response-body-find-replace", f"replacements: [{{from: a, to: {'b' * 50}}}]", "on_http_response"
    )
    [whole] = answered(text, Response(200)).filters.response
    assert isinstance(whole, Replaced)
    whole.feed(b"aaa")
    with pytest.raises(ActionFailed) as caught:
        whole.end()
    assert caught.value.code == 3904
