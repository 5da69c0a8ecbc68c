"""The keys of the records of a generation."""

from qa_service.index.milvus.records import digest

MANIFEST, CODEC, FREQUENCIES, PARTS = "manifest", "codec", "frequencies", "parts"
SPELLINGS, SYNONYMS, PINS = "spellings", "synonyms", "pins"


def term_key(term: str) -> str:
    """Return the record key of a term's id and frequency."""
    return "term/" + digest(term)


def uri_key(uri: str) -> str:
    """Return the record key of the id of the document at a path."""
    return "uri/" + digest(uri)


def page_lines_key(document_id: str, page: int) -> str:
    """Return the record key of the packed lines of a page."""
    return f"lines/{document_id}/{page}"
