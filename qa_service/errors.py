"""All errors that reach a user, each with its HTTP status and exit code, in one tree.

::

    QAServiceError
    ├── SettingsError            exit 2
    ├── ServerStartError         exit 3
    ├── TooManyFailed            exit 1
    ├── InputError               exit 4: SourceError, QuestionFileError
    ├── IndexProblem             exit 5, HTTP 503
    │   └── IndexMissing, IndexCorrupt, IndexIncompatible
    ├── ModelProblem             exit 6
    │   └── ModelMissing, ModelCorrupt, ModelChanged
    ├── StorageError             exit 7
    │   ├── BuildInProgress          HTTP 409
    │   └── RemoteError              another service can't be reached over HTTP
    └── RequestError             HTTP 4xx and 5xx, one class a status
        ├── UnreadableRequest  400     ├── PreconditionFailed   412
        ├── Unauthorized       401     ├── BodyTooLarge         413
        ├── Forbidden          403     ├── AddressTooLong       414
        ├── NotFound           404     ├── UnsupportedMediaType 415
        ├── MethodNotAllowed   405     ├── InvalidRequest       422
        ├── TooSlow            408     ├── TooManyRequests      429
        ├── JobInProgress      409     ├── HeadersTooLarge      431
        ├── Gone               410     ├── Overloaded, NotReady 503
        ├── DeadlineExceeded   504     └── StoreUnavailable     503, exit 5
        └── StorageFull        507         └── StoreRefused

A message says what happened, with the value, then what to do. It never quotes a request.
"""

from collections.abc import Mapping
from typing import ClassVar


class QAServiceError(Exception):
    """Base class of all errors. ``slug`` and ``title`` name the problem type in HTTP responses (RFC 9457)."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    reason = ""

    def in_full(self) -> str:
        """Return the message for the operator of the service, who may see more than a client."""
        return f"{self} ({self.reason})" if self.reason else str(self)


class SettingsError(QAServiceError):
    """A setting is unknown, unreadable or out of range."""

    exit_code = 2


class ServerStartError(QAServiceError):
    """The server could not start: the port is in use, or there is nothing to serve."""

    exit_code = 3


class TooManyFailed(QAServiceError):
    """Too many files became unreadable since the last build; the current index was kept."""

    exit_code = 1


class InputError(QAServiceError):
    """The input is unusable."""

    exit_code = 4


class SourceError(InputError):
    """The source folder is missing, is not a folder, or contains nothing that can be indexed."""


class QuestionFileError(InputError):
    """The question file is missing, unreadable, or contains no valid question."""


class IndexProblem(QAServiceError):
    """The index is unusable."""

    exit_code = 5
    http_status = 503
    slug = "index-unavailable"
    title = "Index unavailable"


class IndexMissing(IndexProblem):
    """No index exists in the configured place."""


class IndexCorrupt(IndexProblem):
    """A file of the index does not match its manifest."""


class IndexIncompatible(IndexProblem):
    """The index is intact, but was built with another format, model or tokenizer."""


class ModelProblem(QAServiceError):
    """The embedding model is unusable."""

    exit_code = 6


class ModelMissing(ModelProblem):
    """A file of the model is missing."""


class ModelCorrupt(ModelProblem):
    """A file of the model is damaged or of a type that is not allowed."""


class ModelChanged(ModelProblem):
    """The model's weights differ from those that the index was built with."""


class StorageError(QAServiceError):
    """Reading or writing failed: disk full, no permission, read-only file system."""

    exit_code = 7


class BuildInProgress(StorageError):
    """Another process is building the same index."""

    http_status = 409
    slug = "build-in-progress"
    title = "Build in progress"


class RemoteError(StorageError):
    """Another service did not respond over HTTP, or its response was invalid."""


