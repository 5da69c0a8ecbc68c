"""Take the pictures of docs/pictures/ in chromium: `make pictures`.

It indexes source_text/, evaluates the shipped questions, serves the index on a free port of 127.0.0.1, and opens the
playground, docs/examples/launcher.html with the chat widget, and the HTML report of the evaluation, light and dark.
For docs/gallery.md it opens the widget in each mode, light, dark, on a phone, at 200 % zoom, and from right to left.
"""

import functools
import http.server
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from common import serving

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
PICTURES = Path(__file__).parent
QUESTIONS = ROOT / "tests/data/us-korea-questions.jsonl"
ASKED = {
    "playground": "How many launchers are there in a THAAD battery?",
    "widget": "When was the mutual defense treaty signed?",
}
PROGRAM = (sys.executable, "-m", "qa_service")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
COLOURS = 64
GALLERY_COLOURS = 32
MAX_BYTES = 60_000
MODES = ("inline", "page", "launcher", "dialog", "sidebar", "preview", "playground")
DESKTOP = {"viewport": {"width": 1000, "height": 600}}
VARIANTS: dict[str, dict[str, Any]] = {
    "light": DESKTOP | {"color_scheme": "light"},
    "dark": DESKTOP | {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 720}, "is_mobile": True, "has_touch": True},
    "zoom": {"viewport": {"width": 640, "height": 400}},  # a window of 1280 by 800 at 200 %
    "rtl": DESKTOP,
}
WAIT_MILLISECONDS = 60_000
SETTLE_MILLISECONDS = 300  # of drawing, once everything has come


def main() -> None:
    """Build what the pictures show, and write them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no chromium found; `make programs` installs it on Debian")
    with tempfile.TemporaryDirectory(prefix="pictures-") as name:
        folder = Path(name)
        os.chdir(folder)  # away from a .env file, and the data folder of a service
        flags = ["--source", str(ROOT / "source_text"), "--index", str(folder / "index")]
        subprocess.run([*PROGRAM, "index", *flags], check=True)
        subprocess.run([*PROGRAM, "evaluate", str(QUESTIONS), *flags, "--output", str(folder / "run")], check=True)
        (folder / "site").mkdir()
        report = (folder / "run/report.html").as_uri()
        with published(folder / "site") as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--hide-scrollbars"])
            for scheme in SCHEMES:
                # A new service, which answers nothing from its cache.
                with serving(*flags, QA_ORIGINS=site) as (address, _):
                    html = (ROOT / "docs/examples/launcher.html").read_text(encoding="utf-8")
                    host_page = html.replace("https://qa.example.org", address)
                    (folder / "site/index.html").write_text(host_page, encoding="utf-8")
                    take(browser, scheme, {"playground": address, "widget": site, "report": report})
            with serving(*flags, QA_ORIGINS=site) as (address, _):
                gallery(browser, address, site, folder / "site/index.html")
            browser.close()


@contextmanager
def published(folder: Path) -> Iterator[str]:
    """Publish a folder on a free port, as the site that has the widget; yield its address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def take(browser: Browser, scheme: Literal["light", "dark"], addresses: dict[str, str]) -> None:
    """Write the pictures of one colour scheme."""
    context = browser.new_context(
        viewport={"width": 1100, "height": 640}, device_scale_factor=1.5, color_scheme=scheme, locale="en-US"
    )
    context.set_default_timeout(WAIT_MILLISECONDS)
    page = context.new_page()
    for name, address in addresses.items():
        page.goto(address)
        page.get_by_role("heading").first.wait_for()
        if name == "widget":
            page.locator("qa-chat .launch").click()
        if question := ASKED.get(name):
            ask(page, question)
        save(page, f"{name}-{scheme}")
    context.close()


def gallery(browser: Browser, address: str, site: str, host_page: Path) -> None:
    """Write the pictures of docs/gallery.md. The playground is in English, so that it has none from right to left."""
    example = (
        (ROOT / "docs/examples/launcher.html").read_text(encoding="utf-8").replace("https://qa.example.org", address)
    )
    for variant, options in VARIANTS.items():
        context = browser.new_context(locale="en-US", reduced_motion="reduce", **options)
        context.set_default_timeout(WAIT_MILLISECONDS)
        page = context.new_page()
        for mode in MODES[: -1 if variant == "rtl" else None]:
            host_page.write_text(in_mode(example, mode, rtl=variant == "rtl"), encoding="utf-8")
            page.goto(address if mode == "playground" else site)
            if mode not in {"inline", "page", "playground"}:
                page.locator("qa-chat .launch").click()
            if mode == "playground" and variant in {"light", "dark"}:
                page.get_by_role("tab", name="Ranking").click()
            ask(page, ASKED["widget"])
            if mode == "preview":
                page.locator("qa-chat [part=source-link]").first.click()
                page.locator("qa-chat .preview mark").wait_for()
            page.wait_for_timeout(SETTLE_MILLISECONDS)
            save(page, f"gallery/{mode}-{variant}", GALLERY_COLOURS)
        context.close()


def in_mode(example: str, mode: str, *, rtl: bool) -> str:
    """Return the example with the widget in another mode; `preview` is a launcher whose first source is opened."""
    start, end = example.index("<qa-chat"), example.index("</body>")
    name = "launcher" if mode == "preview" else mode
    tag = example[start:end].replace('mode="launcher"', f'mode="{name}"')
    before, after = example[:start], example[end:]
    if rtl:
        before = before.replace('<html lang="en">', '<html lang="ar" dir="rtl">')
    if mode == "page":
        return f'{before[: before.index("<header>")]}<div style="height: 100vh">{tag}</div>{after}'
    if mode == "inline":
        return f"{before[: before.index('<h2>')]}{tag}</main>{after}"
    if mode == "dialog":
        page = f"{before}{after}".replace("<header>", '<header style="flex-wrap: wrap">')
        return page.replace("</header>", f'<span style="margin-inline-start: auto">{tag}</span></header>')
    return before + tag + after


def ask(page: Page, question: str) -> None:
    """Ask the chat of a page, and wait for the marked quote."""
    field = page.locator("qa-chat textarea")
    field.fill(question)
    field.press("Enter")
    page.locator("qa-chat mark").first.wait_for()
    if page.locator("#ranking").is_visible():
        page.locator("#ranking svg").wait_for()
    field.blur()


def save(page: Page, name: str, colours: int = COLOURS) -> None:
    """Write the visible part of a page; few colours without loss are smaller and sharper than lossy compression."""
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    file = io.BytesIO()
    picture.quantize(colours, dither=Image.Dither.NONE).convert("RGB").save(
        file, "webp", lossless=True, quality=100, method=6
    )
    if file.tell() > MAX_BYTES:
        sys.exit(f"{name}.webp has {file.tell()} bytes, more than {MAX_BYTES}; show less, or take fewer COLOURS")
    path = PICTURES / f"{name}.webp"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(file.getvalue())
    print(f"{file.tell():6} bytes {name}.webp")


if __name__ == "__main__":
    main()
