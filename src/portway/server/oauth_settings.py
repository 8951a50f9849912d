"""The operator's applications at identity providers: the section ``oauth`` of the configuration file.

::

    oauth:
      providers:
        google:
          client_id: 1234.apps.example
          client_secret: s3cret
          issuer: https://accounts.google.com     # optional: another one in the place of the usual

With them a policy may just say ``provider: google``. The secret stands in the file alone: flags and variables
are seen by others on the machine.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

from portway.errors import ConfigError
from portway.model.identity import ProviderApp, issuer_problem
from portway.model.login_checks import PROVIDERS
from portway.server.yaml_file import Entry

_FIELDS: Final = ("client_id", "client_secret", "issuer")
_LONGEST: Final = 4096


def providers_of(entries: Sequence[Entry]) -> Mapping[str, ProviderApp]:
    """Return the applications by the name of their provider. Raises ConfigError, which says where."""
    found: dict[str, dict[str, str]] = {}
    for each in entries:
        name, field = _place(each)
        if len(each.text) > _LONGEST or not each.text.isprintable():
            raise ConfigError(f"{each.place}: {field} is too long or holds control characters")
        if field == "issuer" and (said := issuer_problem(each.text)):
            raise ConfigError(f"{each.place}: issuer {said}")
        found.setdefault(name, {})[field] = each.text
    for name, given in found.items():
        if ("client_id" in given) != ("client_secret" in given):
            there, missing = _FIELDS[:2] if "client_id" in given else _FIELDS[1::-1]
            place = next(each.place for each in entries if each.path[1:] == (name, there))
            raise ConfigError(f"{place}: oauth.providers.{name} has {there} and no {missing}")
    return {name: ProviderApp(**given) for name, given in found.items()}


def _place(each: Entry) -> tuple[str, str]:
    """Return provider and field. Raises ConfigError for a key that there is not."""
    if len(each.path) != 3 or each.path[0] != "providers":
        raise ConfigError(
            f"{each.place}: oauth.{'.'.join(each.path)} is not an option; wanted is"
            " oauth.providers.NAME.client_id, client_secret or issuer"
        )
    _, name, field = each.path
    for text, known in ((name, tuple(PROVIDERS)), (field, _FIELDS)):
        if text not in known:
            close = difflib.get_close_matches(text, known, 1)
            more = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
            raise ConfigError(f"{each.place}: {text!r} is none of oauth.providers{more}")
    return name, field
