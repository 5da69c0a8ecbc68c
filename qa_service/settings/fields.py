"""The settings, with their defaults, bounds and descriptions.

Defaults and descriptions stand here alone: docs/settings.md and the help of the command line are made from them. A
setting that changes an index, or the answers from one, says so in its ``json_schema_extra``.
"""

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from qa_service.settings.values import Names, PublicURL, Rate, Secret, Token, host_of, origin_of

PREFIX = "QA_"
FILE = Path(".env")
DEFAULT_MODEL = "all-MiniLM-L6-v2"
_INDEX: dict[str, Any] = {"changes": "index"}
_ANSWERS: dict[str, Any] = {"changes": "answers"}
_COLLECTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Settings(BaseSettings):
    """All settings, immutable. Create it with ``load_settings``, which reports errors in one line."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_file=FILE,
        env_file_encoding="utf-8-sig",
        dotenv_filtering="match_prefix",  # a .env may serve other programs too
        enable_decoding=False,
    )

    source: Path = Field(Path("source_text"), description="Folder of documents.")
    index: Path = Field(Path("index"), description="Folder of the index.")
    data: Path = Field(Path("data"), description="Folder for keys, feedback, and the jobs of the server.")
    collections: Names = Field(
        (),
        description="Named collections, each with its own index: `hr` for the folder `hr` below the source folder, or "
        "`hr=FOLDER` for another. The default collection is the whole source folder.",
    )
    include: Names = Field(
        (),
        description="Patterns of paths below the source folder, such as `reports/*.pdf`; empty includes every file.",
        json_schema_extra=_INDEX,
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
        json_schema_extra=_INDEX,
    )
    allow_download: bool = Field(False, description="Allow a build to download the model of a hub name.")
    runtime: Literal["auto", "int8", "fp32", "torch"] = Field(
        "auto",
        description="Runtime of the model: `int8` or `fp32` (ONNX Runtime), or `torch` (sentence-transformers). `auto` "
        "chooses the first one that supports the model, and OpenVINO for passages if it is faster.",
        json_schema_extra=_INDEX,
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
    batch_size: int = Field(32, ge=1, le=1024, description="Passages embedded in one batch during a build.")
    passage_tokens: int = Field(
        200,
        ge=16,
        le=8192,
        description="Maximum tokens of a passage, counted by the model's tokenizer.",
        json_schema_extra=_INDEX,
    )
    overlap_tokens: int = Field(
        64,
        ge=0,
        le=4096,
        description="Maximum tokens of the sentences that a passage repeats from the previous one.",
        json_schema_extra=_INDEX,
    )
    language: str = Field(
        "english",
        description="Language of text in Latin script: the name of a Snowball stemmer, or `none`.",
        json_schema_extra=_INDEX,
    )
    token_vectors: bool = Field(
        True, description="Store token vectors in the index, up to 16 KB per passage.", json_schema_extra=_INDEX
    )
    max_file_mb: int = Field(
        50,
        ge=1,
        le=2048,
        description="Maximum size of a source file, in megabytes; larger ones are skipped.",
        json_schema_extra=_INDEX,
    )
    max_pages: int = Field(
        5000,
        ge=1,
        le=1_000_000,
        description="Maximum pages of a PDF file; longer ones are skipped.",
        json_schema_extra=_INDEX,
    )
    max_expanded_mb: int = Field(
        200,
        ge=1,
        le=100_000,
        description="Maximum unpacked size of a DOCX or EPUB file, in megabytes; larger ones are skipped.",
        json_schema_extra=_INDEX,
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
        json_schema_extra=_INDEX,
    )
    row_title: str = Field(
        "title",
        description="Column of CSV, TSV and JSON Lines that holds a row's title, if present.",
        json_schema_extra=_INDEX,
    )
    row_id: str = Field(
        "id",
        description="Column of CSV, TSV and JSON Lines that identifies a row in its uri; without it, the row number.",
        json_schema_extra=_INDEX,
    )
    max_failed_percent: float = Field(
        20, ge=0, le=100, description="If a larger share of the files became unreadable, the current index is kept."
    )
    allow_skips: bool = Field(False, description="Exit with 0 even if unreadable files were skipped.")
    keep_generations: int = Field(
        2, ge=1, le=100, description="Number of generations of the index to keep, including the current one."
    )

    rerank: str = Field(
        "maxsim",
        min_length=1,
        description="`maxsim` (late interaction), `none`, or the folder of a sentence-transformers CrossEncoder.",
        json_schema_extra=_ANSWERS,
    )
    lexical_weight: float = Field(
        0.3,
        ge=0,
        le=0.95,
        description="Weight of BM25 in the ranking; vectors and token vectors share the rest.",
        json_schema_extra=_ANSWERS,
    )
    max_per_document: int = Field(
        0,
        ge=0,
        le=50,
        description="Maximum results from one document; 0 means no limit.",
        json_schema_extra=_ANSWERS,
    )
    top_k: int = Field(5, ge=1, le=50, description="Number of results, unless the question asks for another.")
    min_confidence: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Confidence from which a question counts as answerable.",
        json_schema_extra=_ANSWERS,
    )

    published: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Address where the source folder is published; links to web pages and PDF files point there.",
        json_schema_extra=_ANSWERS,
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to serve on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to serve on; 0 chooses a free one and prints it.")
    allowed_hosts: Names = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        description="Allowed host names of requests; `*.example.org` allows all subdomains. `/livez` and `/readyz` "
        "accept any host.",
    )
    public_url: PublicURL = Field(
        "",
        description="Public address of the service behind a proxy, such as `https://docs.example.org/docs-qa`. Links "
        "begin with its path, requests may, and its host is allowed.",
    )
    reload_seconds: float = Field(1, gt=0, le=3600, description="Interval at which the server checks for a new index.")
    access: Literal["auto", "keys", "open"] = Field(
        "auto",
        description="Whether asking needs a key: `keys` always, `open` never, `auto` if the server listens beyond this "
        "machine. Administrative routes always need one.",
    )
    origins: Names = Field(
        (),
        description="Origins of web pages that may ask without a key, such as `https://www.example.org`, or `*` for "
        "all; with `QA_ACCESS=open` or on loopback. A page with a key has the origins of its key.",
    )
    key: Secret = Field("", repr=False, description="Key for the service that `evaluate --url` asks.")
    rate: Rate = Field("", description="Rate limit per key, such as `600/minute`, unless the key has its own.")
    visitor_rate: Rate = Field(
        "60/minute",
        description="Rate limit per address without a key or with a publishable one, if the server listens beyond this "
        "machine.",
    )
    rate_storage: str = Field(
        "memory://",
        pattern=r"^(memory://|rediss?://\S+)$",
        description="Storage of the rate limits: memory, or `redis://…` for several workers or machines.",
        repr=False,
    )
    link_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="Lifetime of the signed links in answers, in days; revoking the key ends them earlier.",
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks of proxies whose `X-Forwarded-For`, `-Proto` and `-Prefix` are trusted. "
        "They may hold any number of connections, another address a quarter of the limit.",
    )
    workers: int = Field(
        1, ge=1, le=64, description="Number of server processes; they share the memory of the index's files."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="Format of the server's log: `json`, `console`, or `auto`, which is `console` on a terminal.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Level of the server's log; `info` logs every request, but at most one "
        "rejected question per second.",
    )
    log_questions: bool = Field(False, description="Log the questions.")
    traces: bool = Field(
        False,
        description="Send traces to the collector at `OTEL_EXPORTER_OTLP_ENDPOINT`; needs qa-service[otel].",
    )
    drain_seconds: float = Field(
        0,
        ge=0,
        le=600,
        description="Time to keep accepting requests after a stop signal, while `/readyz` reports it, so that load "
        "balancers can react.",
    )
    max_body_bytes: int = Field(
        65536, ge=1024, le=16_777_216, description="Maximum size of a request body; larger ones get 413."
    )
    queue_limit: int = Field(
        32, ge=1, le=10_000, description="Maximum questions in progress or queued; further ones get 503."
    )
    cache_mb: int = Field(
        16,
        ge=1,
        le=4096,
        description="Size of the cache of question embeddings, and of the cache of answers.",
    )
    max_batch: int = Field(64, ge=1, le=1000, description="Maximum questions of one POST /ask/batch.")
    max_upload_mb: int = Field(
        50, ge=1, le=2048, description="Maximum size of a question file for POST /evaluate, in megabytes."
    )
    keep_evaluations: int = Field(
        100, ge=1, le=100_000, description="Number of evaluations of POST /evaluate to keep; older ones are deleted."
    )
    mcp: bool = Field(False, description="Serve the Model Context Protocol at POST /mcp; needs qa-service[mcp].")
    feedback: bool = Field(True, description="Accept feedback on answers (POST /feedback).")
    deadline_seconds: float = Field(10, gt=0, le=600, description="Deadline of a question; a slower one gets 504.")

    @property
    def public_path(self) -> str:
        """The path of the public address without a trailing slash, or empty."""
        return urlsplit(self.public_url).path

    @property
    def milvus_alias(self) -> str:
        """The alias of the current generation of this collection in the Milvus server."""
        return self.milvus_prefix if "_" in self.milvus_prefix else f"{self.milvus_prefix}_default"

    @field_validator("*", mode="before")
    @classmethod
    def _are_plain_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Reject numbers that only Python accepts: ``1_000``, ``1e3``, ``5 ``, non-ASCII digits."""
        number = info.field_name is not None and cls.model_fields[info.field_name].annotation in {int, float}
        if number and isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise ValueError("write a plain decimal number without a unit; the name of the setting gives the unit")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not hosts:
            raise ValueError("name the allowed hosts, or * for any")
        for host in hosts:
            if host != "*" and not host_of(host.removeprefix("*.")):
                raise ValueError(f"{host!r} is not a host name; write it as www.example.org, *.example.org or [::1]")
        return hosts

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

    def by_collection(self) -> dict[str, "Settings"]:
        """Return the settings of each named collection, which differ in source, index and Milvus prefix."""
        found = {}
        for text in self.collections:
            name, _, folder = text.partition("=")
            own = {"source": Path(folder) if folder else self.source / name, "index": self.index / "collections" / name}
            # Names have no capital letters, and Milvus accepts no hyphens.
            shared = f"{self.milvus_prefix}_{name.replace('-', 'H')}"
            found[name] = self.model_copy(update={**own, "milvus_prefix": shared, "collections": ()})
        return found

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return origins if origins == ("*",) else tuple(map(origin_of, origins))


def default_of(name: str) -> Any:
    """Return the default of a setting."""
    return Settings.model_fields[name].default


def settings_that_change(what: Literal["index", "answers"]) -> tuple[str, ...]:
    """Return the names of the settings that change an index, or the answers from one."""
    return tuple(name for name, field in Settings.model_fields.items() if field.json_schema_extra == {"changes": what})
