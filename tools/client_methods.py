"""Write docs/reference/api-client.md: how each method of ngrok's official Python client does on our service.

Starts a service on free ports of loopback, runs tests/kit/client_methods.py on it and writes what came of
it. Takes about half a minute. tests/system/test_api.py checks that the page is what it would write.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "api-client.md"


def main() -> int:
    """Write the page; return the exit status."""
    sys.path.insert(0, str(ROOT))
    from tests.kit.client_methods import act, page
    from tests.kit.product import running_service

    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        run = act(service)
    PAGE.write_text(page(run))
    failed = [name for name, how in run.results().items() if how != "passed"]
    print(f"{PAGE.relative_to(ROOT)}: {len(run.results()) - len(failed)} of {len(run.results())} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
