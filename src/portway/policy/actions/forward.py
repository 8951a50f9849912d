"""``forward-internal``: let another endpoint of the account serve the request, or the connection."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.errors import Error
from portway.model.url import parse_endpoint_url
from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.phase import HTTP, Phase
from portway.policy.verdict import Failed, Forward, Verdict

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

NO_URL: Final = 2226


def target_of(url: str, protocol: str) -> str:
    """Return the URL of an internal endpoint, folded. Raises Error 2226."""
    try:
        scheme = url.partition("://")[0].lower()
        found = parse_endpoint_url(url, scheme, binding="internal")
    except Error as error:
        raise Error(f"{url!r} is no URL of an internal endpoint: {error.message}", NO_URL) from error
    family = HTTP if protocol in HTTP else frozenset((protocol,))
    if found.scheme not in family:
        raise Error(f"An endpoint of {protocol} cannot forward to one of {found.scheme}.", NO_URL)
    if found.is_random or not found.is_internal:
        raise Error(f"{url!r} is not the URL of an internal endpoint, such as https://name.internal.", NO_URL)
    return str(found)


@dataclass(frozen=True, slots=True)
class ForwardInternal:
    """Hand over; what to do when that fails is said by ``go_on``."""

    url: "Template"
    go_on: bool
    protocol: str

    def run(self, run: "Run") -> Verdict | None:
        """Ask the edge to hand over."""
        try:
            text = run.text(self.url)
        except ActionFailed as error:
            return self._failed(run, "", Failed(error.code, error.message, error.status))
        try:
            url = target_of(text, self.protocol)
        except Error as error:
            return self._failed(run, text, Failed(2247, error.message, 500))
        run.kept = url  # computed once: the same texts may be others when it is told what failed
        return Forward(url, self.go_on)

    def resume(self, run: "Run", result: object) -> "Verdict | None":
        """Hear that it could not be done."""
        failed = result if isinstance(result, Failed) else Failed(2300, "Forwarding failed.", 500)
        url, run.kept = parse_endpoint_url(str(run.kept), binding="internal"), None
        return self._failed(run, f"{url.scheme}://{url.hostport}", failed)

    def _failed(self, run: "Run", url: str, failed: Failed) -> None:
        if not self.go_on:
            raise ActionFailed(failed.code, failed.message, failed.status)
        error = {"code": f"ERR_NGROK_{failed.code}", "message": failed.message}
        run.publish("forward_internal", {"url": url, "error": error})


def _parse(config: "Fields", compiler: "Compiler") -> Action:
    if compiler.phase is Phase.TCP_CONNECT and compiler.protocol in HTTP:
        config.problem(2205, "connections of http and https cannot be forwarded, their requests can")
    node = config.find("url")
    template = config.template("url", least=1)
    if node is not None and node.text and template.is_constant:
        try:
            target_of(template.literal, compiler.protocol)
        except Error as error:
            compiler.problem(NO_URL, node, error.message)
    go_on = config.choice("on_error", ("halt", "continue"), "halt") == "continue"
    config.choice("binding", ("internal",), "internal")  # there is no other, and one guide says so
    return ForwardInternal(template, go_on, compiler.protocol)


def _is_end(action: Action) -> bool:
    return isinstance(action, ForwardInternal) and not action.go_on


TYPES: Final = [
    ActionType(
        "forward-internal",
        _parse,
        frozenset((Phase.TCP_CONNECT, Phase.HTTP_REQUEST)),
        frozenset(("http", "https", "tcp", "tls")),
        result="forward_internal",
        terminates=_is_end,
    )
]
