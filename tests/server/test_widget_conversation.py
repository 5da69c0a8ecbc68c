"""The conversation of the chat widget: undo, stop, earlier questions, links that ask."""

import json
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from needs import BROWSER, require

require(*BROWSER)

from browsers import ANSWER, FOUND, SMALL, Site, accessibility_violations, answered, ask, chat, hostile
from playwright.sync_api import Page, Route, expect

FOLLOW_UP = "When does it wake?"
COMPLETED = "When does it wake? cat sleep"


def test_a_follow_up_can_be_asked_as_it_was_typed(page: Page, site: Site, endpoint: str) -> None:
    """In its place, by keyboard; the history has the new answer, also after the page is loaded again."""
    page.goto(site.write(chat(endpoint, history="session")))
    for question in (FOUND, FOLLOW_UP):
        ask(page, question)
        answered(page)
    understood = page.locator("qa-chat [part=understood]")
    expect(understood).to_have_text(f"Understood as: {COMPLETED}")
    assert accessibility_violations(page) == []
    assert page.evaluate(SMALL) == []
    with page.expect_request("**/ask*") as asked:
        page.get_by_role("button", name="Search as I typed it").press("Enter")
    sent = asked.value.post_data_json
    assert sent is not None
    assert (sent["question"], sent["as_typed"], sent.get("history")) == (FOLLOW_UP, True, None)
    expect(understood).to_have_count(0)
    answered(page)
    expect(page.locator("qa-chat .entry")).to_have_count(2)
    expect(page.locator("qa-chat textarea")).to_be_focused()
    page.reload()
    expect(page.locator("qa-chat .answer")).to_have_count(2)
    expect(understood).to_have_count(0)


@pytest.mark.parametrize("key", ["button", "Escape"])
@pytest.mark.parametrize("mode", ["inline", "launcher", "dialog", "sidebar"])
def test_a_question_can_be_stopped(key: str, mode: str, page: Page, site: Site, endpoint: str) -> None:
    """By its button or by Escape, which closes the panel only when nothing is under way; it can be asked again."""
    page.goto(site.write(chat(endpoint, mode=mode)))
    if mode != "inline":
        page.locator("qa-chat .launch").click()
    page.evaluate("addEventListener('qa-error', () => window.failed = true)")
    page.route("**/ask*", lambda _: None)
    ask(page, FOUND)
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible()
    with page.expect_event("requestfailed", lambda request: "/ask?" in request.url):
        stop.press("Enter") if key == "button" else page.keyboard.press("Escape")
    expect(page.locator("qa-chat .entry")).to_contain_text("Stopped.")
    expect(page.locator("qa-chat .skeleton")).to_have_count(0)
    expect(page.locator("qa-chat textarea")).to_be_focused()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
    assert page.evaluate("window.failed") is None
    page.keyboard.press("Escape")
    expect(page.locator("qa-chat .panel")).to_be_visible(visible=mode == "inline")


def test_the_arrow_keys_bring_earlier_questions_back(page: Page, site: Site, endpoint: str) -> None:
    """From the empty field, back and forth; in words that are being typed they move the cursor."""
    page.goto(site.write(chat(endpoint)))
    field = page.locator("qa-chat textarea#input")
    field.press("ArrowUp")
    expect(field).to_have_value("")
    for question in (FOUND, "What sings?", "What sings?"):
        ask(page, question)
        answered(page)
    expect(page.locator("qa-chat .answer")).to_have_count(3)
    for key, shown in (
        ("ArrowUp", "What sings?"),
        ("ArrowUp", FOUND),
        ("ArrowUp", FOUND),
        ("ArrowDown", "What sings?"),
        ("ArrowDown", ""),
        ("ArrowDown", ""),
        ("ArrowUp", "What sings?"),
    ):
        field.press(key)
        expect(field).to_have_value(shown)
    field.press("End")
    field.type("!")
    for key in ("ArrowUp", "ArrowDown"):
        field.press(key)
        expect(field).to_have_value("What sings?!")
    field.fill("")
    field.press("ArrowUp")
    field.press("Enter")
    expect(page.locator("qa-chat .question").last).to_contain_text("What sings?")
    answered(page)
    page.get_by_role("button", name="Clear history").click()
    field.press("ArrowUp")
    expect(field).to_have_value("")


