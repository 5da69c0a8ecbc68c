"""API keys: their scopes, origins, collections and rates, and the signatures of links.

A secret key is ``sk_ID_SECRET``, for servers and people. A publishable key is ``pk_ID_SECRET``, for pages, where
everybody can read it: it is bound to the origins of the pages and can never have the ``admin`` scope. The secret has
256 random bits, and only its sha256 is stored; a slow hash is not needed against guessing.
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
from qa_service.io.durable import OTHER_ACCOUNTS, OWNER_FILE, make_private_folder, replace_file, storage_errors
from qa_service.settings import Settings
from qa_service.settings.values import Rate, origin_of

Scope = Literal["ask", "feedback", "documents", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
KEYS = "keys.json"
_TOKEN = re.compile(r"(sk|pk)_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
KEY_PREFIXES = ("sk_", "pk_")
_SIGNATURE = re.compile(r"([0-9a-f]{8})\.([0-9]{1,6})\.([0-9a-f]{32})")
_SIGNATURE_BYTES = 16
_DAY_SECONDS = 86_400
_LOCK_SECONDS = 10
_NO_KEY_SHA256 = hashlib.sha256(b"").hexdigest()


class Key(BaseModel):
    """A key as it is stored, without its secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    name: str = Field(min_length=1, max_length=100)
    publishable: bool = False
    scopes: tuple[Scope, ...]
    origins: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    """The collections that it may use; none means all, the default one included."""
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
            raise ValueError("a publishable key can't have the scope admin, since everybody can read the key")
        if self.collections and "admin" in self.scopes:
            raise ValueError("the scope admin is for all collections")
        if not self.scopes:
            raise ValueError("a key needs at least one scope")
        return self


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to create or follow signed links: a key, and the last day (UTC, days since 1970)."""

    key: Key
    last_day: int


class _FileContent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    link_secret: str = Field(pattern=r"^[0-9a-f]{64}$")
    keys: tuple[Key, ...] = ()


class KeyFile:
    """The keys of a data folder. Changes by other processes appear after :meth:`reload_if_changed`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / KEYS
        self._file_state: tuple[int, int] | None = None
        self._content = _FileContent(link_secret=secrets.token_hex(32))
        self._by_id: dict[str, Key] = {}
        self.reload_if_changed()

    def reload_if_changed(self) -> None:
        """Read the file if it changed. Raises :class:`SettingsError` if it is damaged; the current keys are kept."""
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
        """All keys, oldest first."""
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
        """Create a key and return it; it can't be read again later.

        Raises :class:`SettingsError` if the key would not be safe.
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
                f"the key is not valid: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
            ) from error
        with self._changing():
            self._write((*self.keys, key))
        return token

    def revoke(self, identifier: str) -> Key:
        """Delete a key and return it; its links stop working. Raises :class:`NotFound`."""
        with self._changing():
            key = self._by_id.get(identifier)
            if key is None:
                raise NotFound(f"no key has the id {identifier!r}; `qa-service keys list` lists them")
            self._write(tuple(other for other in self.keys if other.id != identifier))
        return key

    def rotate_links(self) -> None:
        """Replace the secret that signs links; all existing links stop working."""
        with self._changing():
            self._content = self._content.model_copy(update={"link_secret": secrets.token_hex(32)})
            self._write(self.keys)

    def find_key(self, token: str) -> Key | None:
        """Return the key of a token, or ``None``. The time does not depend on which part of the token is wrong."""
        match = _TOKEN.fullmatch(token)
        key = None if match is None else self._by_id.get(match[2])
        same = hmac.compare_digest(_digest(token), _NO_KEY_SHA256 if key is None else key.sha256)
        return (
            key if same and match is not None and (match[1] == "pk") == (key is not None and key.publishable) else None
        )

    def is_origin(self, origin: str) -> bool:
        """Return whether a key is bound to an origin."""
        return any(origin in key.origins for key in self._by_id.values())

    def grant(self, key: Key, days: int) -> Grant:
        """Return a grant to create links today that expire after so many days."""
        return Grant(key, int(time.time() // _DAY_SECONDS) + days)

    def signature(self, address: str, grant: Grant) -> str:
        """Return the signature of an address (path and query) under a grant.

        It has the key's id, the last day, and the first 16 bytes of an HMAC-SHA256 as hexadecimal digits.
        """
        signed = f"{address} {grant.key.id} {grant.last_day}"
        digest = hmac.new(bytes.fromhex(self._content.link_secret), signed.encode(), hashlib.sha256).digest()
        return f"{grant.key.id}.{grant.last_day}.{digest[:_SIGNATURE_BYTES].hex()}"

    def verified_grant(self, address: str, signature: str) -> Grant | None:
        """Return the grant of a signed address, or ``None`` if it has expired or the signature is wrong."""
        match = _SIGNATURE.fullmatch(signature)
        key = None if match is None else self._by_id.get(match[1])
        if match is None or key is None:
            return None
        grant = Grant(key, int(match[2]))
        same = hmac.compare_digest(self.signature(address, grant), signature)
        return grant if same and time.time() // _DAY_SECONDS <= grant.last_day else None

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Lock the file against other writers, and read its current content."""
        with storage_errors(self.path):
            make_private_folder(self.path.parent)
            lock = FileLock(self.path.with_suffix(".lock"), timeout=_LOCK_SECONDS, mode=OWNER_FILE)
        try:
            lock.acquire()
        except Timeout as error:
            raise StorageError(f"another process is changing {self.path}; try again when it has finished") from error
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
    """Return whether an address is reachable from this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def keys_needed(settings: Settings) -> bool:
    """Return whether questions need a key: if other machines can connect, unless the settings open the service."""
    return settings.access == "keys" or (settings.access == "auto" and not is_loopback(settings.host))


def check_access(settings: Settings) -> None:
    """Raise :class:`SettingsError` if keys are needed and none exists."""
    if keys_needed(settings) and not KeyFile(settings.data).keys:
        raise SettingsError(
            f"others can reach {settings.host}, and {settings.data} has no key: create one with "
            "`qa-service keys create NAME`, or pass --open to let everybody ask"
        )


def security_warnings(settings: Settings) -> list[str]:
    """Return the risks that an operator should know before others can connect; none prevents the start."""
    found = []
    if "*" in settings.allowed_hosts:
        found.append("QA_ALLOWED_HOSTS is *: requests to any host name are answered")
    if "*" in settings.trusted_proxies:
        found.append("QA_TRUSTED_PROXIES is *: every client can claim any address")
    if hasattr(os, "geteuid") and os.geteuid() == 0 and not is_loopback(settings.host):
        found.append("running as root; use an account with fewer rights")
    keys = settings.data / KEYS
    with contextlib.suppress(OSError):
        if keys.stat().st_mode & OTHER_ACCOUNTS:
            found.append(f"{keys} can be read by other accounts of this machine; fix it with chmod 600")
    uri = urlsplit(settings.milvus_uri)
    if settings.store == "milvus" and uri.scheme == "http" and not is_loopback(uri.hostname or ""):
        found.append(
            f"QA_MILVUS_URI is {settings.milvus_uri}: documents and QA_MILVUS_TOKEN cross the network unencrypted"
        )
    return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
