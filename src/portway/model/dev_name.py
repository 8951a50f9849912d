"""Dev domains: their names, two words and a number that people can say and type; their identifiers."""

import hashlib
from typing import Final

from portway.model.ids import RandomBytes, made_at, new_id

_ADJECTIVES: Final = (
    "able airy amber apt ashen bold brave brief bright brisk calm candid chief civil clear clever"
    " cosy crisp curly deft dry eager early easy even fair fast fine firm fond frank free"
    " fresh full gentle glad golden grand green happy hardy honest humble jolly keen kind late lean"
    " light lithe lively lucid lucky mellow merry mild modest neat nimble noble plain proud quick quiet"
)

_NOUNS: Final = (
    "acorn alder aspen badger bay beaver beech birch bison brook cedar clover comet coral crane creek"
    " cricket delta dune eagle elm ember falcon fern finch fjord fox garnet geyser glade grove gull"
    " harbor hare hawk heron hill ibex iris island ivy jasper jay kestrel lagoon lake lark laurel"
    " lemur lichen lily linden lotus lynx magpie maple marten meadow mesa mole moss otter owl pine"
)

ADJECTIVES: Final = tuple(_ADJECTIVES.split())
NOUNS: Final = tuple(_NOUNS.split())
NUMBERS: Final = 10_000
"""So many numbers follow the words: 41 million names in all."""


def dev_label(random: RandomBytes) -> str:
    """Draw a label such as ``calm-otter-0417``. It is a public name, not a secret."""
    first, second = random(2)
    number = int.from_bytes(random(8), "big") % NUMBERS
    return f"{ADJECTIVES[first % len(ADJECTIVES)]}-{NOUNS[second % len(NOUNS)]}-{number:04}"


def dev_id(account_id: str, base: str) -> str:
    """Return the identifier of an account's dev domain below a base domain.

    It follows from the two, so the row is found at once or is not there; and it is as old as the account,
    so it comes last in a list. Raises ValueError for what is no account's identifier.
    """

    def derived(count: int) -> bytes:
        return hashlib.sha256(f"{account_id} {base}".encode()).digest()[:count]

    return new_id("rd", derived, made_at(account_id))
