"""Who may ask: keys, what each may do, from which pages, and how often.

A key is ``sk_ID_SECRET`` for servers and people, or ``pk_ID_SECRET`` for pages, where everybody can read it: such a
one is bound to the origins of those pages, may ask and give feedback, and nothing else. The secret has 256 random
bits, so its sha256 is all that is kept of it; no slow hash is needed against guessing.
"""

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self, get_args
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qa_service.errors import NotFound, SettingsError, StorageError
from qa_service.io import strict_json
from qa_service.io.durable import make_private_folder, replace_file, storage_errors
from qa_service.settings import Settings
from qa_service.settings.values import Rate, origin_of

Scope = Literal["ask", "feedback", "documents", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
KEYS = "keys.json"
_TOKEN = re.compile(r"(sk|pk)_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_SIGNATURE = re.compile(r"([0-9a-f]{8})\.([0-9]{1,6})\.([0-9a-f]{32})")
_SIGNATURE_BYTES = 16
_DAY_SECONDS = 86_400
_GROUP_AND_OTHERS = 0o077
_LOCK_SECONDS = 10
_NO_KEY_SHA256 = hashlib.sha256(b"").hexdigest()


class Key(BaseModel):
    """A key as it is kept: all of it but the secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    name: str = Field(min_length=1, max_length=100)
    publishable: bool = False
    scopes: tuple[Scope, ...]
    origins: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    """Those that it may ask; none means all, the default one included."""
    rate: Rate = ""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: str

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(origin_of, origins)))

    @model_validator(mode="after")
    def _is_safe_in_public(self) -> Self:
        if self.publishable and not self.origins:
            raise ValueError("a publishable key needs the origins of its pages")
        if self.publishable and "admin" in self.scopes:
            raise ValueError("a publishable key can't have the scope admin, since everybody can read it")
        if self.collections and "admin" in self.scopes:
            raise ValueError("the scope admin is for all collections")
        if not self.scopes:
            raise ValueError("a key without a scope may do nothing")
        return self


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to give out links, or to follow one: by whose key, and until which day (UTC, since 1970)."""

    key: Key
    last_day: int


class _FileContent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    link_secret: str = Field(pattern=r"^[0-9a-f]{64}$")
    keys: tuple[Key, ...] = ()


class KeyFile:
    """The keys of a data folder. What others change in the file is seen at the next look."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / KEYS
        self._file_state: tuple[int, int] | None = None
        self._content = _FileContent(link_secret=secrets.token_hex(32))
        self._by_id: dict[str, Key] = {}
        self.reload_if_changed()

    def reload_if_changed(self) -> None:
        """Read the file if it changed. Raises :class:`SettingsError` if it is damaged; the keys stay as they were."""
        with storage_errors(self.path):
            try:
                found = self.path.stat()
            except FileNotFoundError:
                self._file_state, self._by_id = None, {}
                return
            if self._file_state == (found.st_mtime_ns, found.st_size):
                return
            data = self.path.read_bytes()
        try:
            content = _FileContent.model_validate(strict_json.loads(data))
        except (ValueError, ValidationError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise SettingsError(
                f"{self.path} is damaged: {reason}; restore it, or remove it and create keys"
            ) from error
        self._content, self._by_id = content, {key.id: key for key in content.keys}
        self._file_state = (found.st_mtime_ns, found.st_size)

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys, in the order of their creation."""
        return tuple(self._by_id.values())

    def create(
        self,
        name: str,
        scopes: tuple[Scope, ...] = ("ask", "feedback"),
        *,
        publishable: bool = False,
        origins: tuple[str, ...] = (),
        collections: tuple[str, ...] = (),
        rate: str = "",
    ) -> str:
        """Add a key and return it, the only time that it is seen.

        Raises :class:`SettingsError` if such a key would not be safe.
        """
        identifier = secrets.token_hex(4)
        token = f"{'pk' if publishable else 'sk'}_{identifier}_{secrets.token_urlsafe(32)}"
        try:
            key = Key(
                id=identifier,
                name=name,
                publishable=publishable,
                scopes=scopes,
                origins=origins,
                collections=collections,
                rate=rate,
                sha256=_digest(token),
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        except ValidationError as error:
            raise SettingsError(
                f"no such key can be made: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
            ) from error
        with self._changing():
            self._write((*self.keys, key))
        return token

    def revoke(self, identifier: str) -> Key:
        """Remove a key and return it; links that it was given end too. Raises :class:`NotFound`."""
        with self._changing():
            key = self._by_id.get(identifier)
            if key is None:
                raise NotFound(f"no key has the id {identifier!r}; `qa-service keys list` names them")
            self._write(tuple(other for other in self.keys if other.id != identifier))
        return key

    def rotate_links(self) -> None:
        """Replace the secret that links are signed with: all links that were given out end."""
        with self._changing():
            self._content = self._content.model_copy(update={"link_secret": secrets.token_hex(32)})
            self._write(self.keys)

    def find_key(self, token: str) -> Key | None:
        """Return the key that a token is. It takes the same time whichever part of the token is wrong."""
        match = _TOKEN.fullmatch(token)
        key = None if match is None else self._by_id.get(match[2])
        same = hmac.compare_digest(_digest(token), _NO_KEY_SHA256 if key is None else key.sha256)
        return (
            key if same and match is not None and (match[1] == "pk") == (key is not None and key.publishable) else None
        )

    def is_origin(self, origin: str) -> bool:
        """Tell whether pages of an origin have a key."""
        return any(origin in key.origins for key in self._by_id.values())

    def grant(self, key: Key, days: int) -> Grant:
        """Return the grant of links that a key is given today and that end after so many days."""
        return Grant(key, int(time.time() // _DAY_SECONDS) + days)

    def signature(self, address: str, grant: Grant) -> str:
        """Return the proof that this service gave out an address (path and query) under a grant.

        It names the key and the last day, followed by 16 bytes of an HMAC-SHA256 in hexadecimal digits.
        """
        signed = f"{address} {grant.key.id} {grant.last_day}"
        digest = hmac.new(bytes.fromhex(self._content.link_secret), signed.encode(), hashlib.sha256).digest()
        return f"{grant.key.id}.{grant.last_day}.{digest[:_SIGNATURE_BYTES].hex()}"

    def verified_grant(self, address: str, signature: str) -> Grant | None:
        """Return the grant that an address was signed under, ``None`` if it has ended or the signature is another's."""
        match = _SIGNATURE.fullmatch(signature)
        key = None if match is None else self._by_id.get(match[1])
        if match is None or key is None:
            return None
        grant = Grant(key, int(match[2]))
        same = hmac.compare_digest(self.signature(address, grant), signature)
        return grant if same and time.time() // _DAY_SECONDS <= grant.last_day else None

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock of those who change the file, and begin with what it holds now."""
        with storage_errors(self.path):
            make_private_folder(self.path.parent)
            lock = FileLock(self.path.with_suffix(".lock"), timeout=_LOCK_SECONDS, mode=0o600)
        try:
            lock.acquire()
        except Timeout as error:
            raise StorageError(f"another process changes {self.path}; try again when it has ended") from error
        try:
            self._file_state = None
            self.reload_if_changed()
            yield
        finally:
            lock.release()

    def _write(self, keys: tuple[Key, ...]) -> None:
        content = self._content.model_copy(update={"keys": keys})
        with storage_errors(self.path):
            replace_file(self.path, (json.dumps(content.model_dump(), indent=1) + "\n").encode(), private=True)
        self._file_state = None
        self.reload_if_changed()


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def keys_needed(settings: Settings) -> bool:
    """Tell whether questions need a key: where others than this machine can ask, unless that was said to be open."""
    return settings.access == "keys" or (settings.access == "auto" and not is_loopback(settings.host))


def check_access(settings: Settings) -> None:
    """Raise :class:`SettingsError` where keys are needed and there is none."""
    if keys_needed(settings) and not KeyFile(settings.data).keys:
        raise SettingsError(
            f"{settings.host} can be reached by others, and there is no key in {settings.data}: create one with "
            "`qa-service keys create NAME`, or pass --open to let everybody ask"
        )


def security_warnings(settings: Settings) -> list[str]:
    """Return what an operator should know before others can ask; nothing of it keeps the service from starting."""
    found = []
    if "*" in settings.allowed_hosts:
        found.append("QA_ALLOWED_HOSTS is *: requests are answered whichever host they are addressed to")
    if "*" in settings.trusted_proxies:
        found.append("QA_TRUSTED_PROXIES is *: every client may say which address it has")
    if hasattr(os, "geteuid") and os.geteuid() == 0 and not is_loopback(settings.host):
        found.append("running as root; use an account that may do less")
    keys = settings.data / KEYS
    with contextlib.suppress(OSError):
        if keys.stat().st_mode & _GROUP_AND_OTHERS:
            found.append(f"{keys} can be read by other accounts of this machine; chmod 600 mends it")
    uri = urlsplit(settings.milvus_uri)
    if settings.store == "milvus" and uri.scheme == "http" and not is_loopback(uri.hostname or ""):
        found.append(
            f"QA_MILVUS_URI is {settings.milvus_uri}: documents and QA_MILVUS_TOKEN cross the network in clear"
        )
    return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
