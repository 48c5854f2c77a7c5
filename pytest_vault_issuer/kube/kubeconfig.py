"""Reads and checks the connection settings of a kubeconfig."""

from __future__ import annotations

import base64
import importlib.util
import reprlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..inputs.addresses import why_no_url
from ..inputs.documents import DocumentError, read_document

_PROXIES = ("http", "https", "socks5")
#: Fields of a cluster and of a user that need no more than to be read.
_PLAIN_CLUSTER = {"server", "certificate-authority", "proxy-url", "tls-server-name"}
_PLAIN_USER = {"client-certificate", "client-key", "token"}
#: Fields of both that name files.
_FILES = ("certificate-authority", "client-certificate", "client-key")


@dataclass(frozen=True)
class PlainConfiguration:
    """The part of the official client's ``Configuration`` that this project uses, from a kubeconfig of plain fields.

    Importing the official client takes 0.3 s of CPU time in each process. The kubeconfig of a stack that the session
    starts names files or a token, for which nothing of it is needed.
    """

    host: str
    ssl_ca_cert: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    token: str = field(default="", repr=False)
    verify_ssl: bool = True

    def auth_settings(self) -> dict[str, Any]:
        """Return the header with the token, as the official client does."""
        return {"BearerToken": {"value": f"Bearer {self.token}"}} if self.token else {}


@dataclass(frozen=True)
class Connection:
    """The connection settings of a context.

    :ivar proxy_url: ``proxy-url``; '' for none. The proxies of the environment are never used.
    :ivar plugin: whether a program (``exec``) provides the credentials.
    :ivar server_name: ``tls-server-name``, the host name in the server's certificate; '' for that of its URL.
    :ivar plain: server and credentials; None if only the official client can read them.
    :ivar special: fields that only the official client can read.
    """

    proxy_url: str = ""
    server_name: str = ""
    plugin: bool = False
    plain: PlainConfiguration | None = None
    special: tuple[str, ...] = ()

    @property
    def entry(self) -> dict[str, str]:
        """The same settings as fields of a cluster in another kubeconfig."""
        entry = {"proxy-url": self.proxy_url, "tls-server-name": self.server_name}
        return {key: value for key, value in entry.items() if value}


def read_connection(path: Path, context: str | None) -> Connection:
    """Check the parts of a kubeconfig that are used, and return its connection settings.

    :param context: name of the context; None for the current one.
    :raises ConfigurationError: with what is missing or wrong.
    """
    try:
        return _connection(read_document(path), context)
    except DocumentError as error:
        raise unusable(path, str(error)) from error


def unusable(path: Path, why: str) -> ConfigurationError:
    """Return the error for a kubeconfig that cannot be used."""
    return ConfigurationError(
        f"the kubeconfig {path} cannot be used: {why}",
        hint="name a readable kubeconfig file, and one of its contexts in --vault-issuer-kube-context",
    )


