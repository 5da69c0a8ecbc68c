"""Serve the site of docs/ on 127.0.0.1 with the chat widget, which answers from its pages: `make docs-demo`.

The pages are built into build/docs-demo/ and indexed there; links in answers lead to the pages. Ctrl-C stops both
servers.
"""

import argparse
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build/docs-demo"
PAGES = ("[!4]*.html", "decisions/*.html")
"""The pages of the site that are indexed: not those with code, nor the one for a wrong address."""


def main() -> None:
    """Build, index and serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000, help="port of the service that answers")
    parser.add_argument("--site-port", type=int, default=8080, help="port of the pages")
    ports = parser.parse_args()
    site, endpoint = f"http://127.0.0.1:{ports.site_port}", f"http://127.0.0.1:{ports.port}"
    build_site(FOLDER / "site", endpoint)
    run = partial(subprocess.Popen, env=settings_of(FOLDER, site), cwd=FOLDER)
    if (code := run(command("index")).wait()) != 0:
        sys.exit(code)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(FOLDER / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", ports.site_port), handler) as server:
        service = run(command("serve", "--port", str(ports.port)))
        threading.Thread(target=lambda: (service.wait(), server.shutdown()), daemon=True).start()
        print(f"the pages are on {site}", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()  # until Ctrl-C, or until the service has ended
        service.terminate()
        sys.exit(max(service.wait(), 0))


def build_site(folder: Path, endpoint: str = "") -> None:
    """Build the site of docs/, with a widget that asks the service at ``endpoint``, or without a widget."""
    environment = os.environ | {"QA_DOCS_ENDPOINT": endpoint, "NO_MKDOCS_2_WARNING": "1"}
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    subprocess.run(mkdocs, cwd=ROOT, env=environment, check=True)


def settings_of(folder: Path, address: str) -> dict[str, str]:
    """Return the environment of a service that answers from the site in ``folder``, published at ``address``."""
    site = folder / "site"
    pages = sorted(path.relative_to(site).as_posix() for pattern in PAGES for path in site.glob(pattern))
    return os.environ | {
        "QA_SOURCE": str(site),
        "QA_INDEX": str(folder / "index"),
        "QA_DATA": str(folder / "data"),
        "QA_INCLUDE": ",".join(pages),
        "QA_PUBLISHED": address,
        "QA_ORIGINS": address,
    }


def command(*arguments: str) -> Sequence[str]:
    """Return a command of the service."""
    return [sys.executable, "-m", "qa_service", *arguments]


if __name__ == "__main__":
    main()
