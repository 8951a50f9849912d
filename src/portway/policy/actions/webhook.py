"""``verify-webhook``: let only those requests in that their sender has signed."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from portway.policy.actions import Action, ActionType
from portway.policy.phase import HTTP, Phase
from portway.policy.verdict import Failed, Fetch, Respond, Verdict, refusal
from portway.policy.webhook_providers import ALIASES, CHALLENGES, PROVIDERS, REFUSED_WITH, SNS, UNKNOWN
from portway.policy.webhook_schemes import public_key, sns, sns_certificate_url
from portway.policy.webhooks import Hook, Unverified

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

BODY: Final = 10 << 20
"""Bytes of a body that can be verified."""
SECRET: Final = 8192
NOT_VERIFIED: Final = 3204
BAD_KEY: Final = 2087


@dataclass(frozen=True, slots=True)
class _VerifyWebhook:
    provider: str
    secret: "Template"
    enforce: bool

    def run(self, run: "Run") -> Verdict | None:
        return Fetch("body", {"limit": BODY, "whole": True})

    def resume(self, run: "Run", result: object) -> Verdict | None:
        if isinstance(result, Failed):
            if run.kept is None and result.status != 413:
                return refusal(result.status, result.code, result.message)
            return self._refuse(run, result.message)
        try:
            if run.kept is not None:
                hook, run.kept = cast("Hook", run.kept), None
                sns(hook, run.text(self.secret), cast("bytes", result))
                return self._allow(run)
            return self._judge(run, _hook(run, cast("bytes", result)))
        except Unverified as error:
            return self._refuse(run, str(error))

    def _judge(self, run: "Run", hook: Hook) -> Verdict | None:
        if self.provider == SNS:
            url = sns_certificate_url(hook)
            run.kept = hook
            return Fetch("sns certificate", {"url": url})
        secret = run.text(self.secret)
        if not secret:
            raise Unverified("there is no secret")
        challenge = CHALLENGES.get(self.provider)
        reply = challenge(hook, secret) if challenge is not None else None
        if reply is not None:
            self._allow(run)
            return Respond(200, ((b"content-type", reply.kind),), reply.body)
        PROVIDERS[self.provider](hook, secret)
        return self._allow(run)

    def _allow(self, run: "Run") -> None:
        run.decisions["webhook_verification.decision"] = "allow"
        run.publish("verify_webhook", {"verified": True, "error": {"code": "", "message": ""}})

    def _refuse(self, run: "Run", why: str) -> Verdict | None:
        error = {"code": f"ERR_NGROK_{NOT_VERIFIED}", "message": why}
        run.decisions["webhook_verification.decision"] = "block"
        run.publish("verify_webhook", {"verified": False, "error": error})
        run.note("failed", f"verify-webhook: {why}", NOT_VERIFIED)
        if not self.enforce:
            return None
        status = REFUSED_WITH.get(self.provider, 403)
        return refusal(status, NOT_VERIFIED, "The request is not verified to be a webhook of its sender.")


def _hook(run: "Run", body: bytes) -> Hook:
    request = run.request
    fields: dict[str, list[str]] = {}
    for name, value in request.fields:
        fields.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return Hook(request.method, request.asked or request.url, fields, body, run.now)


def _parse(config: "Fields", _compiler: "Compiler") -> Action:
    node = config.require("provider")
    name = config.text_of(node, "provider") if node is not None else ""
    provider = ALIASES.get(name, name)
    if node is not None and provider in UNKNOWN:
        said = f"{name} does not publish how its webhooks are signed, so they cannot be verified"
        config.problem(2222, said, node)
    elif node is not None and provider not in PROVIDERS and provider != SNS:
        config.problem(2222, f"there is no webhook provider {json.dumps(name[:60])}", node)
    secret = config.template("secret", "" if provider == SNS else None, most=SECRET)
    given = config.find("secret")
    if given is not None and secret.is_constant:
        if not secret.literal and provider != SNS:
            config.problem(2223, "secret may not be empty", given)
        elif provider == "sendgrid":
            try:
                public_key(secret.literal)
            except Unverified as error:
                config.problem(BAD_KEY, str(error), given)
    return _VerifyWebhook(provider, secret, config.boolean("enforce", default=True))


def _is_enforced(action: Action) -> bool:
    return not isinstance(action, _VerifyWebhook) or action.enforce


TYPES: Final = [
    ActionType(
        "verify-webhook",
        _parse,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        result="verify_webhook",
        guards=_is_enforced,
    )
]
