"""The objects that one test owns in Vault: mounts, roles and policies with random names, removed at its end."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import hvac
import hvac.exceptions

from ..certificates import Authority
from ..errors import StackError
from ..kube.client import Kubernetes
from .server import AUTH, POLICY, SECRETS_ENGINE, TOKEN, VaultAdmin

#: The maximum lifetime of certificates of a mount or role. By default the suite requests at most 90 days.
MAX_TTL = "8760h"


@dataclass(frozen=True)
class Pki:
    """A PKI mount with one role.

    :ivar sign_path: the valid value of ``spec.vault.path``.
    :ivar issuing: the CA that signs. The mount knows the imported part of its chain.
    """

    mount: str
    role: str
    issuing: Authority = field(repr=False)

    @property
    def sign_path(self) -> str:
        """Path of the sign endpoint, without ``/v1``."""
        return f"{self.mount}/sign/{self.role}"


@dataclass(frozen=True)
class AppRole:
    """A role of an AppRole mount, with one SecretID."""

    mount: str
    name: str
    role_id: str
    secret_id: str = field(repr=False)


@dataclass(frozen=True)
class AuthRole:
    """A role of an auth mount that a login names."""

    mount: str
    name: str

    @property
    def mount_path(self) -> str:
        """The valid value of ``mountPath`` in an Issuer."""
        return f"/v1/auth/{self.mount}"


def random_names() -> Iterator[str]:
    """Return an endless iterator of random parts of names. Threads may share it, which a generator does not allow."""
    return iter(lambda: secrets.token_hex(4), "")


class VaultWorkspace:
    """Creates PKI, policies and auth methods in one Vault and removes them again.

    :param admin: of the Vault.
    :param kubernetes: the cluster whose service accounts may log in.
    :param reviewer_token: the token with which Vault calls TokenReview there.
    :param names: parts of names, random by default.
    """

    def __init__(
        self, admin: VaultAdmin, kubernetes: Kubernetes, reviewer_token: str, names: Iterator[str] | None = None
    ) -> None:
        self.admin = admin
        self._names = names or random_names()
        self._kubernetes = kubernetes
        self._reviewer_token = reviewer_token
        self._undo = contextlib.ExitStack()
        self._replaced: list[str] = []  # mounts that are not those of this workspace any more

    @property
    def client(self) -> hvac.Client:
        """The hvac client, with all permissions."""
        return self.admin.client

    @property
    def namespace(self) -> str:
        """The namespace of Vault, or one of several, in which it creates objects; '' for the root namespace."""
        return self.admin.namespace

    def close(self) -> None:
        """Remove everything that this workspace created.

        :raises StackError: if something else is mounted at a path of one of its mounts; it stays.
        """
        self._undo.close()
        if self._replaced:
            raise StackError(
                f"another user has replaced {' and '.join(self._replaced)} in Vault: the new mounts stay",
                hint="do not change what a session mounts while it runs",
            )

    def _disable(self, what: str, mount: str) -> None:
        if not self.admin.disable(what, mount):
            self._replaced.append(f"the {what} at {mount}")

    # -- secrets engine --------------------------------------------------------

    def pki(
        self,
        authority: Authority | None = None,
        *,
        import_chain: bool = True,
        mount: str | None = None,
        role: dict[str, Any] | None = None,
    ) -> Pki:
        """Mount a PKI engine that signs with `authority`.

        :param authority: default a new intermediate of a new root.
        :param import_chain: whether the mount also knows the CAs above, and returns them in its responses.
        :param mount: its path, random by default; may contain slashes.
        :param role: parameters of the role that differ from "any name, any key, any SAN".
        """
        authority = authority or Authority.root().intermediate()
        mount = mount or f"pki-{next(self._names)}"
        self.admin.enable_pki(mount, MAX_TTL)
        self._undo.callback(self._disable, SECRETS_ENGINE, mount)
        known = authority.chain if import_chain else [authority]
        imported = self.client.secrets.pki.submit_ca_information(
            authority.key_pem + "".join(member.pem for member in known), mount_point=mount
        )
        if import_chain and len(known) > 1:
            # With several imported certificates, Vault does not choose a default issuer: it is the one with the key.
            (default,) = (issuer for issuer, key in imported["data"]["mapping"].items() if key)
            self.client.write_data(f"{mount}/config/issuers", data={"default": default})
        pki = Pki(mount, f"role-{next(self._names)}", authority)
        self.set_pki_role(pki, **(role or {}))
        return pki

    def set_pki_role(self, pki: Pki, **parameters: Any) -> None:
        """(Re)create the role of a mount with parameters that differ from the permissive defaults."""
        defaults = {
            "allow_any_name": True,
            "enforce_hostnames": False,
            "allow_wildcard_certificates": True,
            "allow_ip_sans": True,
            "allowed_uri_sans": ["*"],
            "require_cn": False,
            "key_type": "any",
            "max_ttl": MAX_TTL,
        }
        self.client.secrets.pki.create_or_update_role(
            pki.role, extra_params=defaults | parameters, mount_point=pki.mount
        )

    def import_authorities(self, pki: Pki, *authorities: Authority, key: Authority | None = None) -> None:
        """Add issuers to a mount, whose default issuer remains.

        :param key: the CA among them that can then sign; None if none can.
        """
        bundle = (key.key_pem if key else "") + "".join(authority.pem for authority in authorities)
        self.client.write_data(f"{pki.mount}/issuers/import/bundle", data={"pem_bundle": bundle})

    def pki_issuer(self, mount: str, authority: Authority) -> str:
        """Return the id of the PKI issuer of a mount that is a given CA.

        :raises LookupError: if the mount does not have it.
        """
        listing = self.client.list(f"{mount}/issuers")["data"]["key_info"]
        serial = f"{authority.certificate.serial_number:x}"
        for identifier, info in listing.items():
            if info.get("serial_number", "").replace(":", "").lstrip("0") == serial:
                return str(identifier)
        raise LookupError(f"{mount} does not list the imported authority: {listing}")

    def set_pki_issuer(self, pki: Pki, authority: Authority, **parameters: Any) -> None:
        """Change parameters of a PKI issuer, such as ``manual_chain``; others get their defaults."""
        self.client.write_data(f"{pki.mount}/issuer/{self.pki_issuer(pki.mount, authority)}", data=parameters)

    def set_default_issuer(self, mount: str, authority: Authority) -> None:
        """Make a CA the default PKI issuer of a mount."""
        self.client.write_data(f"{mount}/config/issuers", data={"default": self.pki_issuer(mount, authority)})

    # -- policies and tokens ----------------------------------------------------

    def policy(self, *paths: str, capabilities: Iterable[str] = ("create", "update")) -> str:
        """Create a policy that allows `capabilities` on `paths` and return its name."""
        # The name shows the owner, because a policy has no description.
        name = f"{self.admin.session or 'vault-issuer'}-{next(self._names)}"
        self.admin.announce(POLICY, name)
        rules = "\n".join(f'path "{path}" {{ capabilities = {json.dumps(list(capabilities))} }}' for path in paths)
        self.client.sys.create_or_update_policy(name, rules)
        self._undo.callback(self.client.sys.delete_policy, name)
        return name

    def token(self, *policies: str, ttl: str = "1h", **parameters: Any) -> str:
        """Create a token with `policies`, without parent, and return it."""
        response = self.client.auth.token.create_orphan(policies=list(policies), ttl=ttl, **parameters)
        token: str = response["auth"]["client_token"]
        self._undo.callback(self.revoke, token)
        if accessor := response["auth"].get("accessor"):  # a batch token has none, and cannot be revoked
            self.admin.announce(TOKEN, accessor)
        return token

    def revoke(self, token: str) -> None:
        """Revoke a token now, unless it has already ended."""
        with contextlib.suppress(hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden):
            self.client.auth.token.revoke(token)

    def is_valid(self, token: str) -> bool:
        """Return whether a token has neither expired nor been revoked."""
        try:
            self.client.auth.token.lookup(token)
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden):
            return False
        return True

    # -- auth methods --------------------------------------------------------------

    def mount_auth(self, method: str, mount: str | None = None) -> str:
        """Enable an auth method at a path (default random) and return the path."""
        mount = mount or f"{method}-{next(self._names)}"
        self.admin.enable_auth(method, mount)
        self._undo.callback(self._disable, AUTH, mount)
        return mount

    def approle(self, *policies: str, mount: str | None = None, ttl: str = "5m", **parameters: Any) -> AppRole:
        """Create an AppRole with one SecretID.

        :param mount: of an existing AppRole method; None mounts one.
        """
        mount = mount or self.mount_auth("approle")
        name = f"role-{next(self._names)}"
        method = self.client.auth.approle
        method.create_or_update_approle(
            name, token_policies=list(policies), token_ttl=ttl, mount_point=mount, **parameters
        )
        self._undo.callback(method.delete_role, name, mount_point=mount)
        role_id = method.read_role_id(name, mount_point=mount)["data"]["role_id"]
        return AppRole(mount, name, role_id, self.new_secret_id(mount, name))

    def new_secret_id(self, mount: str, role: str) -> str:
        """Return another SecretID of an AppRole."""
        response = self.client.auth.approle.generate_secret_id(role, mount_point=mount)
        secret_id: str = response["data"]["secret_id"]
        return secret_id

    def enable_lockout(self, mount: str, threshold: int) -> None:
        """Enable Vault's user lockout for a mounted auth method; it is disabled by default in the suite.

        :param threshold: failed logins after which Vault refuses every login of a role, for the rest of the test.
        """
        lockout = {
            "lockout_disable": False,
            "lockout_threshold": str(threshold),
            "lockout_duration": "15m",
            "lockout_counter_reset_duration": "15m",
        }
        self.client.write_data(f"sys/auth/{mount}/tune", data={"user_lockout_config": lockout})

    def accepts_login(self, approle: AppRole) -> bool:
        """Log in with an AppRole; return whether Vault accepts its SecretID: it refuses a role that is locked."""
        try:
            self.client.auth.approle.login(
                approle.role_id, approle.secret_id, use_token=False, mount_point=approle.mount
            )
        except hvac.exceptions.Forbidden:
            return False
        return True

    def mount_kubernetes(self, mount: str | None = None) -> str:
        """Enable and configure the Kubernetes auth method against the stack's cluster; return its path."""
        mount = self.mount_auth("kubernetes", mount)
        configure_kubernetes(self.client, mount, self._kubernetes, self._reviewer_token)
        return mount

    def kubernetes_role(
        self,
        *policies: str,
        service_account: str,
        namespace: str,
        mount: str | None = None,
        audience: str = "",
        ttl: str = "1m",
    ) -> AuthRole:
        """Create a role of the Kubernetes auth method, bound to one ServiceAccount.

        :param mount: of a configured method; None mounts one.
        :param audience: required in the token; '' for none in particular.
        """
        data = {
            "bound_service_account_names": [service_account],
            "bound_service_account_namespaces": [namespace],
            "token_policies": list(policies),
            "token_ttl": ttl,
        } | ({"audience": audience} if audience else {})
        return self._auth_role(mount or self.mount_kubernetes(), "role", data)

    def certificate_role(self, *policies: str, certificate: str, mount: str | None = None, ttl: str = "1m") -> AuthRole:
        """Create a role of the TLS certificates auth method.

        :param certificate: PEM of the CA whose client certificates it admits.
        :param mount: of an existing method, such as the default ``cert``; None mounts one.
        """
        data = {"certificate": certificate, "token_policies": list(policies), "token_ttl": ttl}
        return self._auth_role(mount or self.mount_auth("cert"), "certs", data)

    def mount_jwt(self, keys: Iterable[str], mount: str | None) -> str:
        """Enable the JWT auth method for tokens that one of `keys` (PEM) verifies; return its path."""
        mount = self.mount_auth("jwt", mount)
        self.client.write_data(f"auth/{mount}/config", data={"jwt_validation_pubkeys": list(keys)})
        return mount

    def jwt_role(self, *policies: str, subject: str, audiences: Iterable[str], mount: str) -> AuthRole:
        """Create a role of the JWT auth method, bound to one subject.

        :param subject: claim ``sub``, such as ``system:serviceaccount:<namespace>:<name>``.
        :param audiences: accepted audiences; the token must name one of them.
        :param mount: from :meth:`mount_jwt`.
        """
        data = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_subject": subject,
            "bound_audiences": list(audiences),
            "token_policies": list(policies),
            "token_ttl": "1m",
        }
        return self._auth_role(mount, "role", data)

    def mount_aws(self, sts_endpoint: str, *, server_id: str, mount: str | None) -> str:
        """Enable the AWS auth method against an STS; return its path.

        :param server_id: the server ID that logins must sign (``X-Vault-AWS-IAM-Server-ID``); '' for none.
        """
        mount = self.mount_auth("aws", mount)
        config = {"sts_endpoint": sts_endpoint, "iam_server_id_header_value": server_id, "max_retries": 0}
        self.client.write_data(f"auth/{mount}/config/client", data=config)
        return mount

    def aws_role(self, *policies: str, principal: str, mount: str) -> AuthRole:
        """Create a role of the AWS auth method for logins of type ``iam``.

        :param principal: ARN of the AWS role or user that it admits.
        :param mount: from :meth:`mount_aws`.
        """
        data = {
            "auth_type": "iam",
            "bound_iam_principal_arn": principal,
            # The principal is compared by name, because Vault would resolve its id at AWS's IAM.
            "resolve_aws_unique_ids": False,
            "token_policies": list(policies),
            "token_ttl": "1m",
        }
        return self._auth_role(mount, "role", data)

    def _auth_role(self, mount: str, folder: str, data: dict[str, Any]) -> AuthRole:
        """Create a role with a random name; `folder` is the part of the API path before the name."""
        role = AuthRole(mount, f"role-{next(self._names)}")
        path = f"auth/{mount}/{folder}/{role.name}"
        self.client.write_data(path, data=data)
        self._undo.callback(self.client.delete, path)
        return role

    def set_auth_role(self, role: AuthRole | AppRole, **parameters: Any) -> None:
        """Change parameters of a role of an auth method, such as ``token_type``; the others remain."""
        mounted = self.client.sys.list_auth_methods()["data"][f"{role.mount}/"]["type"]
        folder = "certs" if mounted == "cert" else "role"
        self.client.write_data(f"auth/{role.mount}/{folder}/{role.name}", data=parameters)

    def log_in(self, role: AuthRole, body: dict[str, Any]) -> str:
        """Log in at a role's mount with the given body and return the token.

        :raises hvac.exceptions.VaultError: if Vault rejects it.
        """
        response = self.client.login(f"{role.mount_path}/login", use_token=False, json=body)
        token: str = response["auth"]["client_token"]
        return token


def configure_kubernetes(client: hvac.Client, mount: str, kubernetes: Kubernetes, reviewer_token: str) -> None:
    """Point a Kubernetes auth method at a cluster."""
    client.auth.kubernetes.configure(
        kubernetes_host=kubernetes.url_for_vault,
        kubernetes_ca_cert=kubernetes.ca_pem,
        token_reviewer_jwt=reviewer_token,
        disable_local_ca_jwt=True,
        mount_point=mount,
    )
