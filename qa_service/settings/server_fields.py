"""The settings of the server: addresses, access, limits, logs."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from qa_service.settings.values import Names, PublicURL, Rate, Secret, host_of, origin_of

UNIX = "unix:"
"""How an address that is the path of a Unix socket begins; also the name of every client of such a socket."""


class ServerFields(BaseModel):
    """The settings of the server."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to serve on, or `unix:/path` for a Unix socket.")
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
        "They may hold any number of connections, another address a quarter of the limit. A proxy on a "
        "Unix socket is trusted.",
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
    documents_write: bool = Field(
        False,
        description="Let keys with the scope `admin` read, write and delete files of the source folder over HTTP "
        "(`/documents/{path}`).",
    )
    feedback: bool = Field(True, description="Accept feedback on answers (POST /feedback).")
    analytics: Literal["off", "counts", "questions"] = Field(
        "off",
        description="Record the questions of `POST /ask` and `POST /mcp` in the data folder, for `qa-service report` "
        "and `/owner`: time, collection, verdict, confidence, quoted documents, duration and feedback of each "
        "(`counts`), and its text and vector as well, with secrets masked (`questions`).",
    )
    analytics_days: int = Field(
        90, ge=1, le=3650, description="Days that recorded questions are kept; older ones are deleted."
    )
    starters_from_feedback: bool = Field(
        False,
        description="Offer questions whose answer was marked useful as well, once they are proved. Anyone who may ask "
        "then sees questions that others asked.",
    )
    deadline_seconds: float = Field(10, gt=0, le=600, description="Deadline of a question; a slower one gets 504.")

    @property
    def on_socket(self) -> bool:
        """Whether the server listens on a Unix socket."""
        return self.host.startswith(UNIX)

    @property
    def public_path(self) -> str:
        """The path of the public address without a trailing slash, or empty."""
        return urlsplit(self.public_url).path

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not hosts:
            raise ValueError("name the allowed hosts, or * for any")
        for host in hosts:
            if host != "*" and not host_of(host.removeprefix("*.")):
                raise ValueError(f"{host!r} is not a host name; write it as www.example.org, *.example.org or [::1]")
        return hosts

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return origins if origins == ("*",) else tuple(map(origin_of, origins))
