"""Tests of the kind of fetch that inspects: files, threads, failures, and whole requests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kit.agent import code
from tests.kit.crs import need_crs
from tests.kit.fetching import fetching, put
from tests.kit.http_edge import AgentStream
from tests.kit.policy import EXAMPLE_WORLD, policy
from tests.kit.service import running_worker, settings

from portway.edge import waf, waf_engine
from portway.edge.fetch_kinds import fetch_kinds
from portway.edge.registry import Registry
from portway.edge.waf import SETS, Firewall, files_of, open_crs
from portway.edge.waf_engine import Question
from portway.errors import ConfigError
from portway.model.guard import Guard
from portway.net.web_client import WebClient
from portway.policy.actions.waf import Inspected

pytestmark = [pytest.mark.row("P-57"), pytest.mark.xdist_group("crs")]

SQLI = "/?id=1%27%20OR%20%271%27%3D%271"
LEAK = (
    b"You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version"
    b" for the right syntax"
)


def document(kind: str = "request", config: str = "{}") -> str:
    return f"on_http_{kind}: [{{actions: [{{type: owasp-crs-{kind}, config: {config}}}]}}]"


@pytest.fixture(scope="module")
def firewall() -> Iterator[Firewall]:
    """Open the machine's rules; they are read once for all tests here."""
    made = open_crs([need_crs()])
    yield made
    made.close()


async def answers(
    text: str, firewall: Firewall, *requests: tuple[str, bytes], says: bytes = b"hello"
) -> list[tuple[int, str]]:
    """Return status and code of what these requests get."""
    found: list[tuple[int, str]] = []

    def serve(stream: AgentStream) -> None:
        stream.ok(says, b"Content-Type: text/html")

    async with fetching(kinds={"inspect": firewall.fetch}, serve=serve) as (on, _):
        put(on, policy(text, world=EXAMPLE_WORLD))
        for target, body in requests:
            client = await on.stand.visit()
            lines = ["User-Agent: Mozilla/5.0", "Accept: */*"]
            if body:
                lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
            client.send(f"{'POST' if body else 'GET'} {target} HTTP/1.1", *lines, body=body)
            status, fields, _ = await client.answer()
            found.append((status, fields.get("ngrok-error-code", "")))
    return found


REFUSED = (403, "ERR_NGROK_3700")


async def test_attacks_are_refused_and_others_served(firewall: Firewall) -> None:
    attacks = [SQLI, "/?q=%3Cscript%3Ealert(1)%3C/script%3E", "/?f=../../../../etc/passwd"]
    probes = [(each, b"") for each in attacks]
    assert await answers(document(), firewall, *probes, ("/?q=hello", b"")) == [REFUSED] * 3 + [(200, "")]
    assert await answers(document(config="{on_error: continue}"), firewall, *probes) == [(200, "")] * 3


async def test_of_a_body_the_beginning_counts(firewall: Firewall) -> None:
    attack = b"q=<script>alert(1)</script>"
    late = b"a=" + b"x" * 5000 + b"&" + attack
    wanted = document(config="{process_body: true}")
    probes = ("/", attack), ("/", late), ("/", b"q=hello")
    assert await answers(wanted, firewall, *probes) == [REFUSED, (200, ""), (200, "")]
    assert await answers(document(), firewall, ("/", attack)) == [(200, "")]


async def test_responses_that_tell_too_much_are_refused(firewall: Firewall) -> None:
    text = document("response", "{process_body: true}")
    assert await answers(text, firewall, ("/", b""), says=LEAK) == [(403, "ERR_NGROK_3702")]
    assert await answers(text, firewall, ("/", b""), (SQLI, b"")) == [(200, "")] * 2
    assert await answers(document("response"), firewall, ("/", b""), says=LEAK) == [(200, "")]


async def test_rules_that_are_left_out_refuse_nothing(firewall: Firewall) -> None:
    """A rule that is left out for one policy counts for all others."""
    text = document(config="{exclude_rule_ids: [942100]}")
    assert await answers(text, firewall, (SQLI, b"")) == [(200, "")]
    assert await answers(document(), firewall, (SQLI, b"")) == [REFUSED]


