"""Building again whenever the documents change."""

from collections.abc import Callable
from pathlib import Path

from watchfiles import watch

from qa_service.cli.show import complain
from qa_service.errors import QAServiceError


def again_and_again(once: Callable[[], int], source: Path) -> int:
    """Build now and after every change of the folder; what goes wrong is told and the next change waited for."""
    first = True
    # Changes during a build come with the next round. The first round begins the watching, and may bring none.
    for changes in watch(source, yield_on_timeout=True, rust_timeout=1000):
        if first or changes:
            first = False
            try:
                once()
            except QAServiceError as error:
                complain(str(error))
    return 0