def _copied(page: Page, site: Site) -> str:
    page.get_by_role("button", name="Copy link to this question").last.click()
    expect(page.get_by_text("Copied").last).to_be_visible()
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_link_opens_the_page_with_the_answer(page: Page, site: Site, endpoint: str) -> None:
    """The rest of the page's address stays; a follow-up is shared as it was understood; it is asked once."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.origin)
    address = site.write(chat(endpoint, mode="launcher", history="session")) + "&a=b%20c&flag#part"
    page.goto(address)
    page.locator("qa-chat .launch").click()
    ask(page, FOUND)
    answered(page)
    link = _copied(page, site)
    assert link == address.replace("#part", f"&q={quote(FOUND)}#part")
    ask(page, FOLLOW_UP)
    answered(page)
    assert parse_qs(urlsplit(_copied(page, site)).query)["q"] == [COMPLETED]
    page.get_by_role("button", name="Clear history").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/ask?" in request.url else None)
    for _ in range(2):
        page.goto("about:blank")
        page.goto(link)
        expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
        expect(page.locator("qa-chat .panel")).to_be_visible()
        expect(page.locator("qa-chat .entry")).to_have_count(1)
        page.evaluate("document.querySelector('qa-chat').setAttribute('heading', 'Zoo')")
        expect(page.locator("qa-chat h2")).to_have_text("Zoo")
    assert len(asked) == 1
    assert page.faults == []  # type: ignore[attr-defined]


def test_one_element_of_a_page_answers_its_link(page: Page, site: Site, endpoint: str) -> None:
    """The first one, in the language of the page; the name of the parameter can be another, or none."""
    page.goto(site.write(chat(endpoint) + chat(endpoint), lang="de") + f"&q={quote(FOUND)}")
    expect(page.locator("qa-chat").first.locator("mark").first).to_have_text(ANSWER)
    expect(page.locator("qa-chat").first.locator("h2")).to_have_text("Die Dokumente fragen")
    expect(page.locator("qa-chat .entry")).to_have_count(1)
    page.goto(site.write(chat(endpoint, share_param="question")) + f"&q=no&question={quote(FOUND)}")
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
    page.goto(site.write(chat(endpoint, share_param="")) + f"&q={quote(FOUND)}")
    ask(page, "What sings?")
    answered(page)
    expect(page.locator("qa-chat .entry")).to_have_count(1)
    expect(page.get_by_role("button", name="Copy link to this question")).to_have_count(0)


def test_the_connection_is_opened_while_the_question_is_typed(page: Page, site: Site, endpoint: str) -> None:
    """Once, for a service of another origin."""
    page.goto(site.write(chat(endpoint) + chat(endpoint)))
    links = page.locator("link[rel=preconnect]")
    for field in page.locator("qa-chat textarea#input").all():
        field.focus()
    expect(links).to_have_count(1)
    expect(links).to_have_attribute("href", endpoint)
    page.goto(endpoint)
    page.locator("qa-chat textarea#input").focus()
    expect(links).to_have_count(0)


LINKS = """async () => {
  const { linkTo } = await import("/widget/share-link.js");
  const { takeQuestion } = await import("/widget/conversation.js");
  const at = (href) => new URL(href);
  const page = at("https://a.example/b?x=%2F&q=old&q&y#z");
  return {
    links: [linkTo("a & b?", "q", page), linkTo("a", "", page), linkTo("a".repeat(501), "q", page),
      linkTo("a", "q", at("file:///b")), linkTo("\\ud800a", "q", at("https://a.example/"))],
    taken: ["one", "one", "two", "three", ""].map((name) => takeQuestion(name, at(
      `https://a.example/?one=%20a%E2%80%AEb%20&two=${"a".repeat(501)}&=x`))),
  };
}"""


def test_links_keep_the_address_and_are_bounded(page: Page, endpoint: str) -> None:
    """Tested on the functions that make and read them."""
    page.goto(endpoint)
    found = page.evaluate(LINKS)
    assert found["links"] == [
        "https://a.example/b?x=%2F&y&q=a%20%26%20b%3F#z",
        *["", "", ""],
        "https://a.example/?q=%EF%BF%BDa",
    ]
    assert found["taken"] == ["ab", "", "", "", ""]


def test_a_hostile_link_is_a_question(page: Page, site: Site, endpoint: str) -> None:
    """It executes nothing, and its text is text."""
    page.add_init_script("window.hits = 0; window.hit = () => hits++")
    payload = "<img src=x onerror=hit()>"
    body = json.dumps(hostile(payload, 0))
    page.route("**/ask*", lambda route: route.fulfill(body=body, headers=_allowed(route)))
    page.goto(site.write(chat(endpoint)) + f"&q={quote(payload)}")
    expect(page.locator("qa-chat .question")).to_contain_text(payload)
    answered(page)
    assert page.evaluate("hits") == 0


def _allowed(route: Route) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*", "Content-Type": "application/json"}