class RequestError(QAServiceError):
    """A request failed; the response is a problem document."""

    http_status = 400
    slug = "bad-request"
    title = "Bad request"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Take the message for the client, and headers of the response."""
        super().__init__(message)
        self.headers = headers or {}


class UnreadableRequest(RequestError):
    """The request is not valid HTTP, or its body is not UTF-8, not JSON, or repeats a key."""

    slug = "unreadable-request"
    title = "Unreadable request"


class HostNotAllowed(RequestError):
    """The request is addressed to a host name that ``QA_ALLOWED_HOSTS`` does not list."""

    slug = "host-not-allowed"
    title = "Host not allowed"


class Unauthorized(RequestError):
    """The key is missing or wrong."""

    http_status = 401
    slug = "unauthorized"
    title = "Unauthorized"


class Forbidden(RequestError):
    """The operation is not allowed, or not with this key."""

    http_status = 403
    slug = "forbidden"
    title = "Forbidden"


class NotFound(RequestError):
    """The path or the document does not exist."""

    exit_code, http_status = 2, 404
    slug = "not-found"
    title = "Not found"


class MethodNotAllowed(RequestError):
    """The path does not support this method."""

    http_status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"


class TooSlow(RequestError):
    """The request did not arrive in time."""

    http_status = 408
    slug = "too-slow"
    title = "Request timeout"


class JobInProgress(RequestError):
    """Another job of this kind is running."""

    http_status = 409
    slug = "job-in-progress"
    title = "Job in progress"


class Gone(RequestError):
    """The file of a document is missing or has changed since it was indexed."""

    http_status = 410
    slug = "source-changed"
    title = "Source changed"


class PreconditionFailed(RequestError):
    """The file is not the one that ``If-Match`` names, or it exists despite ``If-None-Match: *``."""

    http_status = 412
    slug = "precondition-failed"
    title = "Precondition failed"


class BodyTooLarge(RequestError):
    """The body exceeds the size limit."""

    http_status = 413
    slug = "body-too-large"
    title = "Body too large"


class AddressTooLong(RequestError):
    """The request's URL exceeds the length limit."""

    http_status = 414
    slug = "address-too-long"
    title = "Address too long"


class UnsupportedMediaType(RequestError):
    """The body is compressed, or is not ``application/json`` in UTF-8 where JSON is expected."""

    http_status = 415
    slug = "unsupported-media-type"
    title = "Unsupported media type"


class InvalidRequest(RequestError):
    """The JSON does not match the schema, or a question is empty or too long."""

    exit_code, http_status = 2, 422
    slug = "invalid-request"
    title = "Invalid request"


class TooManyRequests(RequestError):
    """The client exceeded a rate limit; ``Retry-After`` says when it may ask again."""

    http_status = 429
    slug = "too-many-requests"
    title = "Too many requests"


class HeadersTooLarge(RequestError):
    """The request has too many headers, or they are too long."""

    http_status = 431
    slug = "headers-too-large"
    title = "Headers too large"


class Overloaded(RequestError):
    """The queue, or the number of connections, is at its limit; the request was rejected."""

    http_status = 503
    slug = "overloaded"
    title = "Server full"


class NotReady(RequestError):
    """The service is starting, is shutting down, or has no usable index."""

    http_status = 503
    slug = "not-ready"
    title = "Not ready"


class StoreUnavailable(RequestError):
    """The shared vector store does not respond. The service recovers once it does.

    ``reason`` goes to the log and the terminal only, since it may reveal details of the installation.
    """

    exit_code = 5
    http_status = 503
    slug = "store-unavailable"
    title = "Vector store unavailable"

    def __init__(self, message: str, reason: str = "", code: int = 0) -> None:
        super().__init__(message)
        self.reason, self.code = reason, code


class StoreRefused(StoreUnavailable):
    """The vector store rejected an operation, and would reject it again; ``code`` is the store's error code."""

    slug = "store-refused"
    title = "Vector store rejected the operation"


class DeadlineExceeded(RequestError):
    """The request was accepted, but not answered within the deadline."""

    http_status = 504
    slug = "deadline-exceeded"
    title = "Deadline exceeded"


class StorageFull(RequestError):
    """The disk of the source folder is full, or its quota is used up; nothing was changed."""

    http_status = 507
    slug = "storage-full"
    title = "Storage full"
