"""Two accounts at one API, and the check that neither learns anything of what the other has."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from portway.control.api.app import make_app
from portway.control.service import accounts, api_keys
from tests.kit.api import Api
from tests.kit.names import configured
from tests.kit.store import Clock, opened


@asynccontextmanager
async def two_apis(folder: Path, clock: Clock | None = None) -> AsyncGenerator[tuple[Api, Api]]:
    """Open the API of an empty store, as ann calls it and as ben does."""
    async with opened(folder, clock) as bare:
        context = configured(bare, folder)
        ann = await accounts.add(context, "ann")
        key = (await api_keys.add(context, ann.id)).token
        api = Api(make_app(context), context, key, ann.id)
        yield api, await api.other_account("ben")


async def is_private(ann: Api, ben: Api, path: str, *below: str, update: object) -> None:
    """Check that something of ann's is for ben what never was, with every verb, and still there for ann.

    ``path`` is the resource's; ``below`` are things below it that can be deleted.
    """
    absent = path[:-5] + "xxxxx"
    assert absent != path
    for verb, place, body in (
        ("GET", "", None),
        ("PATCH", "", update),
        ("DELETE", "", None),
        *(("DELETE", each, None) for each in below),
    ):
        foreign = await ben.send(verb, path + place, body)
        never = await ben.send(verb, absent + place, body)
        assert foreign.status == 404, (verb, place)
        assert foreign.without_operation() == never.without_operation(), (verb, place)
    collection = path.rpartition("/")[0]
    answer = (await ben.get(collection)).json
    (listed,) = cast(
        "list[list[dict[str, Any]]]", [each for each in answer.values() if isinstance(each, list)]
    )
    assert path not in {each["uri"].removeprefix(ben.context.settings.api_url) for each in listed}
    assert (await ann.get(path)).status == 200
