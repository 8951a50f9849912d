"""SQLAlchemy's asyncio connections without its ORM, which nothing here uses.

The package that they live in imports the ORM too, and that takes as long again as all the rest:
more than a second on a slow machine, at every start of the service and in every ``portway admin``. So its
module is made without running it, and only the part with engines and connections is loaded, which needs no
more. Who has imported the whole package before gets that. `docs/decisions/0008-core-without-the-orm.md`.
"""

import sys
from importlib.util import find_spec, module_from_spec

import sqlalchemy.ext

_PACKAGE = f"{sqlalchemy.ext.__name__}.asyncio"

if _PACKAGE not in sys.modules:
    _spec = find_spec(_PACKAGE)
    assert _spec is not None, "SQLAlchemy has an asyncio package"
    sys.modules[_PACKAGE] = _package = module_from_spec(_spec)
    setattr(sqlalchemy.ext, "asyncio", _package)  # noqa: B010  as an import would; the name is not declared there

from sqlalchemy.ext.asyncio.engine import AsyncConnection, AsyncEngine, create_async_engine  # noqa: E402

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine"]
