"""Starts a dev stack: starts a session, creates issuer objects, and leaves both in place."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import NotRunnable
from ..implementation.builtin import approving
from ..inputs.documents import read_document, write_documents
from ..kube.client import Cluster, Object, condition
from ..redaction.redactor import Redactor
from ..sandbox.handles import IssuerType
from ..session.session import Session
from ..stack.types import Stack
from ..vault import VaultWorkspace
from .prepare import NAMESPACE, Preparing
from .state import FILE, DevStack, IssuerObject


def make(session: Session, name: str, progress: Callable[[str], None]) -> DevStack:
    """Start a session's stack and controller, create issuer objects, and make all of it outlive this process.

    :param session: of this process, not started. Without an implementation in its settings, no controller starts.
    :param progress: gets lines of progress.
    :raises VaultIssuerError: when something does not start. Closing the session then removes everything.
    """
    bare = not session.settings.implementation
    if not bare:
        session.implementation = approving(session.implementation)
    session.build()
    progress("starting Vault and Kubernetes")
    stack = session.stack()
    progress("ready: " + ", ".join(f"{component} {version}" for component, version in stack.components.items()))
    directory = session.directory
    config = read_document(Path(stack.kubernetes.kubeconfig))
    for context in config["contexts"]:
        context["context"]["namespace"] = "default" if bare else NAMESPACE
    common: dict[str, Any] = {
        "name": name,
        "directory": str(directory.path),
        "components": stack.components,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "vault_addr": stack.vault.url,
        "vault_ca": stack.vault.ca_file,
        "vault_token_file": str(directory.write("vault-token", stack.vault.token)),
        "vault_header_file": str(directory.write("vault-header", f"X-Vault-Token: {stack.vault.token}\n")),
        "kubeconfig": str(directory.write("kubeconfig", write_documents(config))),
        "kubectl": _kubectl(session),
    }
    dev_stack = _bare(session, stack, common) if bare else _with_issuers(session, common, progress)
    directory.write(FILE, dev_stack.to_json())
    directory.keep()
    return dev_stack


def _bare(session: Session, stack: Stack, common: dict[str, Any]) -> DevStack:
    workspace = VaultWorkspace(session.admin(), stack.kubernetes, stack.reviewer_token)
    pki = workspace.pki(mount="pki")
    return DevStack(
        **common, implementation="", approves=False, namespace="default", pki_sign_path=pki.sign_path, sample=""
    )


def _with_issuers(session: Session, common: dict[str, Any], progress: Callable[[str], None]) -> DevStack:
    implementation = session.implementation
    progress(f"starting {implementation.name} {implementation.version}")
    if implementation.shape.fixed.get("caBundle") == "":
        session.trust_vault()  # its issuer objects name Vault itself, and cannot name the CA
    environment = session.environment()
    preparing = Preparing(environment, implementation.known_failures)
    made, left_out = [], {}
    for feature, prepare in preparing.authentications().items():
        for part in environment.kinds:
            try:
                made.append((feature, *preparing.issuer(part, feature, prepare)))
            except NotRunnable as error:
                left_out[feature] = error.message
    progress(f"waiting until {len(made)} issuer objects are Ready")
    deadline = time.monotonic() + environment.timeouts.issuer
    issuers = [
        _seen(environment.cluster, kind, item, feature, deadline, session.redactor) for feature, kind, item in made
    ]
    return DevStack(
        **common,
        implementation=f"{implementation.name} {implementation.version}",
        approves=implementation.run.approves,
        namespace=NAMESPACE,
        pki_sign_path=preparing.pki.sign_path,
        issuers=issuers,
        left_out=left_out,
        sample=_sample(session, issuers, made[0][2]["apiVersion"])
        if "certificate" in implementation.features and made
        else "",
    )


def _seen(
    cluster: Cluster, kind: IssuerType, item: Object, feature: str, deadline: float, redactor: Redactor
) -> IssuerObject:
    """Return an issuer object as it is when it becomes Ready, or at the deadline.

    Its message is redacted: it is shown on a terminal or in the log of a CI job, and a controller may write its
    credentials into it.
    """
    name, namespace = item["metadata"]["name"], item["metadata"].get("namespace")
    _, last = cluster.wait(
        kind.resource,
        name,
        namespace,
        lambda seen: condition(seen, kind.ready_condition).get("status") == "True",
        # After the deadline, look at the present state all the same.
        timeout=max(1.0, deadline - time.monotonic()),
    )
    ready = condition(last or {}, kind.ready_condition)
    return IssuerObject(
        kind.kind, name, namespace or "", feature, ready.get("status", ""), redactor.redact(ready.get("message", ""))
    )


def _sample(session: Session, issuers: list[IssuerObject], api_version: str) -> str:
    manifest = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "try", "namespace": NAMESPACE},
        "spec": {
            "secretName": "try-tls",
            "dnsNames": ["try.example.com"],
            "duration": "24h",
            "issuerRef": {
                "name": issuers[0].name,
                "kind": issuers[0].kind,
                "group": api_version.partition("/")[0],
            },
        },
    }
    return str(session.directory.write("certificate.yaml", write_documents(manifest, sort_keys=False)))


def _kubectl(session: Session) -> str:
    """Return the directory of the toolchain's kubectl; '' if the PATH has one, or the toolchain has none."""
    built = session.toolchain.path("kubectl")
    return "" if shutil.which("kubectl") or built is None else str(built.parent)
