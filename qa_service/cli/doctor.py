"""Checks the installation, the model and the index, for ``qa-service doctor``."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata

from qa_service import __version__
from qa_service.cli.show import counted
from qa_service.embedding import Embedder, ModelIdentity
from qa_service.embedding.choose import device_to_build, embedder_to_ask
from qa_service.embedding.device import name_of
from qa_service.errors import QAServiceError
from qa_service.evaluation.starters import prove
from qa_service.index import Index
from qa_service.index.locations import generations_of
from qa_service.indexing.build import gather_inputs
from qa_service.pipeline import open_answerer
from qa_service.reading import OFF, open_reader
from qa_service.server.starters import candidates
from qa_service.settings import Settings

_MAX_LISTED = 5
_PACKAGES = ("onnxruntime", "tokenizers", "faiss-cpu", "numpy", "fastapi", "uvicorn")
_OTHER_MODELS = ("torch", "transformers", "sentence-transformers")
"""Packages that run other models than the built-in one; the slim image has none of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; ``exit_code`` is 0 if it passed."""

    subject: str
    state: str
    exit_code: int = 0


def examine(settings: Settings) -> list[Finding]:
    """Run all checks; a failed check does not prevent the others."""
    findings = [
        Finding("program", f"qa-service {__version__}, Python {platform.python_version()}, {platform.machine()}"),
        _packages(),
    ]
    embedder: Embedder | None = None

    def model() -> str:
        nonlocal embedder
        opened = embedder_to_ask(settings)
        state = f"{opened.identity.name}, {opened.dimension} dimensions, window {opened.window} tokens"
        embedder = opened
        return f"{state}, weights {opened.identity.weights_sha256[:12]}, run by {opened.runtime}"

    findings.append(_look("model", model))
    findings.append(_look("device", lambda: _device(settings)))
    if embedder is not None:
        identity = embedder.identity
        findings.append(_look("reader", lambda: _reader(settings.reader, identity)))
    findings.append(_look("index", lambda: _index(settings, embedder)))
    if embedder is not None:
        known = embedder
        findings.append(_look("documents", lambda: _documents(settings, known)))
        findings.append(_look("starters", lambda: _starters(settings, known)))
    return findings


def _look(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, look())
    except QAServiceError as error:
        return Finding(subject, str(error), error.exit_code)


def _packages() -> Finding:
    versions: list[str] = []
    missing: list[str] = []
    for name in (*_PACKAGES, *_OTHER_MODELS):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if needed := [name for name in missing if name in _PACKAGES]:
        return Finding("packages", f"not installed: {', '.join(needed)}; reinstall qa-service", 2)
    only = f"; only the built-in model can be run, without {', '.join(missing)}" if missing else ""
    return Finding("packages", ", ".join(versions) + only)


def _device(settings: Settings) -> str:
    device = device_to_build(settings)
    return f"builds embed passages on {name_of(device)}"


def _reader(mode: str, model: ModelIdentity) -> str:
    if mode == OFF:
        return f"none: QA_READER={OFF}; verdicts come from words and cosines"
    reader = open_reader(mode, model.weights_sha256)
    if reader is None:
        return f"none: {model.name} is not the built-in model; verdicts come from words and cosines"
    reader.load()
    graphs = (
        f"{path.name} of {path.stat().st_size / 1e6:.1f} MB, sha256 {digest[:12]}"
        for path, digest in (reader.files.lower, reader.files.upper)
    )
    return f"{mode}, {', '.join(graphs)}"


def _index(settings: Settings, embedder: Embedder | None) -> str:
    if embedder is None:
        opened = generations_of(settings).open_current(None)
        index: Index = opened.index
        degraded = opened.degraded
    else:
        answerer, degraded = open_answerer(settings, embedder)
        index = answerer.index
    try:
        if embedder is not None:
            answerer.self_test()
        intact = "every file intact" if settings.store == "faiss" else f"published as {settings.milvus_alias}"
        state = (
            f"generation {index.generation}, {counted(index.manifest.documents, 'document')}, "
            f"{counted(len(index), 'passage')}, built {index.manifest.created_at}, {intact}"
        )
    finally:
        index.close()
    if degraded:
        raise _Degraded(degraded)
    return state


def _documents(settings: Settings, embedder: Embedder) -> str:
    inputs = gather_inputs(settings, embedder)
    current = generations_of(settings).current_pointer()[0]
    state = f"{counted(len(inputs.source.files), 'readable file')}, {len(inputs.source.left_out)} others"
    if inputs.contents.generation_id() != current:
        raise _Stale(f"{state}; they differ from the index, run `qa-service index`")
    return f"{state}, all as indexed"


def _starters(settings: Settings, embedder: Embedder) -> str:
    questions, problems = candidates(settings)
    if not questions and not problems:
        return f"none: {settings.source / settings.starters} does not exist" if settings.starters else "none"
    unproved: list[str] = []
    if questions:
        answerer, _ = open_answerer(settings, embedder)
        try:
            unproved = [question.question for question in questions if prove(answerer, question) is None]
        finally:
            answerer.index.close()
    state = [f"{len(questions) - len(unproved)} of {counted(len(questions), 'question')} proved"] if questions else []
    if unproved:
        state.append(f"not {_first([f'“{question}”' for question in unproved])}")
    if problems:
        raise _Unusable("; ".join([*state, _first(problems)]))
    return ", ".join(state)


def _first(items: Sequence[str]) -> str:
    rest = len(items) - _MAX_LISTED
    return "; ".join(items[:_MAX_LISTED]) + (f"; and {rest} more" if rest > 0 else "")


class _Unusable(QAServiceError):
    exit_code = 1


class _Degraded(QAServiceError):
    exit_code = 5


class _Stale(QAServiceError):
    exit_code = 5
