"""The ways to authenticate to Vault, prepared in Vault and in the cluster."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import hvac.exceptions

from ..certificates import Authority, ClientCertificate
from ..errors import NotRunnable
from ..kube import rbac as grants
from ..kube.client import SECRETS, SERVICE_ACCOUNTS, Cluster
from ..kube.jwks import service_account_keys
from ..proxy.namespaces import HEADER
from ..proxy.upstream import Upstream
from ..stack.bootstrap import DEFAULT_MOUNTS
from ..timeouts import Timeouts
from ..vault import AppRole, AuthRole, Pki, VaultWorkspace
from ..vault.client import VaultServer
from .environment import Environment
from .shapes import MOUNTS

#: The authentication methods of the core profile; the first that an implementation supports is the default.
FEATURES = ("token", "approle", "kubernetes-static", "kubernetes-secretless")

#: Auth method, which is also its default path -> the field of the configuration with its path.
_MOUNT_FIELDS = {value.rpartition("/")[2]: name for name, value in MOUNTS.items()}


@dataclass(frozen=True)
class Authentication:
    """What the controller needs to authenticate for an issuer object, prepared in Vault and in the cluster.

    :ivar feature: the feature that an implementation claims for it, such as ``approle``.
    :ivar spec: the value of ``spec.vault.auth``; tests change copies of it.
    :ivar namespace: the namespace of its Secret or ServiceAccount.
    :ivar secret_name: name of the Secret with the credential ('' for secretless).
    :ivar secret_key: key in that Secret.
    :ivar credential: the credential in the Secret: token, SecretID or JWT ('' for secretless).
    :ivar service_account: name of the ServiceAccount ('' without one).
    :ivar principal: ARN of the AWS role to assume, or of the AWS user of the environment ('' without AWS).
    """

    feature: str
    spec: dict[str, Any]
    namespace: str
    secret_name: str = ""
    secret_key: str = ""
    credential: str = field(default="", repr=False)
    service_account: str = ""
    approle: AppRole | None = None
    role: AuthRole | None = None
    principal: str = ""

    @property
    def login_path(self) -> str:
        """URL path of the login request ('' for a token, which needs no login)."""
        if self.approle is not None:
            return f"/v1/auth/{self.approle.mount}/login"
        if self.role is not None:
            return f"{self.role.mount_path}/login"
        return ""


class Authentications(ABC):
    """Prepares credentials in Vault and in the cluster; a base class of :class:`~.sandbox.Sandbox`.

    :ivar namespace: the namespace of namespaced issuer objects and of their credentials.
    :ivar labels: labels of all objects.
    """

    environment: Environment
    cluster: Cluster
    timeouts: Timeouts
    labels: dict[str, str]
    namespace: str
    vault: VaultWorkspace

    @property
    @abstractmethod
    def pki(self) -> Pki:
        """The default PKI."""

    @abstractmethod
    def pass_on(self, client: ClientCertificate) -> None:
        """Let every proxy of the test present a client certificate to Vault if the controller presents it."""

    def sign_policy(self, pki: Pki | None = None, vault: VaultWorkspace | None = None) -> str:
        """Create a policy that only allows to sign with a PKI's role; return its name.

        :param vault: the workspace of the PKI, if it is in a Vault of :meth:`new_vault`.
        """
        return (vault or self.vault).policy((pki or self.pki).sign_path)

    def _mounted(self, method: str, mount: str | None, vault: VaultWorkspace | None) -> str | None:
        """Return the path of an auth method: the given one, else the only one that the implementation supports.

        :param method: its type, and its default path.
        :param vault: a workspace in another Vault, which may not have the method yet.
        :return: None for a new path.
        """
        if mount is None and self.environment.fixed(_MOUNT_FIELDS[method], ""):
            mount = method
        if mount is None or vault is None or vault is self.vault:
            return self._ours(mount)
        with contextlib.suppress(hvac.exceptions.InvalidRequest):  # the path is in use
            if method == "kubernetes":
                vault.mount_kubernetes(mount)
            else:
                vault.mount_auth(method, mount)
        return mount

    def _ours(self, mount: str | None) -> str | None:
        if mount in DEFAULT_MOUNTS and mount not in self.environment.stack.created_mounts:
            raise NotRunnable(
                f"the auth method at {mount} existed before the session, so the suite does not use it",
                hint=f"use --vault-issuer-stack=process, or a Vault without an auth method at {mount}",
            )
        return mount

    def authenticate(self, feature: str, kind: str, **options: Any) -> Authentication:
        """Prepare an authentication method by the name of its feature."""
        prepare: dict[str, Callable[..., Authentication]] = {
            "token": self.token,
            "approle": self.approle,
            "kubernetes-static": self.kubernetes_static,
            "kubernetes-secretless": self.kubernetes_secretless,
            "client-certificate": self.client_certificate,
        }
        return prepare[feature](kind, **options)

    def default_authentication(self, kind: str, **options: Any) -> Authentication:
        """Prepare the simplest authentication method that the implementation supports."""
        supported = [feature for feature in (*FEATURES, "client-certificate") if feature in self.environment.features]
        if not supported:
            raise NotRunnable(
                f"the implementation claims none of the authentication methods {', '.join(FEATURES)}",
                hint="claim in [features] a method that it supports",
            )
        return self.authenticate(supported[0], kind, **options)

    def token(
        self,
        kind: str,
        *,
        pki: Pki | None = None,
        policy: str | None = None,
        key: str | None = None,
        namespace: str | None = None,
        vault: VaultWorkspace | None = None,
        **parameters: Any,
    ) -> Authentication:
        """Create a Vault token in a Secret, in the namespace that issuer objects of `kind` use.

        :param key: key in the Secret, default ``token``.
        :param namespace: another namespace of the Secret.
        :param vault: a workspace in another Vault; it needs a `pki` or `policy` of the same Vault.
        :param parameters: parameters of the token, such as ``ttl``.
        """
        key = key or self.environment.fixed("auth.tokenSecretRef.key", "token")
        credential = (vault or self.vault).token(policy or self.sign_policy(pki, vault), **parameters)
        namespace = namespace or self.home(kind)
        name = self.secret({key: credential}, namespace=namespace)
        spec = {"tokenSecretRef": {"name": name, "key": key}}
        return Authentication("token", spec, namespace, name, key, credential)

    def approle(
        self,
        kind: str,
        *,
        pki: Pki | None = None,
        policy: str | None = None,
        key: str | None = None,
        mount: str | None = None,
        namespace: str | None = None,
        vault: VaultWorkspace | None = None,
        **parameters: Any,
    ) -> Authentication:
        """Create an AppRole, and its SecretID in a Secret, in the namespace that issuer objects of `kind` use.

        :param mount: path of an existing AppRole method, such as the default ``approle``; None mounts a new one.
        :param parameters: parameters of the AppRole, such as ``ttl``.
        """
        key = key or self.environment.fixed("auth.appRole.secretRef.key", "secretId")
        policy = policy or self.sign_policy(pki, vault)
        approle = (vault or self.vault).approle(policy, mount=self._mounted("approle", mount, vault), **parameters)
        namespace = namespace or self.home(kind)
        name = self.secret({key: approle.secret_id}, namespace=namespace)
        spec = {
            "appRole": {
                "path": approle.mount,
                "roleId": approle.role_id,
                "secretRef": {"name": name, "key": key},
            }
        }
        return Authentication("approle", spec, namespace, name, key, approle.secret_id, approle=approle)

    def kubernetes_static(
        self,
        kind: str,
        *,
        pki: Pki | None = None,
        policy: str | None = None,
        key: str | None = None,
        mount: str | None = None,
        namespace: str | None = None,
        ttl: str = "1m",
        vault: VaultWorkspace | None = None,
    ) -> Authentication:
        """Create a ServiceAccount, its token Secret, which Kubernetes fills, and a Vault role bound to it.

        :param key: default ``token``; for another key, the token is copied to a second Secret.
        """
        key = key or self.environment.fixed("auth.kubernetes.secretRef.key", "token")
        namespace = namespace or self.home(kind)
        account = self.service_account(namespace, grant=False)
        name = f"{account}-token"
        filled = grants.create_token_secret(
            self.environment.cluster, namespace, account, name, self.labels, self.environment.timeouts
        )
        self.remove_later(self.environment.cluster.delete, SECRETS, name, namespace)
        credential = base64.b64decode(filled["data"]["token"]).decode()
        self.environment.redactor.add(credential)
        if key != "token":
            name = self.secret({key: credential}, namespace=namespace)
        role = (vault or self.vault).kubernetes_role(
            policy or self.sign_policy(pki, vault),
            service_account=account,
            namespace=namespace,
            mount=self._mounted("kubernetes", mount, vault),
            ttl=ttl,
        )
        spec = {
            "kubernetes": {"mountPath": role.mount_path, "role": role.name, "secretRef": {"name": name, "key": key}}
        }
        return Authentication(
            "kubernetes-static", spec, namespace, name, key, credential, service_account=account, role=role
        )

    def kubernetes_secretless(
        self,
        kind: str,
        *,
        pki: Pki | None = None,
        policy: str | None = None,
        mount: str | None = None,
        namespace: str | None = None,
        service_account: str | None = None,
        audience: str = "",
        grant: bool = True,
        ttl: str = "1m",
        vault: VaultWorkspace | None = None,
    ) -> Authentication:
        """Create a ServiceAccount, the documentation's Role for its tokens, and a Vault role bound to it.

        :param service_account: an existing ServiceAccount of the test to use instead.
        :param audience: the audience that the Vault role requires; '' for any.
        :param grant: whether the implementation gets the Role.
        """
        namespace = namespace or self.home(kind)
        account = service_account or self.service_account(namespace, grant=grant)
        role = (vault or self.vault).kubernetes_role(
            policy or self.sign_policy(pki, vault),
            service_account=account,
            namespace=namespace,
            mount=self._mounted("kubernetes", mount, vault),
            audience=audience,
            ttl=ttl,
        )
        spec = {"kubernetes": {"mountPath": role.mount_path, "role": role.name, "serviceAccountRef": {"name": account}}}
        return Authentication("kubernetes-secretless", spec, namespace, service_account=account, role=role)

    def jwt(
        self,
        kind: str,
        *,
        audiences: Iterable[str],
        stored: bool = False,
        mount: str | None = None,
        bound_to: str | None = None,
    ) -> Authentication:
        """Create a ServiceAccount and a role of a JWT auth mount, which controllers use like Kubernetes auth.

        :param audiences: the role requires one of them.
        :param stored: whether to put a token for these audiences, which expires in an hour, into a Secret. Otherwise
            the implementation requests tokens, and gets the documentation's Role for that.
        :param mount: path for the method, default random.
        :param bound_to: name of another ServiceAccount that the role admits instead of this one.
        """
        namespace, audiences = self.home(kind), list(audiences)
        account = self.service_account(namespace, grant=not stored)
        role = self.vault.jwt_role(
            self.sign_policy(),
            subject=grants.user_name(namespace, bound_to or account),
            audiences=audiences,
            mount=self.vault.mount_jwt(service_account_keys(self.environment.cluster), mount),
        )
        spec: dict[str, Any] = {"mountPath": role.mount_path, "role": role.name}
        name = key = credential = ""
        if stored:
            credential = self.environment.cluster.create_token(account, namespace, audiences=audiences)
            key = "token"
            name = self.secret({key: credential}, namespace=namespace)
            spec["secretRef"] = {"name": name, "key": key}
        else:
            spec["serviceAccountRef"] = {"name": account}
        return Authentication(
            "jwt", {"kubernetes": spec}, namespace, name, key, credential, service_account=account, role=role
        )

    def client_certificate(
        self,
        kind: str,
        *,
        clients: Authority | None = None,
        client: ClientCertificate | None = None,
        pki: Pki | None = None,
        policy: str | None = None,
        mount: str | None = None,
        namespace: str | None = None,
        vault: VaultWorkspace | None = None,
    ) -> Authentication:
        """Create a role of the TLS certificates auth method, and a Secret with a certificate that the role admits.

        :param clients: the authority that the role trusts, default a new one.
        :param client: the certificate, default a new one of that authority.
        :param mount: path of an existing method, such as the default ``cert``; None mounts a new one.
        :raises NotRunnable: if client certificates do not reach Vault.
        """
        clients = clients or Authority("clients")
        client = client or clients.issue_client(f"issuer-{secrets.token_hex(4)}.example.test")
        vault = vault or self.vault
        role = vault.certificate_role(
            policy or self.sign_policy(pki, vault), certificate=clients.pem, mount=self._mounted("cert", mount, vault)
        )
        if not self.environment.stack.disposable:
            self._check_certificates_are_seen(role, clients, vault.namespace)
        self.pass_on(client)
        namespace = namespace or self.home(kind)
        name = self.secret({"tls.crt": client.certificate_pem, "tls.key": client.key_pem}, namespace=namespace)
        spec = {"clientCertificate": {"mountPath": role.mount_path, "name": role.name, "secretName": name}}
        return Authentication("client-certificate", spec, namespace, name, "tls.key", client.key_pem, role=role)

    def _check_certificates_are_seen(self, role: AuthRole, clients: Authority, namespace: str) -> None:
        """Check with a login that client certificates reach an external Vault: a load balancer may end TLS."""
        server = self.environment.admin.server
        status = certificate_login(server, role, clients.issue_client("check.example.test"), namespace)
        if status != 200:
            raise NotRunnable(
                f"client certificates do not reach the Vault at {server.url} (status of a login: {status})",
                hint="use an address where Vault itself terminates TLS, without tls_disable_client_certs",
            )

    def aws(
        self,
        kind: str,
        *,
        ambient: bool = False,
        server_id: str = "",
        mount: str | None = None,
        grant: bool = True,
        bound_to: str | None = None,
    ) -> Authentication:
        """Create a ServiceAccount, the documentation's Role for its tokens, and a role of AWS auth for an AWS role.

        :param ambient: whether to use the AWS identity in the environment of the implementation, without a
            ServiceAccount.
        :param server_id: the server ID that Vault requires in logins, and that the issuer object names.
        :param mount: path for the method, default random.
        :param grant: whether the implementation gets the Role.
        :param bound_to: ARN of another AWS role that Vault admits instead of the one that the issuer object names.
        :raises NotRunnable: if there is no local STS, or Vault has no AWS auth.
        """
        sts = self.environment.sts
        if not sts.endpoint:
            raise NotRunnable(sts.absence, hint="see docs/implementers.md, AWS")
        if ambient and "{aws_access_key_id}" not in self.environment.implementation_env.values():
            raise NotRunnable(
                "the environment of the implementation has no AWS identity", hint="see docs/implementers.md, AWS"
            )
        namespace = self.home(kind)
        account = "" if ambient else self.service_account(namespace, grant=grant)
        principal = sts.user_arn if ambient else new_iam_role()
        try:
            mount = self.vault.mount_aws(sts.endpoint, server_id=server_id, mount=mount)
        except hvac.exceptions.InvalidRequest as error:
            if "plugin not found" not in str(error):
                raise
            raise NotRunnable("this Vault has no AWS auth method", hint="use HashiCorp Vault") from error
        role = self.vault.aws_role(self.sign_policy(), principal=bound_to or principal, mount=mount)
        spec: dict[str, Any] = {"mountPath": role.mount_path, "role": role.name}
        if not ambient:
            spec |= {"serviceAccountRef": {"name": account}, "iamRoleArn": principal}
        if server_id:
            spec["vaultHeaderValue"] = server_id
        return Authentication("aws", {"aws": spec}, namespace, service_account=account, role=role, principal=principal)

    # -- objects in the cluster ---------------------------------------------------------------

    @abstractmethod
    def new_name(self, prefix: str) -> str:
        """Return a name for a new object.

        :param prefix: its first word, for readers.
        """

    @abstractmethod
    def remove_later(self, remove: Callable[..., object], *arguments: object) -> None:
        """Register a cleanup for the end; it is only called if the stack outlives the sandbox."""

    def home(self, kind: str) -> str:
        """The namespace of the Secrets and ServiceAccounts of issuer objects of this kind."""
        known = self.environment.kinds.get(kind)
        cluster_scoped = known.cluster_scoped if known else kind == "ClusterIssuer"
        return self.environment.cluster_resource_namespace if cluster_scoped else self.namespace

    def secret(
        self, data: Mapping[str, str | bytes], *, namespace: str, name: str | None = None, secret: bool = True
    ) -> str:
        """Create a Secret and return its name.

        :param secret: whether its values must be redacted everywhere.
        """
        name = name or self.new_name("secret")
        metadata = {"name": name, "namespace": namespace, "labels": self.labels}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": self._encode(data, secret=secret)}
        self.cluster.create(SECRETS, body)
        self.remove_later(self.cluster.delete, SECRETS, name, namespace)
        return name

    def set_secret(self, name: str, namespace: str, data: Mapping[str, str | bytes | None]) -> None:
        """Change keys of a Secret; None removes a key."""
        removed = {key: None for key, value in data.items() if value is None}
        kept = {key: value for key, value in data.items() if value is not None}
        self.cluster.patch(SECRETS, name, namespace, {"data": self._encode(kept) | removed})

    def delete_secret(self, name: str, namespace: str) -> None:
        """Delete a Secret."""
        self.cluster.delete(SECRETS, name, namespace)

    def _encode(self, data: Mapping[str, str | bytes], *, secret: bool = True) -> dict[str, Any]:
        encoded = {}
        for key, value in data.items():
            raw = value.encode() if isinstance(value, str) else value
            if secret:
                self.environment.redactor.add(raw.decode(errors="replace").strip())
            encoded[key] = base64.b64encode(raw).decode()
        return encoded

    def service_account(self, namespace: str, *, name: str | None = None, grant: bool = True) -> str:
        """Create a ServiceAccount and return its name.

        :param grant: whether to give the implementation the documentation's Role for its tokens.
        """
        name = name or self.new_name("account")
        grants.create_service_account(self.cluster, namespace, name, self.labels)
        self.remove_later(self.cluster.delete, SERVICE_ACCOUNTS, name, namespace)
        if grant:
            self.grant_token_requests(namespace, name)
        return name

    def grant_token_requests(self, namespace: str, service_account: str) -> None:
        """Create the documentation's Role and RoleBinding for tokens of a ServiceAccount."""
        self.remove_later(grants.revoke_token_requests, self.cluster, namespace, service_account)
        subject = self.environment.service_account
        grants.grant_token_requests(self.cluster, namespace, service_account, subject, self.labels, self.timeouts)

    def revoke_token_requests(self, namespace: str, service_account: str) -> None:
        """Delete the Role and the RoleBinding."""
        grants.revoke_token_requests(self.cluster, namespace, service_account)


def new_iam_role() -> str:
    """Return a random ARN of an AWS role."""
    return f"arn:aws:iam::{secrets.randbelow(9 * 10**11) + 10**11}:role/role-{secrets.token_hex(4)}"


def certificate_login(
    server: VaultServer, role: AuthRole, client: ClientCertificate | None, namespace: str = ""
) -> int:
    """Log in at a role of the TLS certificates auth method and return the status of Vault's response.

    :param client: what is presented, None for nothing.
    :param namespace: of Vault, in which the role is; '' for the root namespace.
    """
    headers = {"Content-Type": "application/json"} | ({HEADER: namespace} if namespace else {})
    upstream = Upstream(server.url, server.ca_pem or None)
    with contextlib.closing(upstream.connection(client)) as connection:
        path = f"{upstream.prefix}{role.mount_path}/login"
        connection.request("POST", path, json.dumps({"name": role.name}), headers)
        return connection.getresponse().status
