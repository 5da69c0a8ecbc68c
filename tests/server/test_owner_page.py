# ruff: noqa: F811 - fixtures of other modules
"""The owner's page in a real browser."""

import csv
from pathlib import Path
from typing import Literal

import pytest
from needs import BROWSER, require

require(*BROWSER)

from browsers import accessibility_violations, watched
from conftest import served
from playwright.sync_api import Browser, Page, expect
from test_owner import MISSED, admin, recorded, write  # noqa: F401 - fixtures

from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings


def show(page: Page, admin: dict[str, str], port: int) -> None:
    """Open the page, type a key, and wait for the report."""
    page.goto(f"http://127.0.0.1:{port}/owner")
    page.get_by_label("Key with the scope").fill(admin["Authorization"].split()[1])
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#state")).to_contain_text("3 questions since")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_runs_no_question(
    scheme: Literal["light", "dark"],
    browser: Browser,
    answerer: QuestionAnswerer,
    recorded: Settings,
    admin: dict[str, str],
) -> None:
    """On a desktop and on a phone: hostile questions are text, nothing scrolls sideways, axe finds nothing."""
    with served(answerer, recorded) as port:
        for width in (1280, 360):
            page = watched(browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme))
            show(page, admin, port)
            gap = page.locator("details", has_text="<img src=x")
            gap.locator("summary").click()
            expect(gap).to_contain_text("onerror=alert(1)> kcab =1+1")  # without the control that reverses it
            page.locator("details", has_text=MISSED).locator("summary").click()
            expect(page.locator("details", has_text=MISSED)).to_contain_text("Animals › Cats")
            expect(page.locator("main")).to_contain_text("1 of 2 files of the index")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert accessibility_violations(page) == []
            assert page.locator("main img").count() == 0
            assert page.evaluate("violations") == []
            assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
            assert page.faults == []  # type: ignore[attr-defined]
            page.close()


def test_a_wrong_key_is_told_and_the_table_is_saved(
    browser: Browser, answerer: QuestionAnswerer, recorded: Settings, admin: dict[str, str], tmp_path: Path
) -> None:
    """The report disappears with the key that may not read it; a file has the rows of the report."""
    write(recorded, ("Who rests?", "answered", ""), collection="/collections/hr")
    named = {"hr": ServableIndex(answerer, IndexFolder(recorded.index))}
    with served(answerer, recorded, named=named) as port:
        page = browser.new_page()
        show(page, admin, port)
        with page.expect_download() as download:
            page.get_by_role("button", name="Save CSV").click()
        download.value.save_as(tmp_path / "saved.csv")
        rows = list(csv.reader((tmp_path / "saved.csv").read_text(encoding="utf-8").splitlines()))
        assert ["gap", MISSED] in [row[:2] for row in rows]
        page.get_by_label("Collection").select_option("hr")
        expect(page.locator("#state")).to_contain_text("1 question since")
        page.get_by_label("Key with the scope").fill("sk_wrong")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#state")).to_contain_text("No report: a valid key is needed")
        expect(page.locator("#report")).to_be_empty()
        page.close()
