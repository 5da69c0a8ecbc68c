"""Haystack with its splitter and in-memory store, served by hayhooks."""

import os
import sys
from pathlib import Path

folder, model_folder, port = sys.argv[1:4]
os.environ |= {"PEER_DOCUMENTS": folder, "PEER_MODEL": model_folder}
pipelines = Path(__file__).parent / "haystack_pipelines"
os.execv(  # noqa: S606 - the server itself, in place of this process
    str(Path(sys.executable).parent / "hayhooks"),
    ["hayhooks", "run", "--host", "127.0.0.1", "--port", port, "--pipelines-dir", str(pipelines)],
)
