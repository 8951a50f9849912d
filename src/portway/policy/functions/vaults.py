"""``secrets.get``: what an account keeps in its vaults."""

from typing import Final

from portway.policy.functions import Function, FunctionError, scope


def _get(vault: str, name: str) -> str:
    found = scope().secret(vault, name)
    if found is None:
        raise FunctionError(f"there is no secret {name[:80]!r} in a vault {vault[:80]!r}")
    return found


FUNCTIONS: Final = [Function("secrets.get", ("string", "string"), "string", _get)]
