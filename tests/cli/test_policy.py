"""`portway policy`: what is printed for people and programs, and the exit codes."""

import io
import json
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest

from portway.cli.main import run

POLICY = """\
on_tcp_connect:
  - actions:
      - type: restrict-ips
        config: {allow: [0.0.0.0/0], deny: [10.0.0.0/8]}
on_http_request:
  - name: limit
    actions:
      - type: rate-limit
        config: {name: a, algorithm: sliding_window, capacity: 30, rate: 60s, bucket_key: [conn.client_ip]}
  - name: no writes
    expressions: ["req.method != 'GET'"]
    actions: [{type: deny, config: {status_code: 405}}]
  - name: admin
    expressions: ["req.url.path.startsWith('/admin')", "!('X-Key' in req.headers)"]
    actions: [{type: custom-response, config: {status_code: 401, body: "who is ${conn.client_ip}?"}}]
  - name: broken
    expressions: ["req.headers['none'][0] == 'x'"]
    actions: [{type: add-headers, config: {headers: {x-never: "1"}}}]
  - actions: [{type: add-headers, config: {headers: {x-edge: "${req.method}"}}}]
on_http_response:
  - expressions: ["res.status_code >= 400"]
    actions:
      - {type: add-headers, config: {headers: {x-bad: "1"}}}
      - {type: log, config: {metadata: {from: "${conn.client_ip}"}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the policy."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def tried(file: Path, capsys: pytest.CaptureFixture[str]) -> "Any":
    """Try the policy; return the JSON."""

    def attempt(*arguments: str) -> Any:
        capsys.readouterr()
        assert run(["policy", "test", str(file), "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return attempt


def rules(trial: Any, phase: str) -> list[str]:
    """Return what came of each rule of a phase."""
    [found] = [each for each in trial["phases"] if each["phase"] == phase]
    return [rule["result"] for rule in found["rules"]]


def test_a_valid_policy(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "check", str(file)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: valid: 1 rule in on_tcp_connect, 5 rules in on_http_request, 1 rule")
    assert run(["policy", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file), "valid": True, "problems": []}


def test_every_mistake_is_a_line_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "on_http_request:\n  - expressions: ['req.methd']\n    actions: [{type: saml}, {type: x}]\n"
    )
    assert run(["policy", "check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[:2] for line in lines] == [
        [f"{path}:2:19:", "ERR_NGROK_2200"],
        [f"{path}:3:22:", "ERR_NGROK_2201"],
        [f"{path}:3:36:", "ERR_NGROK_2201"],
    ]
    assert "did you mean 'req.method'" in lines[0]
    assert run(["policy", "check", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert [each["code"] for each in found["problems"]] == [
        "ERR_NGROK_2200",
        "ERR_NGROK_2201",
        "ERR_NGROK_2201",
    ]


def test_what_is_judged_depends_on_the_endpoint(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, code in (
        (["--protocol", "tcp"], "ERR_NGROK_2230"),
        (["--internal"], "ERR_NGROK_2262"),
        (["--cloud"], "ERR_NGROK_2235"),
    ):
        assert run(["policy", "check", str(file), *options]) == 1
        assert code in capsys.readouterr().out


def test_a_geoip_database_can_be_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "on_tcp_connect: [{expressions: [\"conn.geo.country_code == 'DE'\"], actions: [{type: deny}]}]"
    )
    assert run(["policy", "check", str(path)]) == 1
    assert "GeoIP database" in capsys.readouterr().out
    assert run(["policy", "check", str(path), "--geoip"]) == 0
    capsys.readouterr()
    for place, wanted in (("DE", "is closed"), ("FR", "goes on")):
        arguments = [
            "policy",
            "test",
            str(path),
            "--request",
            "tcp://a:1",
            "--json",
            "--geo",
            f"country_code={place}",
        ]
        assert run(arguments) == 0
        assert json.loads(capsys.readouterr().out)["outcome"] == wanted


def test_objects_of_the_account_are_taken_to_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.yaml"
    for name, code in (("ipp_2xyz", 0), ("nonsense", 1)):
        path.write_text(
            f"on_tcp_connect: [{{actions: [{{type: restrict-ips, config: {{ip_policies: [{name}]}}}}]}}]"
        )
        assert run(["policy", "check", str(path)]) == code
    assert "ERR_NGROK_2216" in capsys.readouterr().out
    terminate = "{type: terminate-tls, config: {mutual_tls_certificate_authorities: [ca_1]}}"
    path.write_text(f"on_tcp_connect: [{{actions: [{terminate}]}}]")
    assert run(["policy", "check", str(path)]) == 0


def test_standard_input_and_what_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(POLICY.encode())))
    assert run(["policy", "check", "-"]) == 0
    assert run(["policy", "check", str(tmp_path / "none.yaml")]) == 1
    (tmp_path / "latin").write_bytes(b"a: \xff")
    assert run(["policy", "check", str(tmp_path / "latin")]) == 1
    said = capsys.readouterr().err
    assert "No such file" in said
    assert "not UTF-8 at byte 3" in said


def test_a_request_that_goes_on(tried: Any) -> None:
    trial = tried("--request", "https://a.example/x?y=1", "-H", "X-Key: 1", "--status", "500")
    assert trial["outcome"] == "goes on"
    assert rules(trial, "on_http_request") == ["matched", "no match", "no match", "error", "matched"]
    assert trial["request"]["url"] == "https://a.example/x?y=1"
    assert ["x-edge", "GET"] in trial["request"]["headers"]
    assert trial["answer"] == {"status": 500, "headers": [["x-bad", "1"]], "body": ""}
    assert trial["phases"][2]["logs"] == [{"metadata": {"from": "203.0.113.1"}}]
    assert trial["phases"][1]["problems"][0]["code"] == "ERR_NGROK_2254"


def test_an_answer_passes_through_the_response_phase(tried: Any) -> None:
    trial = tried("--request", "https://a.example/admin", "--client-ip", "198.51.100.7")
    assert rules(trial, "on_http_request") == ["matched", "no match", "matched", "not reached", "not reached"]
    assert trial["verdict"]["status"] == 401
    assert trial["answer"]["body"] == "who is 198.51.100.7?"
    assert ["x-bad", "1"] in trial["answer"]["headers"]


def test_refusals(tried: Any) -> None:
    assert tried("--request", "post a.example")["answer"]["status"] == 405
    closed = tried("--request", "https://a.example/", "--client-ip", "10.9.9.9")
    assert closed["verdict"] == {"kind": "close", "code": "ERR_NGROK_3203"}
    assert closed["answer"] is None


@pytest.mark.row("G-013")
def test_rates_are_counted_over_equal_requests(tried: Any) -> None:
    assert tried("--request", "https://a.example/", "--times", "30")["outcome"] == "goes on"
    assert tried("--request", "https://a.example/", "--times", "31")["answer"]["status"] == 429


def test_what_people_see(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["policy", "test", str(file), "--request", "https://a.example/admin"]
    assert run(arguments) == 0
    assert capsys.readouterr().out == dedent(
        """\
        on_tcp_connect: goes on
          ✓ on_tcp_connect[0]: matched
              ran restrict-ips
        on_http_request: is answered 401 with 19 bytes
          ✓ on_http_request[0] limit: matched
              ran rate-limit
          · on_http_request[1] no writes: no match
              req.method != 'GET'
          ✓ on_http_request[2] admin: matched
              ran custom-response
            on_http_request[3] broken: not reached
            on_http_request[4]: not reached
        on_http_response: goes on
          ✓ on_http_response[0]: matched
              ran add-headers, log
          log {"metadata": {"from": "203.0.113.1"}}
        The request is answered 401 with 19 bytes.
        The visitor gets 401 with
          content-type: text/plain; charset=utf-8
          x-bad: 1

          who is 203.0.113.1?
        """
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--request", "a b c"],
        ["--request", "https://a", "-H", "no colon"],
        ["--request", "https://a", "--geo", "x"],
        ["--request", "https://a", "--geo", "nowhere=1"],
        [],
    ],
)
def test_wrong_use(file: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "test", str(file), *arguments]) == 2
    assert "Error: " in capsys.readouterr().err


def test_an_invalid_policy_is_not_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("a: 1")
    assert run(["policy", "test", str(path), "--request", "https://a"]) == 1
    assert "ERR_NGROK_2203" in capsys.readouterr().out
    assert run(["policy", "test", str(path), "--request", "https://a", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["valid"] is False


def test_without_its_libraries_it_says_what_to_install(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'cel_expr_python'", name="cel_expr_python")

    monkeypatch.setattr("portway.policy.compiler.compile_policy", missing)
    assert run(["policy", "check", str(file)]) == 1
    assert "portway[server]" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "--help"]) == 0
    assert "portway policy test policy.yaml" in click.unstyle(capsys.readouterr().out)


@pytest.mark.row("P-34")
def test_secrets_are_given_and_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, given = tmp_path / "policy.yaml", tmp_path / "secrets"
    file.write_text(
        """
        on_http_request:
          - expressions: ["secrets.get('prod', 'a/b') == 'whsec_1' && secrets.get('prod', 'key') == '1'"]
            actions:
              - type: custom-response
                config: {status_code: 401, body: "told ${secrets.get('prod', 'a/b')}"}
        """
    )
    given.write_text("prod/a/b=not this one\n\nprod/key=1\n")
    command = ["policy", "test", str(file), "--request", "https://a.example/"]
    command += ["--secrets-file", str(given), "--secret", "prod/a/b=whsec_1"]
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["answer"]["status"], found["answer"]["body"]) == (401, "told ***")
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert "told ***" in shown
    assert "whsec_1" not in shown
    for wrong in ("prod=1", "prod/key", "/key=1"):
        assert run(["policy", "test", str(file), "--request", "https://a/", "--secret", wrong]) == 2
        assert wrong not in capsys.readouterr().err


def test_people_see_what_errors_did_and_what_was_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        dedent(
            """\
            on_http_request:
              - expressions: ["vars.none == 1"]
                actions: [{type: log, config: {metadata: {}}}]
              - actions:
                  - {type: set-vars, config: {vars: [{a: "${6 * 7}"}]}}
                  - {type: forward-internal, config: {url: "https://a.internal", on_error: continue}}
              - expressions: ["vars.none == 1"]
                actions: [{type: deny}]
            """
        )
    )
    assert run(["policy", "test", str(path), "--request", "https://a.example/", "--offline"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  ! on_http_request[0]: error, so it does not match" in lines
    assert "  ! on_http_request[2]: error, and nobody passes a guard" in lines
    assert lines.count('      ERR_NGROK_2254 vars.none == 1: there is no key "none"') == 2
    assert '  vars {"a": 42}' in lines


def test_messages_of_event_streams_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "on_event_stream_message: [{actions: [{type: sse-find-replace, "
        "config: {replacements: [{from: secret, to: '***'}]}}]}]"
    )
    assert run(["policy", "test", str(path), "--request", "https://a.example/", "--event", "a secret"]) == 0
    assert capsys.readouterr().out.endswith("and a message with the data\n  a ***\n")
