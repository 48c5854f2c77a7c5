"""Makes a session's copy of a kubeconfig: with one context, and with credentials in private files.

Clients write embedded credentials to temporary files, which remain if the client is killed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..inputs.documents import DocumentError, read_document, write_documents
from ..kube.kubeconfig import parts_of, unusable

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
    except DocumentError as error:
        raise unusable(source, str(error)) from error
    return write("existing.kubeconfig", write_documents(with_files(config, "existing", write)).encode())


def _of_context(config: Any, context: str | None, base: Path) -> dict[str, Any]:
    name, about, cluster, user = parts_of(config, context)
    for entry in (cluster, user):
        for key in [key for key in _PATHS if entry.get(key)]:
            entry[key] = str(base / entry[key])
    if user.get("exec") and "/" in user["exec"]["command"]:
        user["exec"]["command"] = str(base / user["exec"]["command"])
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": about}],
        "clusters": [{"name": about["cluster"], "cluster": cluster}],
        "users": [{"name": about["user"], "user": user}] if about.get("user") else [],
    }