async def test_a_firewall_that_does_not_work_is_a_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    need_crs()
    (tmp_path / "REQUEST-901-INITIALIZATION.conf").write_text("SecRule nonsense\n")
    with pytest.raises(ConfigError, match="REQUEST-901"):  # the service does not start with them
        open_crs([tmp_path])
    broken = Firewall(files_of([tmp_path]))
    assert await answers(document(), broken, ("/", b""), ("/", b"")) == [(500, "ERR_NGROK_3701")] * 2
    assert await answers(document(config="{on_error: continue}"), broken, ("/", b"")) == [(200, "")]
    assert "REQUEST-901" in caplog.text
    broken.close()
    broken.close()


def question(number: int) -> Question:
    return Question(("192.0.2.1", 1), ("192.0.2.2", 443), "GET", b"/%d" % number, "1.1", ())


def test_sets_of_rules_are_bounded_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, ...]] = []

    class Counted:
        def __init__(self, files: tuple[Path, ...]) -> None:
            self.files = files

        def rules(self, excluded: tuple[int, ...]) -> "Counted":
            read.append(excluded)
            return self

        def inspect(self, _question: Question) -> Inspected:
            return Inspected(0, ())

    monkeypatch.setattr(waf, "Engine", Counted)
    made = Firewall(())
    for number in (*range(SETS), 0, SETS, 0, 1):
        made.inspect(question(number), (number,))
    assert read == [(number,) for number in (*range(SETS), SETS, 1)]
    assert f"{SETS} sets" in repr(made)
    made.close()


def test_an_engine_that_cannot_be_loaded_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waf_engine, "MODULE", "portway_no_such_module")
    made = Firewall(())
    with pytest.raises(waf_engine.EngineFailure, match="cannot be loaded"):
        made.inspect(question(1))
    made.close()


def test_files_are_found_in_their_order(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    names = ["REQUEST-901-INITIALIZATION.conf", "RESPONSE-980-CORRELATION.conf"]
    for name in names:
        (rules / name).touch()
    assert [each.name for each in files_of([tmp_path])] == names
    (tmp_path / "crs-setup.conf.example").touch()
    assert [each.name for each in files_of([tmp_path])] == ["crs-setup.conf.example", *names]
    (tmp_path / "crs-setup.conf").touch()
    (tmp_path / "REQUEST-900-MINE.conf").touch()
    mine = ["crs-setup.conf", "REQUEST-900-MINE.conf", *names]
    assert [each.name for each in files_of([tmp_path])] == mine
    assert [each.name for each in files_of([*sorted(tmp_path.glob("*.conf")), rules])] == mine


def test_what_has_no_rules_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--crs: .* has no rules"):
        files_of([tmp_path / "absent"])
    (tmp_path / "mine.conf").touch()
    with pytest.raises(ConfigError, match="no OWASP Core Rule Set"):
        files_of([tmp_path])
    monkeypatch.setattr(waf, "MODULE", "portway_no_such_module")
    with pytest.raises(ConfigError, match=r"portway\[waf\]"):
        open_crs([tmp_path])


def test_the_kind_is_there_only_with_rules() -> None:
    client, made = WebClient(Guard()), Firewall(())
    assert "inspect" not in fetch_kinds(client, client, Registry(), lambda: 0.0)
    assert "inspect" in fetch_kinds(client, client, Registry(), lambda: 0.0, made)
    made.close()


async def test_without_rules_an_agents_policy_is_refused() -> None:
    asked = {"URL": "", "TrafficPolicy": document()}
    async with running_worker() as service, service.connected() as agent:
        assert code(await agent.bind("https", asked)) == "2201"
    config = settings(crs=(need_crs(),))
    async with running_worker(config=config) as service, service.connected() as agent:
        assert (await agent.bind("https", asked))["Error"] == ""
