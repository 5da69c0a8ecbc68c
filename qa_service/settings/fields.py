"""Every setting, with its bounds."""

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
    """All settings, frozen. Build it with ``load_settings``, which reports errors as one line."""

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
    data: Path = Field(Path("data"), description="Folder for keys, feedback, and jobs asked for over HTTP.")
    collections: Names = Field(
        (),
        description="Names of collections, each with an index of its own: `hr` for the folder `hr` below the source "
        "folder, or `hr=FOLDER` for another. The default collection is the whole source folder.",
    )
    include: Names = Field(
        (),
        description="Patterns of paths below the source folder, as `reports/*.pdf`; none means every file.",
        json_schema_extra=_INDEX,
    )

    store: Literal["faiss", "milvus"] = Field(
        "faiss",
        description="Where questions are answered from: the index folder, or a Milvus server that replicas share, for "
        "which qa-service[milvus] is needed.",
    )
    milvus_uri: str = Field(
        "http://localhost:19530",
        pattern=r"^https?://[^\s/@]+$",
        description="Address of the Milvus server; `https://` is by TLS.",
    )
    milvus_token: Token = Field("", repr=False, description="Token, or `user:password`, to show to the Milvus server.")
    milvus_ca: str = Field("", description="File of the authority that signed the Milvus server's certificate.")
    milvus_prefix: str = Field(
        "qa",
        pattern=r"^[a-z][a-z0-9]{0,30}$",
        description="Beginning of the names of collections in the Milvus server.",
    )
    milvus_seconds: float = Field(
        2, gt=0, le=60, description="Time that one call of the Milvus server may take, retries included."
    )

    model: str = Field(
        DEFAULT_MODEL,
        min_length=1,
        description="Embedding model: the built-in one by its name, a folder, or a hub name.",
        json_schema_extra=_INDEX,
    )
    allow_download: bool = Field(False, description="Let a hub name be fetched over the network at build time.")
    runtime: Literal["auto", "int8", "fp32", "torch"] = Field(
        "auto",
        description="How the model is run: `int8` or `fp32` by ONNX Runtime, `torch` by sentence-transformers; "
        "`auto` takes the first of these that the model can be exported to, and has OpenVINO embed passages where it "
        "is faster.",
        json_schema_extra=_INDEX,
    )
    engine: Literal["local", "ray"] = Field(
        "local",
        description="What builds an index: this process, or a Ray cluster, for which qa-service[ray] is needed.",
    )
    ray_address: str = Field(
        "",
        pattern=r"^(auto|[^\s:/]+:[0-9]+)?$",
        description="Address of the Ray cluster that this machine is a node of, as `host:6379`, or `auto`; none starts "
        "one of this machine alone.",
    )
    shard_kb: float = Field(
        1000,
        gt=0,
        le=1_000_000,
        description="Kilobytes of documents that a machine of the cluster builds as one shard: so much of its work is "
        "lost with it. Larger files are shards of their own.",
    )
    batch_size: int = Field(32, ge=1, le=1024, description="Passages embedded at once while building.")
    passage_tokens: int = Field(
        200,
        ge=16,
        le=8192,
        description="Most tokens of a passage, by the model's own tokenizer.",
        json_schema_extra=_INDEX,
    )
    overlap_tokens: int = Field(
        64,
        ge=0,
        le=4096,
        description="Most tokens of whole sentences that a passage repeats from the one before it.",
        json_schema_extra=_INDEX,
    )
    language: str = Field(
        "english",
        description="Language of text in Latin script: the name of a Snowball stemmer, or `none`.",
        json_schema_extra=_INDEX,
    )
    token_vectors: bool = Field(
        True, description="Keep token vectors in the index, up to 16 KB a passage.", json_schema_extra=_INDEX
    )
    max_file_mb: int = Field(
        50, ge=1, le=2048, description="Larger source files are skipped, in megabytes.", json_schema_extra=_INDEX
    )
    max_pages: int = Field(
        5000, ge=1, le=1_000_000, description="PDF files of more pages are skipped.", json_schema_extra=_INDEX
    )
    max_expanded_mb: int = Field(
        200,
        ge=1,
        le=100_000,
        description="DOCX and EPUB files that unpack to more are skipped, in megabytes.",
        json_schema_extra=_INDEX,
    )
    parse_seconds: float = Field(60, gt=0, le=86_400, description="Files that take longer to read are skipped.")
    parse_memory_mb: int = Field(
        2000, ge=256, le=1_000_000, description="Memory of the process that reads PDF, HTML, DOCX, EPUB and RST."
    )
    row_text: Names = Field(
        (),
        description="Columns of CSV, TSV and JSON Lines that are a row's text, by commas; none means all.",
        json_schema_extra=_INDEX,
    )
    row_title: str = Field(
        "title",
        description="Column of CSV, TSV and JSON Lines that is a row's title, if it is there.",
        json_schema_extra=_INDEX,
    )
    row_id: str = Field(
        "id",
        description="Column of CSV, TSV and JSON Lines that names a row in its uri; its number if it is not there.",
        json_schema_extra=_INDEX,
    )
    max_failed_percent: float = Field(
        20, ge=0, le=100, description="Where more of the files can't be read any more, the index in force is kept."
    )
    allow_skips: bool = Field(False, description="Exit with 0 although files that look broken were skipped.")
    keep_generations: int = Field(2, ge=1, le=100, description="Generations of the index kept, the current included.")

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
        description="Weight of the words (BM25) in the ranking; vectors and token vectors share the rest.",
        json_schema_extra=_ANSWERS,
    )
    max_per_document: int = Field(
        0,
        ge=0,
        le=50,
        description="Most results of one document, so that none fills an answer; 0 is no limit.",
        json_schema_extra=_ANSWERS,
    )
    top_k: int = Field(5, ge=1, le=50, description="Results of an answer where the question names no number.")
    min_confidence: float = Field(
        0.2,
        ge=0,
        le=1,
        description="From this confidence on a question counts as answerable.",
        json_schema_extra=_ANSWERS,
    )

    published: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Address below which the source folder is published: links to web pages and PDF files go there.",
        json_schema_extra=_ANSWERS,
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to serve on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to serve on; 0 takes a free one and prints it.")
    allowed_hosts: Names = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        description="Host names that requests may be addressed to, separated by commas; `*.example.org` allows all "
        "below one. `/livez` and `/readyz` answer under any.",
    )
    public_url: PublicURL = Field(
        "",
        description="Address under which a proxy publishes this service, as `https://docs.example.org/docs-qa`. Links "
        "begin with its path, requests may, and its host is allowed.",
    )
    reload_seconds: float = Field(
        1, gt=0, le=3600, description="How often the server looks whether another index is in force."
    )
    access: Literal["auto", "keys", "open"] = Field(
        "auto",
        description="Whether asking needs a key: `keys` always, `open` never, `auto` where others than this machine "
        "can ask. The administrator's routes always need one.",
    )
    origins: Names = Field(
        (),
        description="Origins of pages that may ask without a key, as `https://www.example.org`, or `*` for all, with "
        "`QA_ACCESS=open` or on loopback. Pages with a key have those of the key.",
    )
    key: Secret = Field("", repr=False, description="Key to show to the service that `evaluate --url` asks.")
    rate: Rate = Field("", description="Requests by each key, as `600/minute`, if the key has no rate of its own.")
    visitor_rate: Rate = Field(
        "60/minute",
        description="Requests from each address without a key, or with a publishable one, where others than this "
        "machine can ask.",
    )
    rate_storage: str = Field(
        "memory://",
        pattern=r"^(memory://|rediss?://\S+)$",
        description="Where requests are counted: in memory, or at `redis://…` for several workers or machines.",
        repr=False,
    )
    link_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="Days that the signed links in answers open without a key; they end earlier with their key.",
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks of proxies whose `X-Forwarded-For`, `-Proto` and `-Prefix` are believed. "
        "They may hold any number of connections, other addresses a quarter of them.",
    )
    workers: int = Field(1, ge=1, le=64, description="Server processes; they share the index's files in memory.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="Lines of the server's log as JSON or for people; `auto` asks whether it goes to a terminal.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="What the server logs; `info` has a line for each request, one a second for questions turned away.",
    )
    log_questions: bool = Field(False, description="Also log what was asked.")
    traces: bool = Field(
        False,
        description="Send traces to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names; needs qa-service[otel].",
    )
    drain_seconds: float = Field(
        0,
        ge=0,
        le=600,
        description="How long a server that is told to stop still takes requests while `/readyz` says so, for "
        "balancers to leave it.",
    )
    max_body_bytes: int = Field(65536, ge=1024, le=16_777_216, description="Larger request bodies get 413.")
    queue_limit: int = Field(32, ge=1, le=10_000, description="Questions in work or waiting; one more gets 503.")
    cache_mb: int = Field(
        16,
        ge=1,
        le=4096,
        description="Memory for embeddings of questions asked lately, and as much for their answers.",
    )
    max_batch: int = Field(64, ge=1, le=1000, description="Questions of one POST /ask/batch.")
    max_upload_mb: int = Field(50, ge=1, le=2048, description="Question files sent to POST /evaluate, in megabytes.")
    keep_evaluations: int = Field(
        100, ge=1, le=100_000, description="Evaluations of POST /evaluate kept, the newest; older ones are removed."
    )
    mcp: bool = Field(False, description="Serve the Model Context Protocol at POST /mcp; needs qa-service[mcp].")
    feedback: bool = Field(True, description="Take feedback on answers (POST /feedback).")
    deadline_seconds: float = Field(10, gt=0, le=600, description="A question that takes longer gets 504.")

    @property
    def public_path(self) -> str:
        """The path of the public address, without a slash at its end; empty if there is none."""
        return urlsplit(self.public_url).path

    @property
    def milvus_alias(self) -> str:
        """The alias, in the Milvus server, of this collection's generation in force."""
        return self.milvus_prefix if "_" in self.milvus_prefix else f"{self.milvus_prefix}_default"

    @field_validator("*", mode="before")
    @classmethod
    def _are_plain_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what Python would take for a number and few people would: ``1_000``, ``1e3``, ``5 ``, other digits."""
        number = info.field_name is not None and cls.model_fields[info.field_name].annotation in {int, float}
        if number and isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise ValueError("write a plain decimal number, without a unit: the name tells which it is")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not hosts:
            raise ValueError("name the hosts that requests are addressed to, or * for any")
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
                raise ValueError(f"{text!r} is no collection; write NAME or NAME=FOLDER, in a-z, 0-9, - and _")
        if len(set(names)) < len(names):
            raise ValueError("a collection is named twice")
        return collections

    def by_collection(self) -> dict[str, "Settings"]:
        """Return the settings of each collection that has a name: its own source and index, all else alike."""
        found = {}
        for text in self.collections:
            name, _, folder = text.partition("=")
            own = {"source": Path(folder) if folder else self.source / name, "index": self.index / "collections" / name}
            # No name has a capital letter, and a Milvus server takes no hyphen.
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
