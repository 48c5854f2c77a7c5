"""Makes a dev stack: starts a run, prepares issuers in it, and lets it go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ..errors import NotRunnable
from ..implementation.builtin import cert_manager
from ..kube.client import Cluster, Object, condition
from ..sandbox.handles import IssuerType
from ..session.session import Session
from ..stack.types import Stack
from ..vault import VaultWorkspace
from .prepare import NAMESPACE, Preparing
from .state import FILE, DevStack, TriedIssuer


def make(run: Session, name: str, progress: Callable[[str], None]) -> DevStack:
    """Start what a run's settings say, prepare issuers, and have all of it stay when this process ends.

    :param run: of this process, not started; without an implementation in its settings, no issuer runs. Until it is
        done, everything ends with this process.
    :param progress: gets lines about what is being done.
    :raises VaultIssuerError: when something cannot be started; nothing is left then.
    """
    bare = not run.settings.implementation
    if not bare:
        run.implementation = cert_manager.approving(run.implementation)
    run.build()
    progress("starting Vault and Kubernetes")
    stack = run.stack()
    progress("ready: " + ", ".join(f"{component} {version}" for component, version in stack.components.items()))
    directory = run.directory
    config = yaml.safe_load(Path(stack.kubernetes.kubeconfig).read_text())
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
        "kubeconfig": str(directory.write("kubeconfig", yaml.safe_dump(config))),
        "kubectl": _kubectl(run),
    }
    dev_stack = _bare(run, stack, common) if bare else _with_issuers(run, common, progress)
    directory.write(FILE, dev_stack.to_json())
    directory.keep()
    return dev_stack


def _bare(run: Session, stack: Stack, common: dict[str, Any]) -> DevStack:
    workspace = VaultWorkspace(run.admin(), stack.kubernetes, stack.reviewer_token)
    pki = workspace.pki(mount="pki")
    return DevStack(
        **common, implementation="", approves=False, namespace="default", pki_sign_path=pki.sign_path, sample=""
    )


def _with_issuers(run: Session, common: dict[str, Any], progress: Callable[[str], None]) -> DevStack:
    described = run.implementation
    progress(f"starting {described.name} {described.version}")
    environment = run.environment()
    preparing = Preparing(environment, described.known_failures)
    made, left_out = [], {}
    for feature, prepare in preparing.authentications().items():
        for part in environment.kinds:
            try:
                made.append((feature, *preparing.issuer(part, feature, prepare)))
            except NotRunnable as error:
                left_out[feature] = error.message
    progress(f"{len(made)} issuers made, waiting until they are Ready")
    deadline = time.monotonic() + environment.timeouts.issuer
    issuers = [_seen(environment.cluster, kind, item, feature, deadline) for feature, kind, item in made]
    return DevStack(
        **common,
        implementation=f"{described.name} {described.version}",
        approves=described.run.approves,
        namespace=NAMESPACE,
        pki_sign_path=preparing.pki.sign_path,
        issuers=issuers,
        left_out=left_out,
        sample=_sample(run, issuers, made[0][2]["apiVersion"]) if "certificate" in described.features and made else "",
    )


def _seen(cluster: Cluster, kind: IssuerType, item: Object, feature: str, deadline: float) -> TriedIssuer:
    name, namespace = item["metadata"]["name"], item["metadata"].get("namespace")
    _, last = cluster.wait(
        kind.resource,
        name,
        namespace,
        lambda seen: condition(seen, kind.ready_condition).get("status") == "True",
        # The present state is looked at in any case.
        timeout=max(1.0, deadline - time.monotonic()),
    )
    ready = condition(last or {}, kind.ready_condition)
    return TriedIssuer(kind.kind, name, namespace or "", feature, ready.get("status", ""), ready.get("message", ""))


def _sample(run: Session, issuers: list[TriedIssuer], api_version: str) -> str:
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
    return str(run.directory.write("certificate.yaml", yaml.safe_dump(manifest, sort_keys=False)))


def _kubectl(run: Session) -> str:
    """Return the directory of the toolchain's kubectl; '' where the PATH has one, or the toolchain does not."""
    built = run.toolchain.path("kubectl")
    return "" if shutil.which("kubectl") or built is None else str(built.parent)
