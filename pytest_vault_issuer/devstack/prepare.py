"""Creates an issuer object for each auth method that a controller supports, with short names."""

from __future__ import annotations

import base64
from collections.abc import Callable, Container
from typing import Any

from ..certificates import ClientCertificate
from ..kube.client import Object
from ..kube.ownership import LABEL
from ..sandbox import Environment
from ..sandbox.credentials import Authentication, Authentications
from ..sandbox.handles import Issuer, IssuerType
from ..vault import Pki, VaultWorkspace

NAMESPACE = "dev-stack"
#: Lifetime of the Vault token in the Secret for the auth method token.
TOKEN_TTL = "720h"  # noqa: S105 (a duration)
_MOUNT = "pki"


class Preparing(Authentications):
    """Creates issuer objects that name Vault itself, not a proxy, and stay as long as their stack.

    :param known_failures: requirements that the controller is known not to meet; the objects avoid these.
    """

    def __init__(self, environment: Environment, known_failures: Container[str] = ()) -> None:
        self.environment = environment
        self.cluster = environment.cluster
        self.timeouts = environment.timeouts
        self.namespace = NAMESPACE
        self._known_failures = known_failures
        self.labels = {LABEL: environment.stack.run}
        self.vault = VaultWorkspace(environment.admin, environment.stack.kubernetes, environment.stack.reviewer_token)
        self._pki = self.vault.pki(mount=_MOUNT)
        self._name = ""
        environment.cluster.create_namespace(NAMESPACE, self.labels)

    # -- what Authentications needs -------------------------------------------------

    @property
    def pki(self) -> Pki:
        """The PKI of all issuer objects."""
        return self._pki

    def new_name(self, prefix: str) -> str:
        """Return the name of the current issuer object, which everything that belongs to it has."""
        return self._name

    def pass_on(self, client: ClientCertificate) -> None:
        """Do nothing: without a proxy, Vault sees the client certificate itself."""

    def remove_later(self, remove: Callable[..., object], *arguments: object) -> None:
        """Do nothing: everything stays as long as the stack."""

    # -- issuers ----------------------------------------------------------------------

    def authentications(self) -> dict[str, Callable[[str], Authentication]]:
        """Return a function for each auth method that the controller supports, by feature."""
        ways: dict[str, Callable[[str], Authentication]] = {
            "token": lambda kind: self.token(kind, ttl=TOKEN_TTL),
            "approle": lambda kind: self.approle(kind, mount="approle"),
            "kubernetes-static": lambda kind: self.kubernetes_static(kind, mount="kubernetes"),
            "kubernetes-secretless": lambda kind: self.kubernetes_secretless(kind, mount="kubernetes"),
            "client-certificate": lambda kind: self.client_certificate(kind, mount="cert"),
            "jwt": lambda kind: self.jwt(kind, audiences=[self._audience(kind)], mount=self._mount("jwt", kind)),
            "aws": self._aws,
        }
        return {feature: prepare for feature, prepare in ways.items() if feature in self.environment.features}

    def issuer(self, part: str, feature: str, prepare: Callable[[str], Authentication]) -> tuple[IssuerType, Object]:
        """Create an issuer object with one auth method. Do not wait until it is Ready.

        :param part: Issuer or ClusterIssuer.
        :raises NotRunnable: when this stack cannot provide the auth method.
        """
        kind = self.environment.kinds[part]
        self._name = f"vault-{feature}"
        auth = prepare(part)
        server = self.environment.stack.vault
        vault: dict[str, Any] = {
            "server": server.url,
            "path": self.pki.sign_path,
            "auth": auth.spec,
        }
        if self.environment.has_bundle:
            vault["caBundle"] = base64.b64encode(server.ca_pem.encode()).decode()
        namespace = None if kind.cluster_scoped else NAMESPACE
        issuer = Issuer(
            self.cluster,
            self.timeouts,
            kind,
            self._name,
            namespace,
            home=self.home(part),
            vault=vault,
            labels=self.labels,
        )
        issuer.create()
        return kind, self.cluster.get(kind.resource, self._name, namespace)

    def _aws(self, kind: str) -> Authentication:
        auth = self.aws(kind, mount=self._mount("aws", kind))
        if "VI-AWS-001" in self._known_failures:
            # cert-manager#8352: it prepends /v1 to a mountPath that has it already.
            auth.spec["aws"]["mountPath"] = auth.spec["aws"]["mountPath"].removeprefix("/v1")
        return auth

    def _audience(self, part: str) -> str:
        """The audience that the documentation specifies for the tokens of an issuer object."""
        return (
            f"vault://{self._name}"
            if self.environment.kinds[part].cluster_scoped
            else f"vault://{NAMESPACE}/{self._name}"
        )

    def _mount(self, method: str, part: str) -> str:
        """Return a mount path for each kind: the configuration of the mount is for one issuer object."""
        return f"{method}-cluster" if self.environment.kinds[part].cluster_scoped else method
