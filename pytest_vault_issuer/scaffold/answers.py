"""The answers that describe a controller."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kube.client import Object
from ..requirements.features import FEATURES, expand
from . import suite

CLUSTER_ISSUER = "cluster-issuer"


@dataclass(frozen=True)
class Answers:
    """The answers that describe a controller.

    :ivar command: program and arguments, as in a shell.
    :ivar cluster_kind: the cluster-scoped kind, '' for none.
    :ivar vault_at: path of the Vault configuration in its issuer objects, '' if they have another shape.
    :ivar fields: paths of the fields in its issuer objects; ``[issuer.shape]`` needs them.
    :ivar own_fields: those of them that only one kind has -> the feature of this kind.
    :ivar issuer_lib: whether it is built with cert-manager's issuer-lib; :ivar signer_type: the part before the slash
        of the signerName for its cluster-scoped kind, '' for the usual one.
    :ivar rbac: its manifests of Roles and bindings; with () and without a chart, a first draft is written.
    :ivar chart: folder of the Helm chart with its Roles and bindings; '' for none.
    :ivar rbac_base: kustomization with its RBAC, to which `overlay` is applied; '' for none.
    :ivar rbac_copied: objects of its RBAC that are in files with other objects; :ivar rbac_sources: these files.
    :ivar rbac_unbound: whether no binding in its RBAC names its service account.
    :ivar overlay: namespace, namePrefix and nameSuffix of its installation.
    :ivar columns: printer columns of its issuer objects.
    :ivar features: names of features or profiles.
    :ivar build: command that builds it in CI, '' for none.
    :ivar go: whether it is written in Go.
    :ivar ci: the CI system, '' for none.
    :ivar suite: what the CI job installs; by default this release, which an index must have.
    """

    name: str
    command: str
    version: str = "0.1.0"
    api_version: str = "cert-manager.io/v1"
    kind: str = "Issuer"
    cluster_kind: str = "ClusterIssuer"
    vault_at: str = "spec.vault"
    fields: tuple[str, ...] = ()
    own_fields: dict[str, str] = field(default_factory=dict)
    issuer_lib: bool = False
    signer_type: str = ""
    service_account: str = ""
    crds: tuple[str, ...] = ()
    rbac: tuple[str, ...] = ()
    chart: str = ""
    rbac_base: str = ""
    overlay: dict[str, str] = field(default_factory=dict)
    rbac_copied: tuple[Object, ...] = ()
    rbac_sources: tuple[str, ...] = ()
    rbac_unbound: bool = False
    columns: tuple[str, ...] = ()
    features: tuple[str, ...] = ("core",)
    build: str = ""
    go: bool = False
    ci: str = ""
    suite: suite.Suite = field(default_factory=suite.release)

    @property
    def account(self) -> str:
        """``namespace/name`` of its service account."""
        return self.service_account or f"{self.name}/{self.name}"

    @property
    def claimed(self) -> tuple[str, ...]:
        """The features, without ``cluster-issuer`` if there is no cluster-scoped kind.

        :raises ConfigurationError: for a name that is neither a feature nor a profile.
        """
        if self.cluster_kind or CLUSTER_ISSUER not in (every := expand(self.features)):
            return tuple(dict.fromkeys(self.features))
        # A profile that contains it is replaced by its other features.
        return tuple(feature for feature in FEATURES if feature in every - {CLUSTER_ISSUER})

    @property
    def file(self) -> str:
        """Name of the implementation file."""
        return f"{self.name}.toml"

    @property
    def group(self) -> str:
        """API group of its issuer objects."""
        return self.api_version.rpartition("/")[0]
