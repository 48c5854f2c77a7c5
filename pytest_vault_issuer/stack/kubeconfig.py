"""Makes a session's copy of a kubeconfig: with one context, and with credentials in private files.

Clients write embedded credentials to temporary files, which remain if the client is killed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..inputs.documents import DocumentError, read_document, write_documents

#: Keys that name a file, relative to the kubeconfig.
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
Write = Callable[[str, bytes], Path]


def with_files(config: dict[str, Any], prefix: str, write: Write) -> dict[str, Any]:
    """Return a kubeconfig that refers to files instead of embedded credentials.

    :param prefix: prefix of the names of the files.
    :param write: writes a file that only the user can read, and returns its path.
    """
    for entry in [*(item["cluster"] for item in config["clusters"]), *(item["user"] for item in config["users"])]:
        for key in [key for key in entry if key.endswith("-data")]:
            plain = key.removesuffix("-data")
            entry[plain] = str(write(f"pki/{prefix}-{plain}.pem", base64.b64decode(entry.pop(key))))
    return config


def private_copy(source: Path, context: str | None, write: Write) -> Path:
    """Write a copy of a user's kubeconfig with one context, and return its path.

    :param context: default: its current context.
    :raises ConfigurationError: if the kubeconfig cannot be used.
    """
    try:
        config = _of_context(read_document(source), context, source.absolute().parent)
        return write("existing.kubeconfig", write_documents(with_files(config, "existing", write)).encode())
    except (DocumentError, binascii.Error) as error:
        raise _unusable(source, str(error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _unusable(source, f"it is not a kubeconfig ({type(error).__name__}: {error})") from error
    except LookupError as error:
        raise _unusable(source, str(error)) from error


def _of_context(config: Any, context: str | None, base: Path) -> dict[str, Any]:
    name = context or config.get("current-context")
    if not name:
        raise LookupError("it has no current context, and no option names one")
    chosen = _named(config["contexts"], "context", name)
    parts: dict[str, list[dict[str, Any]]] = {"clusters": [], "users": []}
    for kind, key in (("clusters", "cluster"), ("users", "user")):
        if key == "user" and not chosen.get("user"):
            continue
        entry = dict(_named(config[kind], key, chosen[key]))
        for path in [path for path in _PATHS if entry.get(path)]:
            entry[path] = str(base / entry[path])
        if entry.get("exec") and "/" in entry["exec"]["command"]:
            entry["exec"] = {**entry["exec"], "command": str(base / entry["exec"]["command"])}
        parts[kind].append({"name": chosen[key], key: entry})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": chosen}],
        **parts,
    }


def _named(entries: Any, key: str, name: str) -> dict[str, Any]:
    for entry in entries or []:
        if entry["name"] == name:
            found: dict[str, Any] = entry[key] or {}
            return found
    raise LookupError(f"it has no {key} named {name}")


def _unusable(source: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the kubeconfig {source} cannot be used: {why}",
        hint="name a readable kubeconfig file, and one of its contexts in --vault-issuer-kube-context",
    )
