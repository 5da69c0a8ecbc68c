"""The frame of the chat widget: sizes, themes, modes, keys, Back, motion and layout shifts, in a real browser."""

import time

import pytest
from needs import BROWSER, require
from processes import PATIENCE

require(*BROWSER)

from browsers import FOUND, Site, answered, ask, chat, watched
from conftest import served
from playwright.sync_api import Browser, Page, expect

from qa_service.pipeline import QuestionAnswerer
from qa_service.server.keys import KeyFile
from qa_service.settings import Settings

ROOT = "document.querySelector('qa-chat').shadowRoot.querySelector('.root')"
IS_DARK = f"() => getComputedStyle({ROOT}).colorScheme === 'dark'"
IS_LIGHT = f"() => getComputedStyle({ROOT}).colorScheme === 'light'"
IS_OPEN = "document.querySelector('qa-chat').isOpen"
MATERIAL = "body { font-size: .5rem; --md-primary-fg-color: #4051b5 }"


@pytest.mark.parametrize(
    ("style", "pixels"),
    [
        ("html { font-size: 62.5% } body { font-size: 1.6rem }", 16),
        ("html { font-size: 62.5% }", 14),
        ("html { font-size: 125% }", 20),
        (f"html {{ font-size: 125% }} {MATERIAL}", 16),
        (f"html {{ font-size: 137.5% }} {MATERIAL}", 17.6),
        ("html { font-size: 62.5% } qa-chat { --qa-font-size: 13px }", 13),
    ],
)
def test_the_text_is_as_large_as_that_of_the_page(
    style: str,
    pixels: float,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """Not below 14 pixels, whatever the size of the root; everything else grows and shrinks with it."""
    page.goto(site.write(f"<div style='width:30em'>{chat(endpoint)}</div>", head=f"<style>{style}</style>"))
    page.locator("qa-chat textarea").wait_for()
    assert page.evaluate(f"parseFloat(getComputedStyle({ROOT}).fontSize)") == pytest.approx(pixels)
    box = page.locator("qa-chat .panel").bounding_box()
    assert box is not None
    assert box["height"] == pytest.approx(34 * pixels, abs=1)
    ask(page, FOUND)
    answered(page)
    page.locator("qa-chat [part=source-link]").first.click()
    page.locator("qa-chat .preview mark").wait_for()
    smallest = page.evaluate(
        f"""Math.min(...[...{ROOT}.querySelectorAll("*")].filter(one => [...one.childNodes].some(
        node => node.nodeType === 3)).map(one => parseFloat(getComputedStyle(one).fontSize)))"""
    )
    assert smallest >= min(14, pixels)


def test_a_phone_does_not_zoom_into_the_field(browser: Browser, site: Site, endpoint: str) -> None:
    """Its text has at least 16 pixels there, also where the page's is smaller."""
    phone = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    opened = watched(phone.new_page())
    opened.goto(site.write(chat(endpoint), head="<style>html { font-size: 62.5% }</style>"))
    opened.locator("qa-chat textarea").wait_for()
    field = "document.querySelector('qa-chat').shadowRoot.querySelector('textarea')"
    assert opened.evaluate(f"getComputedStyle({field}).fontSize") == "16px"
    phone.close()


@pytest.mark.parametrize(
    ("attributes", "style", "dark", "light"),
    [
        ({}, "", "body.dataset.mdColorScheme = 'slate'", "body.dataset.mdColorScheme = 'default'"),
        ({}, "", "html.dataset.theme = 'dark'", "html.dataset.theme = 'light'"),
        ({}, "", "body.dataset.theme = 'dark'", "body.dataset.theme = 'light'"),
        ({}, "", "html.dataset.bsTheme = 'dark'", "html.dataset.bsTheme = 'light'"),
        ({}, "", "html.dataset.colorMode = 'dark'", "html.dataset.colorMode = 'light'"),
        ({}, "", "html.classList.add('dark')", "html.classList.remove('dark')"),
        ({}, "", "html.style.colorScheme = 'dark'", "html.style.colorScheme = 'light'"),
        ({}, "", "body.style.background = '#0d1117'", "body.style.background = 'oklch(95% .02 90)'"),
        (
            {},
            "body { background: #fff; transition: background .1s } .night { background: #111 }",
            "body.classList.add('night')",
            "body.classList.remove('night')",
        ),
        ({"theme_selector": "[data-night]"}, "", "html.dataset.night = ''", "delete html.dataset.night"),
    ],
)
def test_the_colours_follow_the_toggle_of_the_page(
    attributes: dict[str, str],
    style: str,
    dark: str,
    light: str,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """While the page is open; the toggles of generators, `color-scheme`, the background, or a selector."""
    page.goto(site.write(chat(endpoint, **attributes), head=f"<style>{style}</style>"))
    page.locator("qa-chat textarea").wait_for()
    names = "const html = document.documentElement, body = document.body;"
    for change, state in ((dark, IS_DARK), (light, IS_LIGHT), (dark, IS_DARK)):
        page.evaluate(f"() => {{ {names} {change} }}")
        page.wait_for_function(state)
    page.evaluate("document.querySelector('qa-chat').setAttribute('theme', 'light')")
    page.wait_for_function(IS_LIGHT)


def test_a_page_without_a_toggle_follows_the_system_only_if_it_says_so(
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """By `color-scheme: light dark`; a white page stays light in a dark system."""
    page.emulate_media(color_scheme="dark")
    page.goto(site.write(chat(endpoint)))
    page.wait_for_function(IS_LIGHT)
    page.goto(site.write(chat(endpoint), head="<style>:root { color-scheme: light dark }</style>"))
    page.wait_for_function(IS_DARK)
    page.emulate_media(color_scheme="light")
    page.wait_for_function(IS_LIGHT)


@pytest.mark.parametrize(
    ("style", "background", "accent"),
    [
        ("html { --ifm-color-primary: #2e8555 }", "#fff", "rgb(41, 120, 77)"),
        ("body { --md-primary-fg-color: hsl(231 48% 48%) }", "#fff", "rgb(64, 81, 181)"),
        ("body { --md-primary-fg-color: hsl(231 48% 48%) }", "#1e2129", ""),
        ("body { --color-brand-primary: #0a4bff }", "#fff", "rgb(10, 75, 255)"),
        ("html { --sl-color-accent: #fff700 }", "#fff", ""),
        ("html { --sl-color-accent: #fff700 } qa-chat { --qa-accent: #123456 }", "#fff", "rgb(18, 52, 86)"),
    ],
)
def test_the_accent_is_that_of_the_generator_and_stays_legible(
    style: str,
    background: str,
    accent: str,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """It is darkened or lightened until text in it has a contrast of 4.5; text on it is black or white."""
    head = f"<style>{style} body {{ background: {background} }}</style>"
    page.emulate_media(reduced_motion="reduce")
    page.goto(site.write(chat(endpoint), head=head))
    page.locator("qa-chat textarea").wait_for()
    found = page.evaluate(CONTRASTS)
    if accent:
        assert found["accent"] == accent
    assert found["text"] >= 4.5
    assert found["link"] >= 4.5
    page.evaluate("document.querySelector('qa-chat').setAttribute('preset', 'none')")
    if "--qa-accent" not in style:
        assert page.evaluate(CONTRASTS)["accent"] in {"rgb(29, 78, 216)", "rgb(147, 180, 255)"}


CONTRASTS = """() => {
  const root = document.querySelector("qa-chat").shadowRoot, send = getComputedStyle(root.querySelector(".send"));
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  const rgb = colour => { context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const light = colour => rgb(colour).map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [.2126, .7152, .0722][place], 0);
  const contrast = (a, b) => { const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + .05) / (low + .05); };
  const surface = getComputedStyle(root.querySelector(".panel")).backgroundColor;
  return { accent: `rgb(${rgb(send.backgroundColor).join(", ")})`, text: contrast(send.color, send.backgroundColor),
    link: contrast(send.backgroundColor, surface) };
}"""


def test_a_dialog_opens_by_key_by_button_and_by_elements_of_the_page(
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """It keeps the focus, and gives it back; Escape and a click beside it close it; keys typed in fields do nothing."""
    body = "<input id=field aria-label=x><a id=link href='#none' data-qa-open><b>Ask</b></a>"
    page.goto(site.write(body + chat(endpoint, mode="dialog")))
    panel = page.locator("qa-chat .panel")
    expect(page.locator("qa-chat .launch kbd")).to_have_text("Ctrl K")
    page.locator("#field").press("/")
    expect(page.locator("#field")).to_have_value("/")
    expect(panel).to_be_hidden()
    page.keyboard.press("Control+k")
    expect(panel).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("[document.body, document.querySelector('qa-chat')].includes(document.activeElement)")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "field"
    page.locator("#field").blur()
    page.keyboard.press("/")
    expect(panel).to_be_visible()
    expect(page.locator("qa-chat textarea")).to_have_value("")
    page.mouse.click(5, 5)
    expect(panel).to_be_hidden()
    page.locator("#link b").click()
    expect(panel).to_be_visible()
    assert "#none" not in page.url
    ask(page, FOUND)
    answered(page)
    page.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "link"
    page.evaluate("document.querySelector('qa-chat').setAttribute('shortcut', 'none')")
    page.keyboard.press("/")
    expect(panel).to_be_hidden()
    page.evaluate("document.querySelector('qa-chat').setAttribute('shortcut', 'alt+q')")
    page.evaluate("document.querySelector('qa-chat').setAttribute('no-button', '')")
    expect(page.locator("qa-chat .launch")).to_have_count(0)
    page.keyboard.press("Alt+q")
    expect(panel).to_be_visible()
    expect(page.locator("qa-chat mark").first).to_be_visible()
    page.evaluate("document.querySelector('qa-chat').setAttribute('heading', 'Zoo')")
    expect(page.locator("qa-chat h2")).to_have_text("Zoo")
    assert page.evaluate(IS_OPEN)
    assert page.faults == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_a_sidebar_stands_beside_the_page_and_its_edge_can_be_moved(
    direction: str,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """By dragging and by arrow keys; the page gets its room back."""
    language = "ar" if direction == "rtl" else "en"
    page.goto(site.write(chat(endpoint, mode="sidebar", lang=language), head="<style>body { margin: 0 }</style>"))
    page.locator("qa-chat .launch").click()
    edge = page.locator("qa-chat .edge")
    edge.wait_for()
    width = "document.querySelector('main').getBoundingClientRect().width"
    panel = page.locator("qa-chat .panel")
    page.wait_for_function(f"{width} < 1280")

    def sizes() -> tuple[float, float]:
        box = panel.bounding_box()
        assert box is not None
        assert (box["x"] == 0) == (direction == "rtl")
        return box["width"], page.evaluate(width)

    before = sizes()
    assert sum(before) == pytest.approx(1280, abs=1)
    edge.focus()
    page.keyboard.press("ArrowLeft" if direction == "ltr" else "ArrowRight")
    page.wait_for_function(f"{width} === {before[1] - 32}")
    at = edge.bounding_box()
    assert at is not None
    page.mouse.move(at["x"] + 2, 300)
    page.mouse.down()
    page.mouse.move(700, 300, steps=3)
    page.mouse.up()
    dragged = 580 if direction == "ltr" else 700
    page.wait_for_function(f"{width} === {1280 - dragged}")
    assert edge.get_attribute("aria-valuenow") == str(dragged)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    page.wait_for_function(f"{width} === 1280")
    assert page.faults == []  # type: ignore[attr-defined]


def test_a_page_is_one_column(page: Page, site: Site, endpoint: str) -> None:
    """The greeting, the answers, the field and the footer have the same edges."""
    page.set_viewport_size({"width": 1500, "height": 800})
    tag = chat(endpoint, mode="page").replace("></qa-chat>", "><p slot=footer>From two documents.</p></qa-chat>")
    page.goto(site.write(f"<div style='height:600px'>{tag}</div>"))
    ask(page, FOUND)
    answered(page)
    edges = page.evaluate(
        f"""[...{ROOT}.querySelectorAll(".question, .card, form, .foot")].map(one => {{
        const style = getComputedStyle(one), box = one.getBoundingClientRect();
        const inner = one.matches("form, .foot"), you = one.matches(".question");
        const left = box.left + (inner ? parseFloat(style.paddingLeft) : 0);
        return [you ? null : left, box.right - (inner ? parseFloat(style.paddingRight) : 0)]; }})"""
    )
    assert len(edges) == 4
    lefts = [left for left, _ in edges if left is not None]
    assert max(lefts) - min(lefts) < 1
    assert max(right for _, right in edges) - min(right for _, right in edges) < 1


@pytest.mark.parametrize("mode", ["inline", "page", "launcher", "dialog", "sidebar"])
def test_at_200_per_cent_zoom_only_the_answers_scroll(mode: str, page: Page, site: Site, endpoint: str) -> None:
    """In a window of 640 by 400: the panel fits it, nothing scrolls within the answers, and most of it is answers."""
    page.set_viewport_size({"width": 640, "height": 400})
    tag = chat(endpoint, mode=mode)
    page.goto(site.write(f"<div style='height:100vh'>{tag}</div>" if mode == "page" else tag))
    if mode in {"launcher", "dialog", "sidebar"}:
        page.locator("qa-chat .launch").click()
    ask(page, FOUND)
    answered(page)
    scrolling = page.evaluate(
        f"""[...{ROOT}.querySelectorAll(".panel, .panel *")].filter(one =>
        /auto|scroll/.test(getComputedStyle(one).overflowY) && one.scrollHeight > one.clientHeight + 1)
        .map(one => one.className)"""
    )
    assert scrolling in ([], ["log"])
    panel, log = (page.locator(f"qa-chat .{name}").bounding_box() for name in ("panel", "log"))
    assert panel is not None
    assert log is not None
    assert panel["height"] <= 401
    assert log["height"] >= 200


HASH_ROUTER = """<script>window.routes = []; addEventListener("hashchange", () => routes.push(location.hash));
addEventListener("popstate", event => routes.push(["pop", event.state?.page ?? null]));</script>"""


@pytest.mark.parametrize("mode", ["launcher", "dialog", "sidebar"])
def test_back_closes_the_panel_on_a_phone(mode: str, browser: Browser, site: Site, endpoint: str) -> None:
    """The history and the router of the page are as before, whether Back closes it, its button or Escape."""
    phone = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True, locale="en-US")
    opened = watched(phone.new_page())
    opened.goto(site.write(chat(endpoint, mode=mode), head=HASH_ROUTER))
    opened.evaluate("location.hash = '#/a'; history.pushState({ page: 'b' }, '', '#/b')")
    panel, button = opened.locator("qa-chat .panel"), opened.locator("qa-chat .launch")
    length = opened.evaluate("history.length")
    for close in ("back", "button", "Escape", "reopen", "back"):
        button.click()
        expect(panel).to_be_visible()
        assert opened.evaluate("[location.hash, history.state.page]") == ["#/b", "b"]
        if close == "back":
            opened.evaluate("history.back()")
        elif close == "button":
            opened.get_by_role("button", name="Close").click()
        elif close == "reopen":
            opened.evaluate(
                "{ const chat = document.querySelector('qa-chat'); chat.close(); chat.open(); chat.close() }"
            )
        else:
            opened.keyboard.press("Escape")
        expect(panel).to_be_hidden()
        opened.wait_for_function("history.state?.page === 'b' && !history.state.qaLayers")
        assert opened.evaluate("history.length") == length + 1  # the entry that was left, ahead
    assert opened.evaluate("routes.filter(one => typeof one === 'string').length") == 1  # the test's own
    opened.evaluate("history.back()")
    opened.wait_for_function("location.hash === '#/a'")
    expect(panel).to_be_hidden()
    assert opened.faults == []  # type: ignore[attr-defined]
    phone.close()


def test_a_page_has_one_launcher_dialog_or_sidebar(page: Page, site: Site, endpoint: str) -> None:
    """The next one is not shown, and the console says so in one line; it follows when the first one is removed."""
    second = f'<qa-chat id="second" mode="dialog" endpoint="{endpoint}"></qa-chat>'
    third = f'<qa-chat id="third" endpoint="{endpoint}"></qa-chat>'
    page.goto(site.write(chat(endpoint, mode="launcher", id="first") + second + third))
    expect(page.locator("#first .launch")).to_be_visible()
    expect(page.locator("#third textarea")).to_be_visible()
    expect(page.locator("#second .launch")).to_be_hidden()
    page.wait_for_function("() => new Promise(done => setTimeout(() => done(true)))")
    [line] = page.faults  # type: ignore[attr-defined]
    assert "a page has one launcher, dialog or sidebar" in line
    page.evaluate("document.getElementById('second').open()")
    assert not page.evaluate("document.getElementById('second').isOpen")
    page.evaluate("document.getElementById('first').remove()")
    expect(page.locator("#second .launch")).to_be_visible()
    page.evaluate(
        """() => { const second = document.getElementById("second"), next = second.cloneNode();
        next.id = "next"; second.before(next); second.remove(); }"""
    )
    expect(page.locator("#next .launch")).to_be_visible()
    assert len(page.faults) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["launcher", "dialog", "sidebar"])
def test_nothing_moves_for_those_who_want_less_motion(
    mode: str,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """No transition and no animation runs; else the panel fades in."""
    for motion, moves in (("reduce", 0), ("no-preference", 1)):
        page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
        page.goto(site.write(chat(endpoint, mode=mode)))
        page.locator("qa-chat .launch").wait_for()
        found = page.evaluate(
            """() => { const chat = document.querySelector("qa-chat"); chat.open();
            return chat.shadowRoot.querySelector(".panel").getAnimations().length }"""
        )
        assert (found > 0) == (moves > 0)


SHIFTS = """() => new Promise(done => { let sum = 0;
  new PerformanceObserver(list => { for (const entry of list.getEntries()) sum += entry.value; })
    .observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => setTimeout(() => done(sum), 100)); })"""


@pytest.mark.parametrize("mode", ["inline", "launcher", "page", "dialog", "sidebar"])
def test_the_layout_does_not_shift_on_load(mode: str, page: Page, site: Site, endpoint: str) -> None:
    """The line of the docs keeps the place of the element until its code has come, however late that is."""
    line = {
        "inline": "qa-chat:not(:defined) { display: block; height: 34em; }",
        "dialog": "qa-chat { display: inline-block; width: 17em; height: 2.5em; vertical-align: middle; }",
    }
    tag = chat(endpoint, mode=mode)
    body = f"<div style='height:500px'>{tag}</div>" if mode == "page" else tag
    page.goto(site.write(body + "<p>The text after it.</p>" * 20, head=f"<style>{line.get(mode, '')}</style>"))
    page.locator("qa-chat .root:not([hidden])").wait_for(state="attached")
    assert page.evaluate(SHIFTS) == 0


def test_the_observers_end_with_the_element(page: Page, site: Site, endpoint: str) -> None:
    """A removed element no longer follows the page, its keys are free, and it does both again when it returns."""
    page.goto(site.write(chat(endpoint, mode="dialog")))
    page.locator("qa-chat .launch").wait_for()
    page.evaluate("window.chat = document.querySelector('qa-chat'); chat.open(); chat.remove()")
    page.evaluate("new Promise(requestAnimationFrame)")
    look = "getComputedStyle(document.documentElement).overflow + chat.shadowRoot.querySelector('.root').className"
    assert page.evaluate("document.documentElement.dataset.theme = 'dark'") == "dark"
    page.evaluate("new Promise(requestAnimationFrame)")
    assert "dark" not in page.evaluate(look)
    assert page.evaluate(look).startswith("visible")
    page.keyboard.press("Control+k")
    assert not page.evaluate("chat.isOpen")
    page.evaluate("document.querySelector('main').append(chat)")
    page.wait_for_function(IS_DARK)
    page.keyboard.press("Control+k")
    assert page.evaluate("chat.isOpen")


@pytest.mark.parametrize(
    ("origins", "key", "says"),
    [
        (True, "", "needs a key, and the attribute key is missing"),
        (True, "pk_12345678_nothing", "the key pk_12345678_… is unknown"),
        (False, "", "the service allows no pages of http://127.0.0.1"),
    ],
)
def test_the_console_says_what_is_wrong_with_a_key_or_an_origin(
    origins: bool,
    key: str,
    says: str,
    page: Page,
    site: Site,
    answerer: QuestionAnswerer,
    settings: Settings,
) -> None:
    """In one line, with the command that helps; each line once."""
    allowed = (site.origin if origins else "https://other.example",)
    KeyFile(settings.data).create("page", ("ask",), publishable=True, origins=allowed)
    with served(answerer, settings.model_copy(update={"access": "keys"})) as port:
        page.goto(site.write(chat(f"http://127.0.0.1:{port}", **({"key": key} if key else {}))))
        for _ in range(2):
            ask(page, FOUND)
            page.locator("qa-chat .entry").last.locator(".error").wait_for()
        line = _line(page)
    assert says in line
    assert f"--publishable --origin {site.origin}" in line


def test_the_console_says_what_is_wrong_with_an_endpoint(page: Page, site: Site, endpoint: str) -> None:
    """Nothing there, something else there, or the page's own policy."""
    other = site.origin.replace("127.0.0.1", "localhost")
    free = endpoint.rsplit(":", 1)[0] + ":9"
    for address, says in (
        (f"{endpoint}/wrong", f"nothing answers at {endpoint}/wrong"),
        (other, "answers, but not as qa_service does"),
        (free, f"nothing answers at {free}"),
    ):
        page.faults.clear()  # type: ignore[attr-defined]
        page.goto(site.write(chat(endpoint).replace(f'endpoint="{endpoint}"', f'endpoint="{address}"')))
        ask(page, FOUND)
        assert says in _line(page)
    page.faults.clear()  # type: ignore[attr-defined]
    policy = f"<meta http-equiv='Content-Security-Policy' content=\"connect-src 'self'; script-src {endpoint}\">"
    page.goto(site.write(chat(endpoint), head=policy))
    ask(page, FOUND)
    assert f"add {endpoint} to connect-src" in _line(page)


def _line(page: Page) -> str:
    """Return the only line of the widget in the console."""
    deadline = time.monotonic() + PATIENCE
    while not any(line.startswith("qa-chat:") for line in page.faults):  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
    page.wait_for_timeout(200)
    [line] = {line for line in page.faults if line.startswith("qa-chat:")}  # type: ignore[attr-defined]
    return str(line)
