"""Every error that a user can meet, its HTTP status and its exit code, in one tree.

::

    QAServiceError
    ├── SettingsError            exit 2
    ├── ServerStartError         exit 3
    ├── TooManyFailed            exit 1
    ├── InputError               exit 4
    │   ├── SourceError              the folder of documents can't be used
    │   └── QuestionFileError        the question file can't be used
    ├── IndexProblem             exit 5, HTTP 503
    │   ├── IndexMissing
    │   ├── IndexCorrupt
    │   └── IndexIncompatible
    ├── ModelProblem             exit 6
    │   ├── ModelMissing
    │   ├── ModelCorrupt
    │   └── ModelChanged             the index was built with other weights
    ├── StorageError             exit 7
    │   ├── BuildInProgress          HTTP 409
    │   └── RemoteError              another service can't be asked over HTTP
    └── RequestError             HTTP 4xx and 5xx, one class a status
        ├── UnreadableRequest    400     ├── AddressTooLong       414
        ├── Unauthorized         401     ├── UnsupportedMediaType 415
        ├── Forbidden            403     ├── InvalidRequest       422
        ├── NotFound             404     ├── TooManyRequests      429
        ├── MethodNotAllowed     405     ├── HeadersTooLarge      431
        ├── TooSlow              408     ├── Overloaded, NotReady 503
        ├── JobInProgress        409     ├── DeadlineExceeded     504
        └── BodyTooLarge         413     └── StoreUnavailable     503, exit 5
                                             └── StoreRefused

A message says what happened, with the value, and then what to do. It never quotes a request.
"""

from collections.abc import Mapping
from typing import ClassVar


class QAServiceError(Exception):
    """Base of all. ``slug`` and ``title`` name the problem type in HTTP answers (RFC 9457)."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def in_full(self) -> str:
        """Return what is told to who runs the service."""
        return str(self)


class SettingsError(QAServiceError):
    """A setting is unknown, unreadable or out of bounds."""

    exit_code = 2


class ServerStartError(QAServiceError):
    """The server could not start: the port is taken, or there is nothing to serve."""

    exit_code = 3


class TooManyFailed(QAServiceError):
    """So many files could not be read any more that the index in force was kept."""

    exit_code = 1


class InputError(QAServiceError):
    """Input that can't be used at all."""

    exit_code = 4


class SourceError(InputError):
    """The source folder is missing, not a folder, or holds nothing that can be indexed."""


class QuestionFileError(InputError):
    """The question file is missing, unreadable, or holds no usable question."""


class IndexProblem(QAServiceError):
    """The index can't be used as it is."""

    exit_code = 5
    http_status = 503
    slug = "index-unavailable"
    title = "Index unavailable"


class IndexMissing(IndexProblem):
    """There is no index where one was expected."""


class IndexCorrupt(IndexProblem):
    """A file of the index is not what its manifest says."""


class IndexIncompatible(IndexProblem):
    """The index is whole, but made by another format, model or tokenizer."""


class ModelProblem(QAServiceError):
    """The embedding model can't be used."""

    exit_code = 6


class ModelMissing(ModelProblem):
    """A file of the model is not there."""


class ModelCorrupt(ModelProblem):
    """The model's files are damaged or not allowed."""


class ModelChanged(ModelProblem):
    """The weights differ from those that the index was built with."""


class StorageError(QAServiceError):
    """Reading or writing failed: disk full, no permission, read-only file system."""

    exit_code = 7


class BuildInProgress(StorageError):
    """Another process is building this index."""

    http_status = 409
    slug = "build-in-progress"
    title = "Build in progress"


class RemoteError(StorageError):
    """A service over HTTP does not answer, or not as it should."""


class RequestError(QAServiceError):
    """A request that is answered with a problem document instead of a result."""

    http_status = 400
    slug = "bad-request"
    title = "Bad request"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Take the words for the client, and headers that belong to the answer."""
        super().__init__(message)
        self.headers = headers or {}


class UnreadableRequest(RequestError):
    """The body is not UTF-8, not JSON, or has a key twice."""

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
    """Nobody may do this here, or not with this key."""

    http_status = 403
    slug = "forbidden"
    title = "Forbidden"


class NotFound(RequestError):
    """No such document or path."""

    http_status = 404
    slug = "not-found"
    title = "Not found"


class MethodNotAllowed(RequestError):
    """The path is known, the method is not."""

    http_status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"


class TooSlow(RequestError):
    """The request did not come in time."""

    http_status = 408
    slug = "too-slow"
    title = "Request timeout"


class JobInProgress(RequestError):
    """Another job of this kind is under way."""

    http_status = 409
    slug = "job-in-progress"
    title = "Job in progress"


class BodyTooLarge(RequestError):
    """The body passes the limit."""

    http_status = 413
    slug = "body-too-large"
    title = "Body too large"


class AddressTooLong(RequestError):
    """The request's address passes the limit."""

    http_status = 414
    slug = "address-too-long"
    title = "Address too long"


class UnsupportedMediaType(RequestError):
    """The body is not plain ``application/json`` in UTF-8."""

    http_status = 415
    slug = "unsupported-media-type"
    title = "Unsupported media type"


class InvalidRequest(RequestError):
    """Readable JSON that the schema refuses."""

    http_status = 422
    slug = "invalid-request"
    title = "Invalid request"


class TooManyRequests(RequestError):
    """A client asked more often than it may; the answer says when it may again."""

    http_status = 429
    slug = "too-many-requests"
    title = "Too many requests"


class HeadersTooLarge(RequestError):
    """The request's headers are too many or too long."""

    http_status = 431
    slug = "headers-too-large"
    title = "Headers too large"


class Overloaded(RequestError):
    """The queue is full; the request was not taken."""

    http_status = 503
    slug = "overloaded"
    title = "Server full"


class NotReady(RequestError):
    """The service is starting, stopping, or has no usable index."""

    http_status = 503
    slug = "not-ready"
    title = "Not ready"


class StoreUnavailable(RequestError):
    """The vector store that is shared with others does not answer. The service recovers by itself when it does.

    ``reason`` is for the log and the terminal: it may name what those who ask need not know.
    """

    exit_code = 5
    http_status = 503
    slug = "store-unavailable"
    title = "Vector store away"

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason

    def in_full(self) -> str:
        """Return the message with its reason."""
        return f"{self} ({self.reason})" if self.reason else str(self)


class StoreRefused(StoreUnavailable):
    """The vector store can't do what it is asked, and would not if it were asked again; ``code`` is its own."""

    slug = "store-refused"
    title = "Vector store refused"

    def __init__(self, message: str, reason: str = "", code: int = 0) -> None:
        super().__init__(message, reason)
        self.code = code


class DeadlineExceeded(RequestError):
    """The request was taken and not finished in time."""

    http_status = 504
    slug = "deadline-exceeded"
    title = "Deadline exceeded"
