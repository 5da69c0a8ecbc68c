"""The Python client as a package of its own: built, installed alone, and used against a server."""

import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, app_for, key_for, listening
from packages import fetch, run

import qa_service
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

PACKAGE = ROOT / "clients/python"
PROGRAM = """
import sys
from qa_service_client import Client, ServiceError

with Client(sys.argv[1], key=sys.argv[2]) as service:
    answer = service.ask("where does the cat sleep", top_k=1)
    print(answer.results[0].text)
    print(service.cite(answer.results[0].citation.permalink).state)
    print([item.status for item in service.ask_batch(["a cat", ""]).results])
    print(service.feedback(answer.id, useful=True).useful)
    print(sorted(one.uri for one in service.sources()))
try:
    Client(sys.argv[1], key="wrong").ask("x")
except ServiceError as error:
    print(error.status, error.problem.type)
print("loaded:", *sorted(name.partition(".")[0] for name in sys.modules))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = shutil.copytree(PACKAGE, folder / "clients/python", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "qa_service", folder / "qa_service", ignore=shutil.ignore_patterns("__pycache__"))
    fetch(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_the_client_and_its_types_only(wheel: Path) -> None:
    """No module of the server, and the name of the service in no import; the versions are equal."""
    assert wheel.name.startswith(f"qa_service_client-{qa_service.__version__}-")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        texts = {name: archive.read(name).decode() for name in names}
    rooms = {name.split("/")[1].removesuffix(".py") for name in names}
    assert rooms == {"__init__", "py.typed", "citations", "client", "datatypes", "errors", "schemas"}
    assert "qa_service_client/schemas/vector_stores.py" not in names
    for name, text in texts.items():
        assert "from qa_service." not in text, name
        assert "import qa_service" not in text.replace("import qa_service_client", ""), name


def test_it_is_installed_alone_and_asks(
    wheel: Path, tmp_path: Path, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """In an empty environment, with three dependencies of its own."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)  # pip takes seconds
    python = tmp_path / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    fetch(*pip, "install", "--quiet", wheel, cwd=tmp_path)
    listed = run(*pip, "list", "--format", "freeze", cwd=tmp_path)
    installed = {line.partition("==")[0].replace("_", "-").lower() for line in listed.split()}
    assert {"qa-service-client", "httpx2", "pydantic", "tenacity"} <= installed
    assert not installed & {"qa-service", "torch", "numpy", "faiss-cpu", "onnxruntime", "fastapi", "rapidfuzz"}
    closed = settings.model_copy(update={"access": "keys"})
    key = key_for(closed, "ask", "feedback")["Authorization"].removeprefix("Bearer ")
    with listening(app_for(answerer, closed)) as port:
        output = run(python, "-c", PROGRAM, f"http://127.0.0.1:{port}", key, cwd=tmp_path)
    *printed, loaded = output.splitlines()
    assert printed[0].startswith("The cat sleeps on the warm mat.")
    assert printed[1:] == [
        "exact",
        "[200, 422]",
        "True",
        "['sea.txt', 'zoo/animals.md']",
        "401 urn:qa-service:problem:unauthorized",
    ]
    assert "numpy" not in loaded.split()
