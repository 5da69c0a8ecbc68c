"""txtai's API with a hybrid index with content, of the paragraphs from its segmentation."""

import os
import sys
import tempfile
from pathlib import Path

# This file is named like the package, so its own folder must not be on the path.
sys.path = [place for place in sys.path if place != str(Path(__file__).parent)]

import uvicorn
import yaml
from txtai import Embeddings
from txtai.pipeline import Segmentation

folder, model_folder, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
cut = Segmentation(paragraphs=True)
rows = [
    (f"{path.name}#{number}", text)
    for path in sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt"))
    for number, text in enumerate(cut(path.read_text(encoding="utf-8")))
]
with tempfile.TemporaryDirectory() as scratch:
    embeddings = Embeddings(path=model_folder, content=True, hybrid=True)
    embeddings.index(rows)
    embeddings.save(f"{scratch}/index")
    configuration = Path(scratch) / "app.yml"
    configuration.write_text(yaml.safe_dump({"path": f"{scratch}/index", "embeddings": {"path": model_folder}}))
    os.environ["CONFIG"] = str(configuration)
    uvicorn.run("txtai.api:app", host="127.0.0.1", port=port, log_level="warning")
