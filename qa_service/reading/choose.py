"""Opens the reader that the package ships, if it fits the index."""

from functools import cache
from pathlib import Path

from qa_service.embedding import DEFAULT_WEIGHTS, packaged_folder
from qa_service.errors import ModelCorrupt
from qa_service.reading.reader import Reader, ReaderFiles

FOLDER = Path(__file__).parent
LOWER, UPPER, SUMS = "lower.onnx", "upper.onnx", "SHA256SUMS"
OFF = "off"


def open_reader(name: str, weights_sha256: str, folder: Path = FOLDER) -> Reader | None:
    """Return the reader in a folder, for an index whose vectors come from the model with these weights.

    ``None`` if ``name``, the setting, is ``off``, or for another model than the built-in one: how much a logit counts
    beside that model's cosines was not measured. Raises :class:`ModelCorrupt` if a file is missing or damaged.
    """
    if name == OFF or weights_sha256 != DEFAULT_WEIGHTS:
        return None
    return _reader(folder)


@cache
def _reader(folder: Path) -> Reader:
    """Return the reader in a folder, the same one for all indexes of a process: it takes 25 MB."""
    try:
        lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
        sums = {file: digest for digest, file in (line.split() for line in lines)}
        lower, upper = ((folder / file, sums[file]) for file in (LOWER, UPPER))
    except (OSError, ValueError, KeyError) as error:
        raise ModelCorrupt(f"{folder / SUMS} can't be read: {error}; reinstall qa-service") from error
    return Reader(ReaderFiles(lower, upper, packaged_folder() / "tokenizer.json"))
