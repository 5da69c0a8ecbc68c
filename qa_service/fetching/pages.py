"""The folder of fetched pages, and a small file that says which page each of its files is."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote

import httpx2

from qa_service.errors import StorageError
from qa_service.io.durable import replace_file, storage_errors

STATE_FILE = ".fetched.json"
"""Hidden, so that no build reads it."""
_VERSION = 1
_UNSAFE = re.compile(r"[^\w.,()=+-]+")
_WINDOWS_DEVICE = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)")
_MAX_NAME_CHARACTERS = 60
_DIGEST_CHARACTERS = 8
_HTML = (".html", ".htm", ".xhtml")


@dataclass(frozen=True, slots=True)
class KnownPage:
    """A page that was fetched: its file below the folder, and the headers that ask whether it has changed."""

    file: str
    etag: str = ""
    last_modified: str = ""

    def conditions(self) -> dict[str, str]:
        """Return the headers of a conditional request."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


class Pages:
    """The fetched pages of a folder, by their addresses."""

    def __init__(self, folder: Path) -> None:
        """Read the state of the last run. Raises :class:`StorageError` if it is damaged."""
        self.folder = folder
        self._file = folder / STATE_FILE
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            content = self._file.read_bytes() if self._file.exists() else b""
        try:
            pages = json.loads(content)["pages"] if content else {}
            self.known = {url: KnownPage(**page) for url, page in pages.items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StorageError(f"{self._file} is damaged ({error}); delete it to fetch all pages again") from error
        if outside := [page.file for page in self.known.values() if not _is_inside(page.file)]:
            raise StorageError(f"{self._file} names {outside[0]!r}, which is outside the folder; delete the state file")

    def content(self, url: str) -> bytes | None:
        """Return the file of a page, or ``None`` if it is unknown or was deleted."""
        page = self.known.get(url)
        try:
            return (self.folder / page.file).read_bytes() if page else None
        except FileNotFoundError:
            return None

    def store(self, url: httpx2.URL, content: bytes, headers: httpx2.Headers) -> bool:
        """Write the file of a page; return whether its content is another than before."""
        known = self.known.get(str(url))
        file = known.file if known else self._new_file(url)
        is_changed = self.content(str(url)) != content
        if is_changed:
            with storage_errors(self.folder / file):
                (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
                replace_file(self.folder / file, content)
        self.known[str(url)] = KnownPage(file, headers.get("etag", ""), headers.get("last-modified", ""))
        return is_changed

    def remove(self, url: str) -> None:
        """Delete the file of a page."""
        with storage_errors(self.folder):
            (self.folder / self.known.pop(url).file).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the state for the next run."""
        pages = {url: asdict(page) for url, page in sorted(self.known.items())}
        with storage_errors(self._file):
            replace_file(self._file, json.dumps({"version": _VERSION, "pages": pages}, indent=1).encode())

    def _new_file(self, url: httpx2.URL) -> str:
        taken = {page.file.lower() for page in self.known.values()}
        file = file_of(url)
        return file_of(url, apart=True) if file.lower() in taken else file


def _is_inside(file: str) -> bool:
    return not file.startswith("/") and "\\" not in file and not {"", ".", ".."} & set(file.split("/"))


def file_of(url: httpx2.URL, *, apart: bool = False) -> str:
    """Return the path of a page's file: its host and path in safe characters.

    A digest of the address sets a page apart from others: with a query, with a name that had to be shortened, and
    with ``apart``.
    """
    names = [unquote(name) for name in url.raw_path.decode().partition("?")[0].strip("/").split("/")]
    if not url.path.endswith(_HTML):
        names = [*filter(None, names), "index"]
    stem = names[-1].rpartition(".")[0] if names[-1].endswith(_HTML) else names[-1]
    folders = [_safe(name) for name in (url.netloc.decode(), *names[:-1])]
    if apart or url.query or any(len(name) > _MAX_NAME_CHARACTERS for name in names):
        stem = f"{stem[:_MAX_NAME_CHARACTERS]}-{hashlib.sha256(str(url).encode()).hexdigest()[:_DIGEST_CHARACTERS]}"
    return "/".join([*folders, f"{_safe(stem, 2 * _MAX_NAME_CHARACTERS)}.html"])


def _safe(name: str, length: int = _MAX_NAME_CHARACTERS) -> str:
    safe = _UNSAFE.sub("_", name)[:length].rstrip(". ")
    return f"_{safe}" if not safe or safe.startswith(".") or _WINDOWS_DEVICE.match(safe) else safe
