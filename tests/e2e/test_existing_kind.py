"""The provider ``existing`` on a user's cluster, with only the permissions that docs/ lists."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from pytest_vault_issuer.implementation import load_implementation
from pytest_vault_issuer.kube import Cluster
from pytest_vault_issuer.kube.audit import AuditLog, Record
from pytest_vault_issuer.kube.client import CERTIFICATE_REQUESTS, CERTIFICATES, Object, Resource, condition
from pytest_vault_issuer.sandbox.approver import decide
from pytest_vault_issuer.stack.kind.cluster import configuration
from pytest_vault_issuer.stack.kind.engine import Engine
from pytest_vault_issuer.timeouts import Timeouts, poll
from pytest_vault_issuer.toolchain import Toolchain
from pytest_vault_issuer.vault import VaultAdmin
from pytest_vault_issuer.vault.client import VaultServer, VaultUnreachableError
from tests.e2e.conftest import Suite
from tests.support.containers import (
    CERT_MANAGER,
    KIND_NETWORK,
    NODE,
    VAULT,
    engine_with,
    kind_program,
    user_cluster,
)
from tests.support.scope import scopes, selecting

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples/existing"
RUNNER = "system:serviceaccount:vault-issuer-runner:runner"
RBAC = "rbac.authorization.k8s.io"
#: Necessary permissions that no recorded request shows: for cert-manager's webhook, to bind a role, and for a
#: server-side apply of a new object.
IMPLIED = {
    ("approve", "cert-manager.io", "signers"),
    ("bind", RBAC, "clusterroles"),
    ("create", RBAC, "clusterrolebindings"),
}
DEPLOYMENT = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: cert-manager}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: cert-manager, namespace: cert-manager}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: cert-manager, namespace: cert-manager}}
spec:
  selector: {{matchLabels: {{app: cert-manager}}}}
  template:
    metadata: {{labels: {{app: cert-manager}}}}
    spec:
      serviceAccountName: cert-manager
      containers:
      - name: controller
        image: {CERT_MANAGER}
        args: [--cluster-resource-namespace=cert-manager, --approver=false, --concurrent-workers=20]
"""
#: Objects in production use: an Issuer and a Certificate.
PRODUCTION = """
apiVersion: v1
kind: Namespace
metadata: {{name: production}}
---
apiVersion: v1
kind: Secret
metadata: {{name: vault, namespace: production}}
stringData: {{token: {token}}}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {{name: vault, namespace: production}}
spec:
  vault: {{server: "{server}", path: {path}, auth: {{tokenSecretRef: {{name: vault, key: token}}}}}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{name: shop, namespace: production}}
spec: {{secretName: shop, dnsNames: [shop.example.com], duration: 24h, issuerRef: {{name: vault}}}}
"""
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [RUNNER]}, {"level": "None"}],
}


