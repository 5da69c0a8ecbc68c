"""qa_service: ask a folder of documents; get passages with exact citations. Start at pipeline.py."""

import os

# ONNX Runtime would tell its maker about the process and the models, and keep a database for it below the home
# folder. It looks at this once, when it is loaded; nothing of ours loads it before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
