"""Print the size of the chat widget as it goes over the network, and fail above the limit."""

import gzip
import sys
from pathlib import Path

WIDGET = Path(__file__).parent.parent / "qa_service/server/widget"
ELEMENT = (
    "qa-chat-define.js",
    "qa-chat.js",
    "client.js",
    "conversation.js",
    "panel.js",
    "reveal.js",
    "strings.js",
    "styles.js",
    "theme.js",
    "view.js",
    "qa-chat-loader.js",
)
MOST_BYTES = 25_000


def sizes(folder: Path = WIDGET) -> dict[str, int]:
    """Return the gzipped size of each file in bytes; servers compress them one by one."""
    return {name: len(gzip.compress((folder / name).read_bytes(), 9)) for name in ELEMENT}


def main() -> None:
    """Print them; exit with 1 above the limit."""
    found = sizes()
    total = sum(found.values())
    for name, size in found.items():
        print(f"{size:6} {name}")
    print(f"{total:6} bytes gzipped, of at most {MOST_BYTES}")
    sys.exit(total >= MOST_BYTES)


if __name__ == "__main__":
    main()
