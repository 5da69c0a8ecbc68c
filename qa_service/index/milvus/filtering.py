"""Filters in Milvus: the row fields that they use, and their translation to the server's conditions.

No text of a client is copied into a condition. A comparison beyond equality of text is replaced by the list of the
attribute's values that pass it; up to ``MAX_VALUES`` values of each attribute are published for that.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from qa_service.datatypes import AttributeFilter, ComparisonFilter, CompoundFilter, Filters, Metadata
from qa_service.errors import IndexCorrupt, InvalidRequest
from qa_service.index.attributes import NEGATED, check_filter, has_order, meeting, values_of
from qa_service.index.milvus.records import Records, digest

DOCUMENT, URI, SECTIONS, METADATA = "document_id", "uri", "sections", "metadata"
KEYS = "keys"
MAX_NAMES = 256
MAX_VALUES = 10_000
_TITLE = "\0title"  # not a possible key of front matter: YAML has no NUL
_NOTHING = f'{DOCUMENT} == ""'


def front_matter_key(document_id: str) -> str:
    """Return the record key of a document's front matter."""
    return f"front_matter/{document_id}"


def row_fields(
    document_id: str, uri: str, title: str, sections: Sequence[str], front_matter: Metadata
) -> dict[str, Any]:
    """Return the fields of a row that conditions use."""
    said = [digest(f"{_TITLE}={title}")]
    said += (digest(f"{key}={value}") for key, values in front_matter.items() for value in values_of(values))
    return {
        DOCUMENT: document_id,
        URI: _path(uri),
        SECTIONS: sorted({digest(section) for section in sections})[:MAX_NAMES],
        METADATA: sorted(set(said))[:MAX_NAMES],
    }


def attribute_records(front_matter: Iterable[Metadata]) -> Iterator[tuple[str, str]]:
    """Yield records of all front matter keys and of the values of each key (``null`` if there are too many)."""
    found: dict[str, set[str]] = {}
    for own in front_matter:
        for key, values in own.items():
            known = found.setdefault(key, set())
            if len(known) <= MAX_VALUES:
                known.update(values_of(values))
    for key, known in found.items():
        yield _values_key(key), json.dumps(sorted(known) if len(known) <= MAX_VALUES else None)
    yield KEYS, json.dumps(sorted(found))


class Conditions:
    """Translates filters to conditions of the server."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def of(self, filters: Filters) -> str:
        """Return the condition for the passages that pass the filters; an empty one selects all."""
        every = []
        if filters.document_ids:
            every.append(_documents(filters.document_ids))
        if filters.path_prefixes:
            # Paths are encoded without tildes, and a tilde sorts after all their characters.
            ranges = (f'({URI} >= "{path}" and {URI} < "{path}~")' for path in map(_path, filters.path_prefixes))
            every.append(f"({' or '.join(ranges)})")
        if filters.sections:
            every.append(_any_of(SECTIONS, map(digest, filters.sections)))
        for key, values in filters.metadata.items():
            every.append(_any_of(METADATA, (digest(f"{key}={value}") for value in values)))
        if filters.attributes is not None:
            check_filter(filters.attributes, json.loads(self._published(KEYS)))
            every.append(self._attributes(filters.attributes))
        return " and ".join(every)

    def _attributes(self, given: AttributeFilter) -> str:
        if isinstance(given, CompoundFilter):
            return f"({f' {given.operator} '.join(map(self._attributes, given.filters))})"
        met = self._met(given)
        return f"(not ({met}))" if given.operator in NEGATED else met

    def _met(self, given: ComparisonFilter) -> str:
        """Return the condition for the rows that meet a comparison, ignoring negation."""
        texts = [value for value in given.values if isinstance(value, str)]
        match given.key:
            case "file_id":
                return _documents(texts)
            case "uri" | "filename":
                return f"{URI} in {json.dumps(list(map(_path, texts)))}"
            case "title":
                return _any_of(METADATA, (digest(f"{_TITLE}={text}") for text in texts))
            case "section":
                return _any_of(SECTIONS, map(digest, texts))
        if has_order(given) or len(texts) < len(given.values):
            texts = list(filter(meeting(given), self._values(given.key)))
        return _any_of(METADATA, (digest(f"{given.key}={text}") for text in texts))

    def _values(self, key: str) -> list[str]:
        values: list[str] | None = json.loads(self._published(_values_key(key)))
        if values is None:
            raise InvalidRequest(
                f"filters: this attribute has more than {MAX_VALUES:,} values, which an index in Milvus can only "
                "compare with text for equality; use eq, ne, in or nin with text"
            )
        return values

    def _published(self, key: str) -> str:
        value = self._records.one(key)
        if value is None:
            raise IndexCorrupt(f"the published generation has no record {key} of its attributes; rebuild the index")
        return value


def _values_key(key: str) -> str:
    return "values/" + digest(key)


def _documents(document_ids: Iterable[str]) -> str:
    return f"{DOCUMENT} in {json.dumps([_plain(document_id) for document_id in document_ids])}"


def _any_of(field: str, digests: Iterable[str]) -> str:
    wanted = list(digests)
    return f"array_contains_any({field}, {json.dumps(wanted)})" if wanted else _NOTHING


def _path(uri: str) -> str:
    return quote(uri, safe="/").replace("~", "%7E")


def _plain(document_id: str) -> str:
    return document_id if document_id.isascii() and document_id.isalnum() else digest(document_id)
