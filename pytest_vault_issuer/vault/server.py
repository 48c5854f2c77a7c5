"""Administers a Vault server: initialize, seal, unseal, join, step down, and its mounts."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import hvac.exceptions

from ..errors import StackError
from ..timeouts import SLOW_MACHINE, Timeouts, poll
from .client import VaultServer, VaultUnreachableError, client, unreachable

#: Types of objects that a session creates in a Vault, with their path, name, or the accessor of a token as names.
AUTH, SECRETS_ENGINE, POLICY, TOKEN = "auth method", "secrets engine", "policy", "token"
NAMESPACE = "namespace"
#: Key in the metadata of a namespace; its value is that of :func:`mark_of`.
NAMESPACE_MARK = "created-by"
#: The permissions of a token that works in namespaces that it creates: capabilities by path, with {} for a namespace.
_NAMESPACE_PERMISSIONS = {
    "sys/namespaces/{}": {"create", "read", "update", "delete"},
    "{}/sys/mounts/pki": {"create", "update"},
    "{}/sys/auth/approle": {"create", "update"},
    "{}/sys/policies/acl/policy": {"create", "update"},
}


#: Path, without ``/v1``, below which Vault describes the mounts of a type.
MOUNT_ROOTS = {AUTH: "sys/auth", SECRETS_ENGINE: "sys/mounts"}


def mark_of(session: str) -> str:
    """Return the description of everything that a session mounts in a Vault."""
    return f"vault-issuer session {session}"


def namespace_path(path: str) -> str:
    """Return the path, without ``/v1``, at which the parent creates, reads and deletes a namespace."""
    parent, _, name = path.rpartition("/")
    return f"{parent}/sys/namespaces/{name}".lstrip("/")


def _unannounced(what: str, name: str, accessor: str = "") -> None:
    """Record nothing, because this Vault ends with the session."""


class VaultAdmin:
    """Administers one Vault, or a namespace of it, with a privileged token.

    :param server: its address, and the token.
    :param session: the name of the session that owns everything created here; '' if this Vault ends with the session.
    :param announce: called before anything is created in a Vault that outlives the session, so that the cleanup can
        remove it after any end of the session; called again with the accessor or id, once it is known.
    :param namespace: in which it creates mounts and policies; '' for the root namespace.
    :raises StackError: from its methods, if Vault cannot be reached or refuses a request.
    """

    def __init__(
        self,
        server: VaultServer,
        timeouts: Timeouts | None = None,
        *,
        session: str = "",
        announce: Callable[..., None] | None = None,
        namespace: str = "",
    ) -> None:
        self.server = server
        self.namespace = namespace
        self.timeouts = timeouts or Timeouts()
        self.client = client(server, self.timeouts, namespace)
        self.session = session
        self.announce = announce or _unannounced
        #: Whether created objects outlive the session unless the cleanup removes them.
        self.announces = announce is not None
        #: Accessors of the mounts, and ids of the namespaces, that this admin created, by type and path.
        self._created: dict[tuple[str, str], str] = {}

    @property
    def _mark(self) -> str | None:
        return mark_of(self.session) if self.session else None

    def enable_auth(self, method: str, mount: str) -> None:
        """Enable an auth method at a path.

        :raises hvac.exceptions.InvalidRequest: if the path is in use.
        """
        self.announce(AUTH, mount)
        self.client.sys.enable_auth_method(method, path=mount, description=self._mark)
        self._note(AUTH, mount)
        if method == "approle":
            # After five wrong SecretIDs, Vault locks a role for 15 minutes, and then rejects the right SecretID, too. A
            # controller with a wrong SecretID retries, which is correct.
            self.client.write_data(f"sys/auth/{mount}/tune", data={"user_lockout_config": {"lockout_disable": True}})

    def enable_pki(self, mount: str, max_ttl: str) -> None:
        """Enable a PKI secrets engine at a path.

        :raises hvac.exceptions.InvalidRequest: if the path is in use.
        """
        self.announce(SECRETS_ENGINE, mount)
        self.client.sys.enable_secrets_engine(
            "pki", path=mount, config={"max_lease_ttl": max_ttl}, description=self._mark
        )
        self._note(SECRETS_ENGINE, mount)

    def _note(self, what: str, mount: str) -> None:
        """Record the accessor of a new mount in a Vault that outlives the session.

        Another mount at the same path has another accessor. That of an auth method also identifies the entities of its
        logins, which outlive it. A token that may not read the accessor may not remove them either: the cleanup reports
        it.
        """
        if self.announces:
            with contextlib.suppress(hvac.exceptions.Forbidden):
                about = self.mounted(what, mount)
                if about is not None:
                    self._created[what, mount] = about["accessor"]
                    self.announce(what, mount, about["accessor"])

    def mounted(self, what: str, mount: str) -> dict[str, Any] | None:
        """Describe what is mounted at a path, with its ``accessor`` and ``description``; None if there is nothing.

        :param what: `AUTH` or `SECRETS_ENGINE`.
        """
        try:
            found: dict[str, Any] = self.client.read(f"{MOUNT_ROOTS[what]}/{mount}") or {}
        except hvac.exceptions.InvalidRequest:  # there is nothing at this path
            return None
        return found.get("data") or found

    def _is_ours(self, what: str, mount: str, about: dict[str, Any]) -> bool:
        known = self._created.get((what, mount))
        seen, ours = (about["accessor"], known) if known else (about["description"], self._mark or "")
        return bool(seen == ours)

    def disable(self, what: str, mount: str) -> bool:
        """Disable an auth method or a secrets engine that the session created; do nothing if it is gone.

        :param what: `AUTH` or `SECRETS_ENGINE`.
        :return: False if something else is mounted at its path since then. It stays.
        """
        if self.session:  # otherwise this Vault belongs to one test
            about = self.mounted(what, mount)
            if about is None or not self._is_ours(what, mount, about):
                return about is None
        if what == AUTH:
            self.client.sys.disable_auth_method(mount)
        else:
            self.client.sys.disable_secrets_engine(mount)
        return True

    # -- namespaces ---------------------------------------------------------------------

    @property
    def offers_namespaces(self) -> bool:
        """Whether the server has namespaces, and the token may create them and mount something in them.

        OpenBao has them since 2.3, Vault in its Enterprise edition only.
        """
        try:
            self.client.adapter.request("list", "/v1/sys/namespaces")
        except hvac.exceptions.InvalidPath as error:
            if error.errors:  # the path does not exist; a list without entries is a 404 without errors
                return False
        except (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest):
            return False
        name = f"vault-issuer-{secrets.token_hex(4)}"
        needed = {path.format(name): capabilities for path, capabilities in _NAMESPACE_PERMISSIONS.items()}
        try:
            response = self.client.adapter.post("/v1/sys/capabilities-self", json={"paths": list(needed)})
        except hvac.exceptions.Forbidden:
            return False
        granted = {path: set(response["data"].get(path) or ()) for path in needed}
        return all("root" in granted[path] or capabilities <= granted[path] for path, capabilities in needed.items())

    def within(self, namespace: str) -> VaultAdmin:
        """Return an admin of a namespace that the session created; everything in it ends with the namespace."""
        return VaultAdmin(self.server, self.timeouts, session=self.session, namespace=namespace)

    def create_namespace(self, path: str) -> None:
        """Create a namespace; its parent exists.

        :param path: such as ``team-a/pki``.
        :raises StackError: if it exists: the server would only change its metadata, and the cleanup would delete it.
        """
        if self.client.read(namespace_path(path)) is not None:
            raise StackError(
                f"the namespace {path} exists in the Vault at {self.server.url}, and the session did not create it",
                hint="name another namespace",
            )
        self.announce(NAMESPACE, path)
        metadata = {NAMESPACE_MARK: self._mark} if self._mark else {}
        response = self.client.write_data(namespace_path(path), data={"custom_metadata": metadata})
        self._created[NAMESPACE, path] = response["data"]["id"]
        self.announce(NAMESPACE, path, response["data"]["id"])

    def delete_own_namespace(self, path: str) -> None:
        """Delete a namespace of :meth:`create_namespace` with everything in it; do nothing if it is gone.

        :raises StackError: if another one has its path since then; it stays. Also as :meth:`delete_namespace`.
        """
        found = self.client.read(namespace_path(path))
        if found is None:
            return
        if found["data"].get("id") != self._created.get((NAMESPACE, path)):
            raise StackError(
                f"the namespace {path} in Vault is not the one that the session created, so it stays",
                hint="do not change what a session creates while it runs",
            )
        self.delete_namespace(path)

    def delete_namespace(self, path: str) -> None:
        """Delete a namespace with everything in it, and wait until it is gone; it has no child.

        :raises StackError: if this takes longer than the timeout `deletion`.
        """

        def probe() -> bool | None:
            self.client.delete(namespace_path(path))  # a server that is deleting it returns this error
            return True if self.client.read(namespace_path(path)) is None else None

        if not poll(probe, timeout=self.timeouts.deletion, interval=0.05):
            raise StackError(
                f"the server did not delete its namespace {path} within {self.timeouts.deletion:g} s",
                hint="see the log of the server",
            )

    # -- state --------------------------------------------------------------------------

    @property
    def health(self) -> int:
        """The status of ``GET /v1/sys/health``.

        :raises VaultUnreachableError: without a response.
        """
        try:
            status: int = self.client.adapter.session.get(
                f"{self.server.url}/v1/sys/health", timeout=self.timeouts.api, verify=self.server.ca_file or True
            ).status_code
        except OSError as error:  # of requests, or because the file of the CA certificate is gone
            raise unreachable(self.server.url, error) from error
        return status

    @property
    def leader(self) -> str:
        """The address of the active node that this node knows; '' if it knows none."""
        # OpenBao omits the key in this case.
        return str(self.client.sys.read_leader_status().get("leader_address", ""))

    @property
    def product(self) -> str:
        """``vault`` or ``openbao``. OpenBao reports the date of its commit; Vault reports the date of its build."""
        return "openbao" if "commit_date" in self.client.sys.read_seal_status() else "vault"

    @property
    def version(self) -> str:
        """The version that it reports."""
        return str(self.client.sys.read_health_status(method="GET")["version"])

    def initialize(self) -> VaultServer:
        """Initialize it with one key share, and return the server with token and key. It stays sealed."""
        response = self.client.sys.initialize(secret_shares=1, secret_threshold=1)
        self.server = replace(self.server, token=response["root_token"], unseal_key=response["keys"][0])
        self.client.token = self.server.token
        return self.server

    def unseal(self) -> None:
        """Unseal with the key of :meth:`initialize` and wait until Vault is active or standby."""
        self.client.sys.submit_unseal_key(self.server.unseal_key)
        self.wait_health(200, 429)

    def seal(self) -> None:
        """Seal it, and wait until its health status shows this."""
        self.client.sys.seal()
        self.wait_health(503)

    def join_raft(self, leader: VaultServer) -> None:
        """Join the raft cluster of `leader`, and unseal as a standby."""
        self.client.adapter.post(
            "/v1/sys/storage/raft/join",
            json={"leader_api_addr": leader.internal_url or leader.url, "leader_ca_cert": leader.ca_pem},
        )
        self.server = replace(self.server, token=leader.token, unseal_key=leader.unseal_key)
        self.client.token = self.server.token
        self.client.sys.submit_unseal_key(self.server.unseal_key)
        # Vault 1.21 reads its root key as soon as the keyring has arrived (core.go, unsealWithRaft). If the root key
        # arrives later, Vault logs an error and stays sealed until it gets the unseal key again.
        if self._poll_health((429,), self.timeouts.raft_join) != 429:
            self.client.sys.submit_unseal_key(self.server.unseal_key)
            self.wait_health(429)

    def step_down(self) -> None:
        """Make an active node step down, without waiting for the next active node.

        The node does not become active again for ten seconds. If no other node can, the cluster has no active node.
        """
        self.client.sys.step_down()

    def make_voters(self) -> None:
        """Make every node of the raft cluster a voter, and wait for it: any of them can then become active.

        :raises StackError: if this takes longer than the timeout `component_start`.
        """
        # The default is ten seconds after a node joined.
        self.client.write_data("sys/storage/raft/autopilot/configuration", data={"server_stabilization_time": "1s"})

        def probe() -> bool | None:
            servers = self.client.sys.read_raft_config()["data"]["config"]["servers"]
            return True if all(server["voter"] for server in servers) else None

        if not poll(probe, timeout=self.timeouts.component_start, interval=0.2):
            raise StackError("a raft node joined the cluster but did not become a voter", hint=SLOW_MACHINE)

    def wait_health(self, *statuses: int) -> None:
        """Wait until the health status is one of `statuses`.

        :raises StackError: if this takes longer than the timeout `component_start`.
        """
        seen = self._poll_health(statuses, self.timeouts.component_start)
        if seen not in statuses:
            raise StackError(
                f"expected health status {' or '.join(map(str, statuses))} of Vault, saw {seen}", hint=SLOW_MACHINE
            )

    def _poll_health(self, statuses: Sequence[int], timeout: float) -> int:
        """Wait until the health status is one of `statuses`, at most `timeout` seconds; return the last status."""
        seen: list[int] = []

        def probe() -> bool | None:
            seen[:] = [self.health]
            return True if seen[0] in statuses else None

        poll(probe, timeout=timeout, interval=0.1)
        return seen[0]


def check_existing(server: VaultServer, timeouts: Timeouts) -> None:
    """Check that a Vault that the user named can be used.

    :raises StackError: if it is unreachable, not initialized or sealed, or rejects the token; each with a hint.
    """
    admin = VaultAdmin(server, timeouts)
    try:
        health = admin.health
    except VaultUnreachableError as error:
        raise StackError(
            error.message, hint="check --vault-issuer-vault-addr and --vault-issuer-vault-ca-cert"
        ) from error
    if health == 501:
        raise StackError(f"the Vault at {server.url} is not initialized", hint="initialize and unseal it first")
    if health == 503:
        raise StackError(f"the Vault at {server.url} is sealed", hint="unseal it first: vault operator unseal")
    try:
        admin.client.auth.token.lookup_self()
    except hvac.exceptions.VaultError as error:
        raise StackError(
            f"the Vault at {server.url} refuses the token: {error.args[0]}",
            hint="check the token in --vault-issuer-vault-token-file or VAULT_ISSUER_VAULT_TOKEN",
        ) from error