def parts_of(config: Any, context: str | None) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the name of a context, the context, its cluster, and its user ({} without one), all checked.

    :param context: name of the context; None for the current one.
    :raises DocumentError: with what is missing or wrong.
    """
    if not isinstance(config, dict):
        raise DocumentError("it is not a kubeconfig")
    chosen = context or config.get("current-context")
    if not isinstance(chosen, str) or not chosen:
        raise DocumentError("it has no current-context, and no context is named")
    about = _named(config, "context", chosen)
    cluster = _named(config, "cluster", _reference(about, "cluster", chosen))
    user: dict[str, Any] = {}
    if about.get("user"):
        user = _named(config, "user", _reference(about, "user", chosen))
        for key in ("client-certificate-data", "client-key-data"):
            _check_base64(user, key)
        for key in ("client-certificate", "client-key", "token", "tokenFile", "username", "password"):
            if not _text(user, key).isprintable():
                raise DocumentError(f"{key} must not contain a line break or another control character")
        for key in ("exec", "auth-provider"):
            _check_plugin(user, key)
    _check_base64(cluster, "certificate-authority-data")
    _text(cluster, "certificate-authority")
    _check_url(_text(cluster, "server"), "server", ("http", "https"))
    if proxy := _text(cluster, "proxy-url"):
        _check_url(proxy, "proxy-url", _PROXIES)
        if proxy.startswith("socks5") and importlib.util.find_spec("socks") is None:
            raise DocumentError("its proxy-url is a SOCKS proxy, which needs PySocks (pip install PySocks)")
    return chosen, about, cluster, user


def _connection(config: Any, context: str | None) -> Connection:
    _, _, cluster, user = parts_of(config, context)
    special = _special(cluster, user)
    plain = None if special else _plain(cluster, user)
    names = (_text(cluster, "proxy-url"), _text(cluster, "tls-server-name"))
    return Connection(*names, bool(user.get("exec")), plain, special)


def _special(cluster: dict[str, Any], user: dict[str, Any]) -> tuple[str, ...]:
    """Return the fields that need more than to be read."""
    found = (cluster.keys() - _PLAIN_CLUSTER) | (user.keys() - _PLAIN_USER)
    if not _text(cluster, "server").startswith("https"):
        found.add("server")
    files = {key: Path(_text(cluster | user, key)) for key in _FILES if _text(cluster | user, key)}
    found |= {key for key, path in files.items() if not (path.is_absolute() and path.is_file())}
    if pair := files.keys() & {"client-certificate", "client-key"}:
        found |= pair if len(pair) == 1 else set()
    return tuple(sorted(found))


def _plain(cluster: dict[str, Any], user: dict[str, Any]) -> PlainConfiguration:
    trust, certificate, key = (_text(cluster | user, name) or None for name in _FILES)
    return PlainConfiguration(_text(cluster, "server").rstrip("/"), trust, certificate, key, _text(user, "token"))


def _named(config: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Return the named entry of the list of clusters, contexts or users."""
    entries = config.get(f"{kind}s")
    if not isinstance(entries, list):
        raise DocumentError(f"it has no list of {kind}s")
    for entry in entries:
        if not isinstance(entry, dict):
            raise DocumentError(f"{kind}s: {reprlib.repr(entry)} is not a mapping with a name")
        if entry.get("name") == name:
            found = entry.get(kind)
            if isinstance(found, dict):
                return found
            raise DocumentError(f"its {kind} {name} has no {kind}: it is {reprlib.repr(found)}")
    raise DocumentError(f"it has no {kind} {name}")


def _reference(about: dict[str, Any], key: str, context: str) -> str:
    value = about.get(key)
    if not isinstance(value, str) or not value:
        raise DocumentError(f"its context {context} names no {key}")
    return value


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise DocumentError(f"{key} must be a string")  # do not show the value: it may be a secret
    return value or ""


def _check_plugin(user: dict[str, Any], key: str) -> None:
    plugin = user.get(key) or {}
    if not isinstance(plugin, dict):
        raise DocumentError(f"{key} must be a mapping")
    if key == "exec" and plugin and not _text(plugin, "command"):
        raise DocumentError("exec has no command")


def check_trust(path: Path, ca_file: str) -> None:
    """Check that the ``certificate-authority`` of a kubeconfig contains certificates.

    :raises ConfigurationError: if it does not, or if it cannot be read.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
    except ssl.SSLError as error:
        raise unusable(path, f"its certificate-authority contains no certificate: {error.reason}") from error
    except OSError as error:
        raise unusable(path, f"its certificate-authority {ca_file} cannot be read: {error.strerror}") from error


def _check_base64(table: dict[str, Any], key: str) -> None:
    text = "".join(_text(table, key).split())
    try:
        base64.b64decode(text.encode(), validate=True)
    except ValueError as error:
        raise DocumentError(f"{key} is not base64") from error


def _check_url(text: str, key: str, schemes: tuple[str, ...]) -> None:
    if why := why_no_url(text, schemes, user=True):
        raise DocumentError(f"{key} is not a URL of {' or '.join(schemes)}: {why}")
