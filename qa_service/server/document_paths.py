"""Paths of documents that clients name: they lead to visible files of known formats, on every system."""

from collections.abc import Collection

from qa_service.errors import InvalidRequest
from qa_service.loading.folder import extension_of

_MAX_PATH_BYTES = 1024
_MAX_NAME_BYTES = 200
_MAX_NAMES = 32
_FORBIDDEN_CHARACTERS = frozenset('<>:"\\|?*#\ufffd')
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(10))}


def names_of(path: str, extensions: Collection[str]) -> tuple[str, ...]:
    """Return the names of the folders on a path and of the file at its end.

    Raises :class:`InvalidRequest` for a path that leaves its folder, that a scan ignores, that another system can't
    store, or whose file has none of the ``extensions``.
    """
    names = tuple(path.split("/"))
    if len(names) > _MAX_NAMES or len(path.encode(errors="replace")) > _MAX_PATH_BYTES:
        raise InvalidRequest(
            f"the path is longer than {_MAX_PATH_BYTES} bytes or {_MAX_NAMES} names; use a shorter one"
        )
    for name in names:
        if problem := _problem(name):
            raise InvalidRequest(f"the path has a name that {problem}; use another")
    if extension_of(names[-1]) not in extensions:
        raise InvalidRequest(f"the path does not end in a format that is read: {', '.join(sorted(extensions))}")
    return names


def _problem(name: str) -> str:
    if not name or name.startswith("."):
        return "is empty or begins with a dot, as hidden files do"
    if name != name.strip() or name.endswith("."):
        return "begins or ends with a space or ends with a dot"
    if not name.isprintable() or not _FORBIDDEN_CHARACTERS.isdisjoint(name):
        return f"has an invisible character or one of {' '.join(sorted(_FORBIDDEN_CHARACTERS - {chr(0xFFFD)}))}"
    if len(name.encode()) > _MAX_NAME_BYTES:
        return f"is longer than {_MAX_NAME_BYTES} bytes"
    if name.partition(".")[0].strip().lower() in _WINDOWS_DEVICES:
        return "belongs to a device of Windows"
    return ""
