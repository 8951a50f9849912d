"""The command of an SSH client, read."""

import re

import pytest

from portway.edge.ssh_command import FLAGS, PROTOCOLS, read_command, usage
from portway.errors import Error


def code_of(line: str) -> str:
    with pytest.raises(Error) as refused:
        read_command(line)
    assert refused.value.message
    return refused.value.code.removeprefix("ERR_NGROK_")


def test_a_command_with_everything() -> None:
    asked = read_command(
        "http --url https://a.example.com --name n --description 'a b' --metadata=m --pooling-enabled "
        "--binding public --basic-auth 'u:pass:word1' --basic-auth v:password2 --cidr-allow 10.0.0.0/8 "
        "--cidr-deny=::/0 --circuit-breaker 0.5 --compression --request-header-add='a: b' "
        "--request-header-remove c --response-header-add d:e --response-header-remove f "
        "--ua-filter-allow 'x.*' --ua-filter-deny y --host-header localhost --region eu"
    )
    assert (asked.proto, asked.url, asked.name) == ("http", "https://a.example.com", "n")
    assert (asked.description, asked.metadata, asked.pooling) == ("a b", "m", True)
    assert asked.bindings == ("public",)
    assert asked.modules == {
        "BasicAuth": {
            "credentials": [
                {"username": "u", "cleartext_password": "pass:word1"},
                {"username": "v", "cleartext_password": "password2"},
            ]
        },
        "IPRestriction": {"allow_cidrs": ["10.0.0.0/8"], "deny_cidrs": ["::/0"]},
        "CircuitBreaker": {"error_threshold": 0.5},
        "Compression": {},
        "RequestHeaders": {"add": ["a: b", "host:localhost"], "remove": ["c"]},
        "ResponseHeaders": {"add": ["d:e"], "remove": ["f"]},
        "UserAgentFilter": {"allow": ["x.*"], "deny": ["y"]},
    }


def test_older_ways_to_say_an_address() -> None:
    assert read_command("http --domain a.b").domain == "a.b"
    assert read_command("tls --hostname a.b").hostname == "a.b"
    assert read_command("http --subdomain a").subdomain == "a"
    assert read_command("tcp --remote-addr h:1").remote_addr == "h:1"


def test_switches_may_be_said_off() -> None:
    assert not read_command("tcp --pooling-enabled=false").pooling
    assert read_command("http --compression=false").modules == {"Compression": None}
    assert read_command("http --host-header preserve").modules == {}


@pytest.mark.row("K-31")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", "1107"),
        ("   ", "1107"),
        ("udp", "1108"),
        ("bash -c ls", "1108"),
        ("HTTP", "1108"),
        ("http --traffic-policy-file p.yml", "1109"),
        ("http --crt a --key b", "1109"),
        ("http --authtoken x", "1109"),
        ("http --remote-addr a:1", "1109"),
        ("tcp --basic-auth u:password1", "1109"),
        ("http --host-header rewrite", "1109"),
        ("http 'unclosed", "1110"),
        ("http 8080", "1110"),
        ("http --nonsense", "1110"),
        ("http -url x", "1110"),
        ("http --url", "1110"),
        ("http --compression=perhaps", "1110"),
        ("http --basic-auth nobody", "1110"),
        ("http --circuit-breaker much", "1110"),
        ("http --metadata " + "x" * 20_000, "1110"),
    ],
)
def test_what_is_wrong_has_its_code(line: str, code: str) -> None:
    assert code_of(line) == code


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("http --metdata x", "did you mean --metadata?"),
        ("tcp --zzz", "tcp --help lists those that there are"),
    ],
)
def test_an_unknown_flag_is_told_what_was_meant(line: str, what: str) -> None:
    with pytest.raises(Error, match=re.escape(what)):
        read_command(line)


@pytest.mark.row("T-063")
@pytest.mark.parametrize("proto", PROTOCOLS)
@pytest.mark.parametrize("flag", ["proxy-proto", "upstream-proxy-protocol"])
def test_proxy_headers_are_refused(proto: str, flag: str) -> None:
    assert code_of(f"{proto} --{flag}=1") == "1109"
    assert code_of(f"{proto} --{flag} 2") == "1109"
    assert code_of(f"{proto} --{flag}=3") == "1123"


@pytest.mark.parametrize("proto", PROTOCOLS)
def test_help_lists_the_flags_that_there_are(proto: str) -> None:
    assert read_command(f"{proto} --help").help
    assert read_command(f"{proto} -h --nothing-else".split(" --")[0]).help
    shown = usage(proto)
    for name, flag in FLAGS.items():
        assert (f"--{name} " in shown) == (proto in flag.protocols and not flag.hidden)


def test_help_alone() -> None:
    assert read_command("--help").help
    assert "http|tls|tcp" in usage("")
