"""Time a question in the chat widget, from the key press to the painted answer, and the request within it.

    python benchmarks/widget.py SOURCE QUESTION_FILE

SOURCE is a folder of documents. Debian's chromium drives the widget on the playground; the time ends with the frame
after the answer is in the page. The time of the request is that of the browser's network stack.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

from common import serving, setup

from playwright.sync_api import sync_playwright

from qa_service.evaluation import Question, QuestionFile

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ASK = """question => new Promise(done => {
  const chat = document.querySelector("qa-chat"), field = chat.shadowRoot.querySelector("textarea");
  const painted = () => requestAnimationFrame(() => setTimeout(() => {
    const [request] = performance.getEntriesByType("resource").filter(one => one.name.includes("/ask?")).slice(-1);
    done([performance.now() - started, request.responseEnd - request.startTime]);
  }));
  chat.addEventListener("qa-answer", painted, { once: true });
  field.value = question;
  performance.clearResourceTimings();
  const started = performance.now();
  field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
})"""


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("questions", type=Path)
    arguments = parser.parse_args()
    asked = [item.question for item in QuestionFile(arguments.questions) if isinstance(item, Question)]
    with tempfile.TemporaryDirectory() as scratch:
        flags = ["--source", str(arguments.source), "--index", f"{scratch}/index"]
        subprocess.run([sys.executable, "-m", "qa_service", "index", *flags], check=True, stdout=subprocess.DEVNULL)
        with serving(*flags, QA_DATA=f"{scratch}/data", QA_LOG_LEVEL="error") as (address, _):
            pairs = timed(address, asked)
    widget, service = (statistics.median(values) for values in zip(*pairs, strict=True))
    more = [shown - 2 * answered for shown, answered in pairs]
    print(setup())
    print(f"{len(pairs)} questions, medians: painted after {widget:.1f} ms, the service's answer {service:.1f} ms")
    print(
        f"ratio {widget / service:.2f}; above twice the service's time: median {statistics.median(more):.1f} ms, "
        f"95th percentile {statistics.quantiles(more, n=20)[-1]:.1f} ms, at most {max(more):.1f} ms"
    )


def timed(address: str, questions: list[str]) -> list[tuple[float, float]]:
    """Return two times per question in milliseconds: until the answer is painted, and of the request."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.goto(address)
        page.get_by_text("Ready", exact=True).wait_for()
        pairs = [tuple(page.evaluate(ASK, question)) for question in islice(questions, 80)]
        browser.close()
    return pairs[5:]


if __name__ == "__main__":
    main()
