"""Commands that evaluate name the extra that they need."""

from importlib.util import find_spec

import pytest
from conftest import QUESTIONS, Run

from qa_service.evaluation import libraries


def test_an_evaluation_without_its_libraries_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked. Only a report needs the library that draws."""
    missing = {"matplotlib"}
    monkeypatch.setattr(libraries, "find_spec", lambda name: None if name in missing else find_spec(name))
    libraries.check_libraries(draws=False)
    code, _, err = run("evaluate", QUESTIONS, "--output", "runs/first")
    assert code == 2
    assert "a report of an evaluation needs matplotlib: pip install 'qa-service[evaluation]'" in err
    missing.add("scipy")
    code, _, err = run("calibrate", QUESTIONS)
    assert code == 2
    assert "needs scipy: pip install" in err
