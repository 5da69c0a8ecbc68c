"""Parses untrusted JSON strictly by RFC 8259; errors are one short line."""

import json
from typing import Any


def loads(data: bytes | str, *, allow_constants: bool = False) -> Any:
    """Return the value of a JSON text.

    Raises ``ValueError`` for invalid UTF-8, a byte order mark, a duplicate key, a number with thousands of digits,
    nesting that is too deep to parse, and NaN and Infinity unless ``allow_constants``. The message never quotes the
    data.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise ValueError("begins with a byte order mark")
    try:
        return json.loads(
            text, object_pairs_hook=_no_duplicates, parse_constant=None if allow_constants else _no_constants
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except _RefusedError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError("a number has too many digits") from None


class _RefusedError(Exception):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _RefusedError("an object has a duplicate key")
    return content


def _no_constants(name: str) -> None:
    raise _RefusedError(f"{name} is not JSON")
