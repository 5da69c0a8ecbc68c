"""The settings of an index: its documents, where it is stored, the model, how it is built."""

import re
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path
from pydantic import BaseModel, Field, field_validator

from qa_service.settings.values import CHANGES_INDEX, Names, Token

DEFAULT_MODEL = "all-MiniLM-L6-v2"
STARTERS = "starters.jsonl"
_COLLECTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class IndexFields(BaseModel):
    """The settings of an index."""

    source: Path = Field(Path("source_text"), description="Folder of documents.")
    index: Path = Field(Path("index"), description="Folder of the index.")
    data: Path = Field(Path("data"), description="Folder for keys, feedback, sessions, and the jobs of the server.")
    cache_dir: str = Field(
        "",
        description="Folder for what can be made again, shared by all indexes of the machine: models as they are run, "
        "and the indexes that `index FOLDER` and `serve FOLDER` build. Empty means `qa-service` in the account's "
        "cache: `~/.cache` (or `XDG_CACHE_HOME`) on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows. "
        "Without permission to write there, the index folder is used for models.",
    )
    collections: Names = Field(
        (),
        description="Named collections, each with its own index: `hr` for the folder `hr` below the source folder, or "
        "`hr=FOLDER` for another. The default collection is the whole source folder.",
    )
    starters: str = Field(
        STARTERS,
        description="Question file with questions to start with, which `GET /starters` offers once the index is proved "
        "to answer them. A path below the source folder, where neither it nor `starters.jsonl` is indexed, or an "
        "absolute path elsewhere; empty for none.",
        json_schema_extra=CHANGES_INDEX,
    )
    include: Names = Field(
        (),
        description="Patterns of paths below the source folder, such as `reports/*.pdf`; empty includes every file.",
        json_schema_extra=CHANGES_INDEX,
    )

    store: Literal["faiss", "milvus"] = Field(
        "faiss",
        description="Where the served index is stored: the index folder (`faiss`), or a Milvus server shared by "
        "replicas, which needs qa-service[milvus].",
    )
    milvus_uri: str = Field(
        "http://localhost:19530",
        pattern=r"^https?://[^\s/@]+$",
        description="Address of the Milvus server; `https://` uses TLS.",
    )
    milvus_token: Token = Field("", repr=False, description="Token or `user:password` for the Milvus server.")
    milvus_ca: str = Field("", description="File of the certificate authority of the Milvus server.")
    milvus_prefix: str = Field(
        "qa",
        pattern=r"^[a-z][a-z0-9]{0,30}$",
        description="Prefix of the collection names in the Milvus server.",
    )
    milvus_seconds: float = Field(
        2, gt=0, le=60, description="Timeout of one call of the Milvus server, retries included."
    )

    model: str = Field(
        DEFAULT_MODEL,
        min_length=1,
        description="Embedding model: the built-in one, a folder, or a hub name.",
        json_schema_extra=CHANGES_INDEX,
    )
    allow_download: bool = Field(False, description="Allow a build to download the model of a hub name.")
    runtime: Literal["auto", "int8", "fp32", "torch"] = Field(
        "auto",
        description="Runtime of the model: `int8` or `fp32` (ONNX Runtime), or `torch` (sentence-transformers). `auto` "
        "chooses the first one that supports the model, and OpenVINO for passages if it is faster.",
        json_schema_extra=CHANGES_INDEX,
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto",
        description="Where a build embeds passages: on a graphics card that torch can use (`cuda` for NVIDIA's and "
        "AMD's, `mps` for Apple's), or on the processor (`cpu`). `auto` takes a card if there is one and `QA_RUNTIME` "
        "is `auto` or `torch`. Questions, and builds on a cluster, use the processor.",
    )
    engine: Literal["local", "ray"] = Field(
        "local",
        description="Where an index is built: in this process (`local`), or on a Ray cluster (`ray`), which needs "
        "qa-service[ray].",
    )
    ray_address: str = Field(
        "",
        pattern=r"^(auto|[^\s:/]+:[0-9]+)?$",
        description="Address of the Ray cluster that this machine belongs to, such as `host:6379`, or `auto`; empty "
        "starts a cluster of this machine only.",
    )
    shard_kb: float = Field(
        1000,
        gt=0,
        le=1_000_000,
        description="Size of a shard, in kilobytes of documents: the amount of work that is lost with a machine of the "
        "cluster. A larger file is a shard of its own.",
    )
    batch_size: int = Field(
        32,
        ge=1,
        le=1024,
        description="Passages embedded in one batch during a build; on a graphics card its memory decides.",
    )
    passage_tokens: int = Field(
        200,
        ge=16,
        le=8192,
        description="Maximum tokens of a passage, counted by the model's tokenizer.",
        json_schema_extra=CHANGES_INDEX,
    )
    overlap_tokens: int = Field(
        64,
        ge=0,
        le=4096,
        description="Maximum tokens of the sentences that a passage repeats from the previous one.",
        json_schema_extra=CHANGES_INDEX,
    )
    language: str = Field(
        "english",
        description="Language of text in Latin script: the name of a Snowball stemmer, or `none`.",
        json_schema_extra=CHANGES_INDEX,
    )
    token_vectors: bool = Field(
        True, description="Store token vectors in the index, up to 16 KB per passage.", json_schema_extra=CHANGES_INDEX
    )
    max_file_mb: int = Field(
        50,
        ge=1,
        le=2048,
        description="Maximum size of a source file, in megabytes; larger ones are skipped.",
        json_schema_extra=CHANGES_INDEX,
    )
    max_pages: int = Field(
        5000,
        ge=1,
        le=1_000_000,
        description="Maximum pages of a PDF file; longer ones are skipped.",
        json_schema_extra=CHANGES_INDEX,
    )
    ocr: Literal["auto", "off"] = Field(
        "auto",
        description="Read scanned pages of PDF files, those with pictures and no text, if qa-service[ocr] is installed "
        "(`auto`), or never.",
        json_schema_extra=CHANGES_INDEX,
    )
    max_ocr_pages: int = Field(
        500,
        ge=1,
        le=1_000_000,
        description="Maximum scanned pages of a PDF file; files with more are skipped. Each takes one or two seconds, "
        "and adds 30 to `QA_PARSE_SECONDS`.",
        json_schema_extra=CHANGES_INDEX,
    )
    max_expanded_mb: int = Field(
        200,
        ge=1,
        le=100_000,
        description="Maximum unpacked size of a DOCX or EPUB file, in megabytes; larger ones are skipped.",
        json_schema_extra=CHANGES_INDEX,
    )
    parse_seconds: float = Field(
        60, gt=0, le=86_400, description="Timeout for reading a file; slower ones are skipped."
    )
    parse_memory_mb: int = Field(
        2000, ge=256, le=1_000_000, description="Memory limit of the process that parses PDF, HTML, DOCX, EPUB and RST."
    )
    row_text: Names = Field(
        (),
        description="Columns of CSV, TSV and JSON Lines that hold a row's text; empty means all.",
        json_schema_extra=CHANGES_INDEX,
    )
    row_title: str = Field(
        "title",
        description="Column of CSV, TSV and JSON Lines that holds a row's title, if present.",
        json_schema_extra=CHANGES_INDEX,
    )
    row_id: str = Field(
        "id",
        description="Column of CSV, TSV and JSON Lines that identifies a row in its uri; without it, the row number.",
        json_schema_extra=CHANGES_INDEX,
    )
    max_failed_percent: float = Field(
        20, ge=0, le=100, description="If a larger share of the files became unreadable, the current index is kept."
    )
    allow_skips: bool = Field(False, description="Exit with 0 even if unreadable files were skipped.")
    keep_generations: int = Field(
        2, ge=1, le=100, description="Number of generations of the index to keep, including the current one."
    )

    @property
    def model_cache(self) -> Path:
        """The folder of ``cache_dir``, or its default on this system."""
        return Path(self.cache_dir) if self.cache_dir else user_cache_path("qa-service", appauthor=False)

    @property
    def starter_paths(self) -> tuple[str, ...]:
        """The paths below the source folder that are not documents: the default one, and the one that is set."""
        return tuple({STARTERS, self.starters or STARTERS})

    @property
    def milvus_alias(self) -> str:
        """The alias of the current generation of this collection in the Milvus server."""
        return self.milvus_prefix if "_" in self.milvus_prefix else f"{self.milvus_prefix}_default"

    @field_validator("collections")
    @classmethod
    def _are_collections(cls, collections: tuple[str, ...]) -> tuple[str, ...]:
        names = [text.partition("=")[0] for text in collections]
        for text, name in zip(collections, names, strict=True):
            if not _COLLECTION.fullmatch(name) or name == "default" or text.endswith("="):
                raise ValueError(f"{text!r} is not a collection; write NAME or NAME=FOLDER with a-z, 0-9, - and _")
        if len(set(names)) < len(names):
            raise ValueError("two collections have the same name")
        return collections