@dataclass
class Theirs:
    """A user's cluster with cert-manager, and their Vault.

    :ivar directory: with ``permissions.yaml`` and kubeconfigs; :ivar environment: of their shell.
    :ivar gateway: this machine's address on the cluster's network; :ivar internal: the API server's URL there.
    """

    directory: Path
    environment: dict[str, str]
    audit: Path
    gateway: str
    internal: str
    cluster: Cluster
    vault: VaultAdmin

    def shell(self, script: str) -> str:
        """Run a command of the user, and return its output."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def apply(self, text: str) -> None:
        """Apply manifests as the administrator of the cluster."""
        subprocess.run(
            ["kubectl", "apply", "--server-side", "-f", "-"],
            env=self.environment,
            input=text,
            text=True,
            check=True,
            capture_output=True,
        )


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    yield from engine_with(VAULT, NODE, CERT_MANAGER)


@pytest.fixture(scope="module")
def theirs(engine: Engine, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    directory = tmp_path_factory.mktemp("theirs")
    kubectl = toolchain.path("kubectl")
    assert kubectl is not None
    environment = {**os.environ, **engine.environment, "KUBECONFIG": str(directory / "admin.kubeconfig")}
    environment["PATH"] = os.pathsep.join([str(kubectl.parent), os.environ["PATH"]])
    audit = directory / "apiserver"
    audit.mkdir()
    (audit / "audit-policy.yaml").write_text(yaml.safe_dump(POLICY))
    (audit / "audit.jsonl").touch()
    (directory / "kind.yaml").write_text(yaml.safe_dump(configuration(None, audit)))
    kubeconfig, config = directory / "admin.kubeconfig", directory / "kind.yaml"
    with (
        user_cluster(engine, kubeconfig, f"--config={config}", "--wait=120s") as name,
        their_vault(engine) as vault,
    ):
        load = ["load", "docker-image", CERT_MANAGER, f"--name={name}"]
        subprocess.run([str(kind_program()), *load], check=True, env=environment)
        found = Theirs(
            directory,
            environment,
            audit / "audit.jsonl",
            engine.gateway(KIND_NETWORK),
            f"https://{name}-control-plane:6443",
            Cluster(kubeconfig),
            vault,
        )
        furnish(found, toolchain)
        yield found


@contextlib.contextmanager
def their_vault(engine: Engine) -> Iterator[VaultAdmin]:
    """A Vault in dev mode, beside the cluster."""
    token = secrets.token_hex(16)
    container = engine.client.containers.run(
        VAULT,
        ["server", "-dev"],
        environment={"VAULT_DEV_ROOT_TOKEN_ID": token, "SKIP_SETCAP": "true"},
        network=KIND_NETWORK,
        detach=True,
    )
    try:
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"][KIND_NETWORK]["IPAddress"]
        admin = VaultAdmin(VaultServer(url=f"http://{address}:8200", token=token, name=str(container.name)))

        def answers() -> bool | None:
            try:
                return admin.health == 200 or None
            except VaultUnreachableError:
                return None

        assert poll(answers, timeout=Timeouts().component_start), container.logs()
        yield admin
    finally:
        container.remove(force=True, v=True)


def furnish(theirs: Theirs, toolchain: Toolchain) -> None:
    """Start cert-manager, and issue a certificate for production use."""
    crds = toolchain.crds()
    assert crds is not None
    for path in sorted(crds.glob("*.yaml")):
        theirs.apply(path.read_text())
    theirs.apply(DEPLOYMENT)
    theirs.apply((ROOT / "pytest_vault_issuer/implementation/builtin/cert-manager-rbac.yaml").read_text())
    theirs.shell("kubectl wait --for=condition=Established crd --all --timeout=60s")
    theirs.shell("kubectl rollout status deployment/cert-manager --namespace=cert-manager --timeout=120s")
    client = theirs.vault.client
    client.sys.enable_secrets_engine("pki", path="company")
    client.secrets.pki.generate_root("internal", "company", mount_point="company")
    client.secrets.pki.create_or_update_role(
        "shops", {"allow_any_name": True, "require_cn": False}, mount_point="company"
    )
    client.sys.create_or_update_policy("shops", 'path "company/sign/shops" { capabilities = ["update"] }')
    token = client.auth.token.create(policies=["shops"], ttl="24h")["auth"]["client_token"]
    server = theirs.vault.server.url
    theirs.apply(PRODUCTION.format(token=token, server=server, path="company/sign/shops"))

    def requested() -> Object | None:
        return next(iter(theirs.cluster.list(CERTIFICATE_REQUESTS, "production")), None)

    request = poll(requested, timeout=60)
    assert request is not None
    decide(theirs.cluster, CERTIFICATE_REQUESTS, request, "Approved", "status")
    ready, _ = theirs.cluster.wait(
        CERTIFICATES, "shop", "production", lambda item: condition(item, "Ready").get("status") == "True", timeout=60
    )
    assert ready, theirs.shell("kubectl get issuers,certificates,certificaterequests -o yaml --namespace=production")


# -- contents -----------------------------------------------------------------------------------------------------


def objects(cluster: Cluster) -> dict[tuple[Resource, str, str], str]:
    """Return all objects of a cluster: the resource version by type, namespace and name."""
    return {
        (resource, item["metadata"].get("namespace", ""), item["metadata"]["name"]): item["metadata"].get(
            "resourceVersion", ""
        )
        for resource in cluster.served("list")
        # Events come and go by themselves.
        if resource.plural != "events"
        for item in cluster.list(resource)
    }


def mounts(vault: VaultAdmin) -> dict[str, Any]:
    """Return the mounts of a Vault with their configuration, and its policies."""
    client = vault.client
    return {
        "secrets engines": client.sys.list_mounted_secrets_engines()["data"],
        "auth methods": client.sys.list_auth_methods()["data"],
        "policies": client.sys.list_policies()["data"]["policies"],
        "roles": client.secrets.pki.list_roles(mount_point="company")["data"],
    }


# -- permissions --------------------------------------------------------------------------------------------------


Right = tuple[str, str, str]


def documented(*names: str) -> set[Right]:
    """Return the permissions of ClusterRoles in docs/: verb, API group, resource."""
    return {
        (verb, group, resource)
        for document in yaml.safe_load_all((EXAMPLES / "permissions.yaml").read_text())
        if document["kind"] == "ClusterRole" and document["metadata"]["name"] in names
        for rule in document["rules"]
        for verb in rule["verbs"]
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", rule.get("nonResourceURLs"))
    }


def used(records: list[Record]) -> dict[Right, set[int]]:
    """Return the permissions that requests needed, and the responses.

    At its end, a session searches for its objects wherever it has permission. Rejected searches do not count.
    """
    found: dict[Right, set[int]] = defaultdict(set)
    for record in records:
        target = record.get("objectRef", {})
        sweeping = record["verb"] == "list" and "labelSelector=vault-issuer.test" in unquote(record["requestURI"])
        if "resource" in target and not (sweeping and record["responseStatus"]["code"] == 403):
            resource = "/".join(filter(None, [target["resource"], target.get("subresource")]))
            found[record["verb"], target.get("apiGroup", ""), resource].add(record["responseStatus"]["code"])
    return found


@pytest.fixture(scope="module")
def credentials(theirs: Theirs) -> dict[str, str]:
    """Create the documented permissions with the documented commands; return the options and the environment."""
    for file in EXAMPLES.iterdir():
        (theirs.directory / file.name).write_text(file.read_text())
    page = (ROOT / "docs/providers.md").read_text()
    script = re.search(r"```sh\n(kubectl apply -f permissions\.yaml\n.*?)```", page, re.DOTALL)
    assert script is not None
    theirs.shell(script[1])
    theirs.vault.client.sys.create_or_update_policy("vault-issuer", (EXAMPLES / "vault-policy.hcl").read_text())
    answer = theirs.vault.client.auth.token.create(policies=["vault-issuer"], ttl="2h", no_parent=True)
    return {"VAULT_ISSUER_VAULT_TOKEN": answer["auth"]["client_token"]}


@pytest.fixture
def file(suite: Suite) -> Path:
    """Return the implementation file of a controller that already runs."""
    known = load_implementation("cert-manager").known_failures
    return suite.write(
        "theirs.toml",
        '[implementation]\nname = "theirs"\nversion = "1.21.2"\n'
        '[run]\nservice_account = "cert-manager/cert-manager"\ncluster_resource_namespace = "cert-manager"\n'
        '[features]\nsupported = ["core"]\n[known_failures]\n'
        + "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in known.items()),
    )


@pytest.fixture
def options(theirs: Theirs, file: Path) -> list[str]:
    return [
        f"--vault-issuer={file}",
        f"--vault-issuer-kubeconfig={theirs.directory / 'runner.kubeconfig'}",
        f"--vault-issuer-vault-addr={theirs.vault.server.url}",
        f"--vault-issuer-bind={theirs.gateway}",
    ]


def test_vault_that_does_not_reach_the_cluster_is_reported(
    theirs: Theirs, credentials: dict[str, str], suite: Suite, options: list[str]
) -> None:
    """The kubeconfig has an address of the API server that only this machine can reach."""
    mounted = mounts(theirs.vault)
    run = suite.run(*options, "--vault-issuer-select=VI-KSTATIC-001", env=credentials)
    assert run.status == 3, run.output
    assert "Vault cannot review tokens at the Kubernetes API at https://127.0.0.1:" in run.output
    assert "--vault-issuer-kubernetes-host" in run.output
    assert mounts(theirs.vault) == mounted


@scopes()
def test_documented_permissions_suffice_and_nothing_else_changes(
    theirs: Theirs, credentials: dict[str, str], suite: Suite, options: list[str], selected: tuple[str, ...]
) -> None:
    audit = AuditLog(theirs.audit, timeout=60)
    before, mounted = objects(theirs.cluster), mounts(theirs.vault)
    host = f"--vault-issuer-kubernetes-host={theirs.internal}"
    run = suite.run(*options, host, "-n2", *selecting(selected), env=credentials)
    assert run.status == 0, run.output
    assert run.verdict == "partial"
    assert [name for name, outcome in run.outcomes().items() if outcome == "failed"] == [], run.output
    assert set(run.outcomes(selected).values()) <= {"passed", "known-failure", "not-run"}
    assert "passed" in run.outcomes(selected).values()
    after = objects(theirs.cluster)
    assert {key for key in after if key not in before} == set(), "expected all objects of the session removed"
    assert {key for key in before if key not in after} == set(), "expected all other objects kept"
    touched = {key for key in before if before[key] != after[key] and "production" in (key[1], key[2])}
    assert touched == set()
    assert mounts(theirs.vault) == mounted
    permissions = used(list(audit.records()))
    assert {permission: codes for permission, codes in permissions.items() if 403 in codes} == {}
    needed = set(permissions) | IMPLIED
    assert needed <= documented("vault-issuer-core")
    assert selected or needed == documented("vault-issuer-core"), (
        "expected only necessary permissions in the documentation"
    )
    assert credentials["VAULT_ISSUER_VAULT_TOKEN"] not in run.output
