"""Sites that tests build with a generator and serve, with a service that answers on their pages."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, published, served
from filelock import FileLock
from packages import fetch
from playwright.sync_api import Browser, Page, expect
from processes import PATIENCE

from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

INTEGRATIONS = ROOT / "integrations"
FOUND = "Where does the cat sleep?"
ANSWER = "The cat sleeps on the warm mat."


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and logs nothing; a missing page is 404.html, as on the usual hosts, a missing icon is empty."""

    def log_message(self, *_: object) -> None:
        pass

    def send_error(self, code: int, *rest: Any) -> None:
        page = Path(self.directory, "404.html")
        if self.path == "/favicon.ico":
            self.send_response(204)
            self.end_headers()
            return
        if code != 404 or not page.exists():
            super().send_error(code, *rest)
            return
        self.send_response(404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page.read_bytes())


@contextmanager
def site_and_service(folder: Path, answerer: QuestionAnswerer, settings: Settings) -> Iterator[tuple[str, str]]:
    """Serve a folder and a service that its pages may ask; yield the addresses of both."""
    folder.mkdir(exist_ok=True)
    with (
        published(partial(Quiet, directory=str(folder))) as site,
        served(answerer, settings.model_copy(update={"origins": (site,)})) as port,
    ):
        yield site, f"http://127.0.0.1:{port}"


def pip_target(temporary: pytest.TempPathFactory, name: str, arguments: Sequence[object]) -> Path:
    """Install packages into a folder for PYTHONPATH, once for all test processes."""
    root = temporary.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / name
    with FileLock(root / f"{name}.lock"):
        if not folder.exists():
            partial_folder = folder.with_suffix(".partial")
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
            fetch(*pip, "--no-deps", "--target", partial_folder, *arguments, cwd=root)
            partial_folder.rename(folder)
    return folder


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """Open a page; yield it and the list of its faults."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-US", **options)
    page.set_default_timeout(1000 * PATIENCE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type in {"error", "warning"} else None)
    yield page, faults
    page.close()


def ask(page: Page, question: str = FOUND, answer: str = ANSWER) -> None:
    """Open the launcher's panel if it is closed, ask as a reader does, and wait for the quote."""
    if page.locator("qa-chat").evaluate("chat => !chat.isOpen"):
        page.locator("qa-chat [part~=launcher]").click()
    page.locator("qa-chat [part~=input]").fill(question)
    page.locator("qa-chat [part~=input]").press("Enter")
    expect(page.locator("qa-chat [part~=quote]").first).to_have_text(answer, timeout=1000 * PATIENCE)


def entries(page: Page) -> int:
    """Return the number of questions in the only chat of a page."""
    expect(page.locator("qa-chat [part~=launcher]")).to_have_count(1, timeout=1000 * PATIENCE)
    return page.locator("qa-chat [part~=entry]").count()
