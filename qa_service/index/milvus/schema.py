"""The schema of a collection of passages: its fields and their indexes."""

from collections.abc import Mapping
from typing import Any

ID, VECTOR, TERMS, WORDS = "id", "vector", "terms", "words"
_NEIGHBOURS, _EF_CONSTRUCTION = 32, 200


def layout(dimension: int, fields: Mapping[str, Mapping[str, Any]], *, words: bool, exact: bool) -> tuple[Any, Any]:
    """Return the client's schema and index parameters for ids, vectors and further ``fields``."""
    from pymilvus import DataType, Function, FunctionType, MilvusClient  # noqa: PLC0415 - an extra

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(ID, DataType.INT64, is_primary=True)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimension)
    for field, given in fields.items():
        schema.add_field(field, **given)
    index = MilvusClient.prepare_index_params()
    graph = {"M": _NEIGHBOURS, "efConstruction": _EF_CONSTRUCTION}
    index.add_index(VECTOR, index_type="FLAT" if exact else "HNSW", metric_type="IP", params={} if exact else graph)
    if words:
        analyzer = {"tokenizer": "standard"}
        schema.add_field(TERMS, DataType.VARCHAR, max_length=65535, enable_analyzer=True, analyzer_params=analyzer)
        schema.add_field(WORDS, DataType.SPARSE_FLOAT_VECTOR)
        schema.add_function(Function("bm25", FunctionType.BM25, input_field_names=[TERMS], output_field_names=[WORDS]))
        index.add_index(
            WORDS,
            index_type="SPARSE_INVERTED_INDEX",
            metric_type="BM25",
            params={"bm25_k1": 1.2, "bm25_b": 0.75},
        )
    return schema, index
