"""Libraries that only evaluations need; an installation may lack them."""

from importlib.util import find_spec

from qa_service.errors import SettingsError

_MEASURING = {"pytrec_eval": "pytrec-eval-terrier", "scipy": "scipy", "sklearn": "scikit-learn"}
_DRAWING = {"matplotlib": "matplotlib"}


def check_libraries(*, draws: bool) -> None:
    """Raise :class:`SettingsError`, naming the extra, unless all libraries to measure are installed, and to draw."""
    needed = _MEASURING | (_DRAWING if draws else {})
    if missing := [package for module, package in needed.items() if find_spec(module) is None]:
        task = "a report of an evaluation" if draws else "an evaluation"
        raise SettingsError(f"{task} needs {', '.join(missing)}: pip install 'qa-service[evaluation]'")
