"""The first member of an export: what the others are, with their sizes and hashes."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from qa_service import __version__
from qa_service.errors import InputError
from qa_service.index.manifest import FORMAT_VERSION
from qa_service.io import strict_json

ARCHIVE_VERSION = 1
CONTENTS = "contents.json"
MAX_CONTENTS_BYTES = 64_000_000
MAX_FILES = 1_000_000
FOLDERS = ("source", "index", "data")
_MAX_NAME_BYTES, _MAX_PART_BYTES = 4_096, 255
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|\A[A-Za-z]:")


def checked_name(name: str) -> str:
    """Return the name of a file. Raises ``ValueError`` unless it is a plain path below one of the folders."""
    folder, *parts = name.split("/")
    if folder not in FOLDERS or not parts or _UNSAFE.search(name) or len(name.encode()) > _MAX_NAME_BYTES:
        raise ValueError("it is not a path below source/, index/ or data/")
    for part in parts:
        if part in {"", ".", ".."} or len(part.encode()) > _MAX_PART_BYTES:
            raise ValueError("it is not a plain path")
    return name


class ArchivedFile(BaseModel):
    """A file of an export."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: Annotated[str, AfterValidator(checked_name)]
    bytes: Annotated[int, Field(ge=0, le=2**50)]
    sha256: Annotated[str, Field(pattern=_SHA256.pattern + r"\z")]


class ArchiveContents(BaseModel):
    """The list of an export. ``settings`` are those of the index that are not the default."""

    model_config = ConfigDict(frozen=True, strict=True)

    archive_version: int = ARCHIVE_VERSION
    written_by: str = f"qa-service {__version__}"
    index_format: int = FORMAT_VERSION
    generation: Annotated[str, Field(pattern=r"^[0-9a-f]{16}\z")]
    settings: dict[str, str]
    files: Annotated[tuple[ArchivedFile, ...], Field(max_length=MAX_FILES)]

    @property
    def total_bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)

    def to_bytes(self) -> bytes:
        """Return the contents as JSON."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def parse_contents(data: bytes, where: str) -> ArchiveContents:
    """Return the contents of an export. Raises :class:`InputError` for any that this program does not write."""
    try:
        version = strict_json.loads(data)["archive_version"]
        if version != ARCHIVE_VERSION:
            raise InputError(
                f"{where} is an export of version {version!r}, this program reads {ARCHIVE_VERSION}; update qa-service "
                "or export again with the version that imports"
            )
        contents = ArchiveContents.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {CONTENTS}: {at}: {first['msg']}; export again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where}: {CONTENTS} can't be read ({error}); export again") from error
    names = [file.name.casefold() for file in contents.files]
    folders = {name[:at] for name in names for at, character in enumerate(name) if character == "/"}
    if len(set(names)) < len(names) or folders.intersection(names):
        raise InputError(f"{where}: {CONTENTS}: two files have one name; export again")
    return contents
