"""The part of the stack that belongs to one test.

All names are random, so that a controller cannot recognize them and tests can run in parallel. A sandbox removes what
it created when the test ends.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from ..certificates import Authority, ClientCertificate, ServerCertificate
from ..errors import NotRunnable, StackError, Unmet, UnsupportedError, at_barrier
from ..kube.audit import AuditLog
from ..kube.client import CERTIFICATE_REQUESTS, NAMESPACES, ApiError, Object, condition
from ..kube.ownership import LABEL
from ..proxy.exchange import Exchange, Route
from ..proxy.namespaces import canonical
from ..proxy.server import Proxy
from ..vault import NamespacedWorkspace, Pki, VaultAdmin, VaultWorkspace
from .credentials import Authentication, Authentications
from .csr import SigningRequest
from .environment import Environment
from .handles import CertificateRequest, Handle, Issuer, IssuerType, RefusedError
from .kubernetes_csr import as_signing_request
from .requests import Certificates
from .shapes import InexpressibleError
from .vault_ha import VaultCluster, VaultNode


class Sandbox(Authentications, Certificates):
    """The part of the stack that belongs to one test.

    :ivar namespace: its namespace, which exists.
    :ivar vault: its workspace in the stack's Vault.
    :ivar proxy: the proxy between the implementation and that Vault; issuer objects refer to it by default.
    :ivar began: when it was created (monotonic seconds).
    :ivar left_out: reasons why the test left parts out for this implementation; a test that passes with any of them is
        unsupported, or not run.
    """

    def __init__(self, environment: Environment) -> None:
        Certificates.__init__(self)
        self.environment = environment
        self.cluster = environment.cluster
        self.timeouts = environment.timeouts
        self.labels = {LABEL: environment.stack.run, **environment.cluster.mark}
        self.began = time.monotonic()
        self._cleanup = contextlib.ExitStack()
        self._pki: Pki | None = None
        self._second_namespace: str | None = None
        self._namespaces: list[str] = []
        self.issuers: list[Issuer] = []
        self.requests: list[CertificateRequest] = []
        self.proxies: list[Proxy] = []
        self.left_out: list[NotRunnable] = []
        self._clients: list[ClientCertificate] = []
        self._certificates: dict[str, ServerCertificate] = {}
        self._reserved: dict[int, socket.socket] = {}
        self._log_start = environment.implementation_log.mark() if environment.implementation_log else ""
        self.audit_start = (
            AuditLog(Path(environment.stack.kubernetes.audit_log), timeout=environment.timeouts.audit)
            if environment.stack.kubernetes.audit_log
            else None
        )
        with contextlib.ExitStack() as undo:
            self.vault = self.workspace_in(environment.admin)
            if not environment.stack.disposable:
                undo.callback(self.vault.close)
            self.namespace = self.new_namespace(undo)
            self.authority = self._authority()
            self.proxy = self.new_proxy(undo=undo)
            self._cleanup = undo.pop_all()

    # -- life -----------------------------------------------------------------------

    def close(self) -> None:
        """Remove everything that the test created.

        :raises StackError: if a proxy of the test failed, so that the test does not judge the controller.
        """
        self._cleanup.close()
        if troubles := [trouble for proxy in self.proxies for trouble in proxy.troubles]:
            raise StackError(
                "a proxy of the test failed: " + "; ".join(dict.fromkeys(troubles)),
                hint="allow more open files and processes (ulimit -n, ulimit -u), or use fewer workers (-n)",
            )

    def remove_later(self, remove: Callable[..., object], *arguments: object) -> None:
        """Register a cleanup for the end of the test; it is only called if the stack outlives the test."""
        # Passive objects can stay in a disposable stack: they end with it.
        if not self.environment.stack.disposable:
            self._cleanup.callback(remove, *arguments)

    def new_name(self, prefix: str) -> str:
        """Return a random name."""
        return f"{prefix}-{secrets.token_hex(4)}"

    def _authority(self) -> Authority:
        """Return the CA of the proxies: a new one, or the system's if issuer objects cannot have a CA bundle.

        :raises NotRunnable: if the system trust store is unknown.
        """
        if self.environment.has_bundle:
            return Authority()
        if self.environment.system_authority is None:
            raise NotRunnable(
                "issuer objects have no CA bundle, and the system trust store of the controller is unknown",
                hint="let the suite start its command, and remove SSL_CERT_FILE from [run] env",
            )
        return self.environment.system_authority

    def _bundle_for(self, proxy: Proxy) -> str | None:
        """Return the CA bundle for a proxy; None if the issuer object needs none.

        :raises InexpressibleError: if it needs one, but cannot have one.
        """
        if not proxy.ca_pem or (not self.environment.has_bundle and proxy.ca_pem == self.authority.pem):
            return None
        if not self.environment.has_bundle:
            raise InexpressibleError("caBundle", "the controller trusts only its system trust store")
        return base64.b64encode(proxy.ca_pem.encode()).decode()

    def new_namespace(self, undo: contextlib.ExitStack | None = None, *, length: int = 13) -> str:
        """Create another namespace and return its name.

        :param length: of the name in characters.
        """
        name = f"vi-{secrets.token_hex(length)}"[:length]
        self.cluster.create_namespace(name, self.labels)
        if not self.environment.stack.disposable:
            (undo or self._cleanup).callback(self.cluster.delete, NAMESPACES, name)
        self._namespaces.append(name)
        return name

    def new_proxy(
        self,
        *,
        upstream: VaultAdmin | None = None,
        certificate: ServerCertificate | None = None,
        plain: bool = False,
        bind: str | None = None,
        undo: contextlib.ExitStack | None = None,
        **options: Any,
    ) -> Proxy:
        """Start another proxy.

        :param upstream: default the stack's Vault.
        :param certificate: default a certificate of :attr:`authority` for the address, the same for all proxies there.
        :param plain: serve HTTP without TLS.
        :param bind: address to listen on; default that of the stack, which the controller can reach.
        :param options: further arguments of :class:`~pytest_vault_issuer.proxy.server.Proxy`.
        """
        server = (upstream or self.environment.admin).server
        if options.get("port") in self._reserved:
            self._reserved.pop(options["port"]).close()
        bind = bind or self.environment.stack.bind
        if certificate is None and not plain:
            if bind not in self._certificates:
                self._certificates[bind] = self.authority.issue(bind)
            certificate = self._certificates[bind]
        proxy = Proxy(
            server.url,
            upstream_ca=server.ca_pem or None,
            certificate=certificate,
            bind=bind,
            observer=self.environment.activity,
            **options,
        )
        if not plain:
            for client in self._clients:
                proxy.pass_on(client)
        proxy.start()
        (undo or self._cleanup).callback(proxy.close)
        self.proxies.append(proxy)
        return proxy

    def pass_on(self, client: ClientCertificate) -> None:
        """Let every proxy of the test, also later ones, pass a client certificate on to Vault."""
        self._clients.append(client)
        for proxy in self.proxies:
            if proxy.ca_pem:
                proxy.pass_on(client)

    def closed_port(self) -> int:
        """Reserve a port on which nothing listens until :meth:`new_proxy` starts a proxy there."""
        bind = self.environment.stack.bind
        held = socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET)
        self._cleanup.callback(held.close)
        held.bind((bind, 0))
        port: int = held.getsockname()[1]
        self._reserved[port] = held
        return port

    def new_vault(self, *, storage: str = "inmem", initialize: bool = True, advertised: str = "") -> VaultAdmin:
        """Start a separate Vault for the test.

        :param initialize: whether to initialize and unseal it.
        :param advertised: URL to which other nodes redirect clients of this node; '' for its own URL.
        :raises NotRunnable: if this stack cannot start a Vault.
        """
        launcher = self.environment.launcher
        server = launcher.start_vault(storage=storage, advertised=advertised)
        self._cleanup.callback(launcher.stop_vault, server)
        admin = VaultAdmin(server, self.timeouts)
        if initialize:
            admin.initialize()
            admin.unseal()
        return admin

    def uninitialized_vault(self) -> VaultAdmin:
        """Return a Vault that is not initialized. All tests of the session share it, so no test may initialize it.

        :raises NotRunnable: if this stack cannot start a Vault.
        """
        return VaultAdmin(self.environment.uninitialized(), self.timeouts)

    def new_vault_cluster(self, nodes: int, *, failover: bool = False) -> VaultCluster:
        """Start separate Vaults for the test that share their storage: one active node, and standbys.

        :param nodes: number of nodes; three survive the loss of one node, two survive only a step-down.
        :param failover: whether the standbys may become active; this takes three seconds more.
        :raises NotRunnable: if this stack cannot start them.
        """
        members = []
        for _ in range(nodes):
            port = self.closed_port()
            bind = self.environment.stack.bind
            advertised = f"https://{f'[{bind}]' if ':' in bind else bind}:{port}"
            admin = self.new_vault(storage="raft", initialize=False, advertised=advertised)
            members.append(VaultNode(admin, self.new_proxy(upstream=admin, port=port)))
        cluster = VaultCluster(members, stop=self.stop_vault)
        cluster.form()
        if failover:
            cluster.active.admin.make_voters()
        return cluster

    def stop_vault(self, admin: VaultAdmin) -> None:
        """Kill a Vault of :meth:`new_vault`."""
        self.environment.launcher.stop_vault(admin.server)

    def workspace_in(self, admin: VaultAdmin) -> VaultWorkspace:
        """Return a workspace in a Vault, such as one of :meth:`new_vault`; it ends with that Vault."""
        return VaultWorkspace(admin, self.environment.stack.kubernetes, self.environment.stack.reviewer_token)

    # -- Kubernetes -------------------------------------------------------------------

    def kind(self, kind: str) -> IssuerType:
        """The implementation's issuer type that acts as ``Issuer`` or ``ClusterIssuer``.

        :raises UnsupportedError: if it has no such type.
        """
        if kind not in self.environment.kinds:
            raise UnsupportedError(f"the implementation has no {kind}", hint="see [issuer] kind and cluster_kind")
        return self.environment.kinds[kind]

    @property
    def other_namespace(self) -> str:
        """A second namespace of the test, created on first use."""
        if self._second_namespace is None:
            self._second_namespace = self.new_namespace()
        return self._second_namespace

    @property
    def audit(self) -> AuditLog:
        """The API server's audit log since the start of the test.

        :raises NotRunnable: if it cannot be read.
        """
        if self.audit_start is None:
            raise self.environment.stack.unsupported("gives no access to the API server's audit log")
        return self.audit_start

    # -- Vault -------------------------------------------------------------------------

    @property
    def pki(self) -> Pki:
        """The test's PKI, mounted on first use: an intermediate that Vault returns with its root."""
        if self._pki is None:
            self._pki = self.vault.pki()
        return self._pki

    def vault_namespaces(self, *names: str, health: int | None = None) -> VaultNamespaces:
        """Mount a PKI in namespaces of Vault, and nowhere else.

        They are namespaces of the server, if it has any that the session may create. Otherwise, the proxy shows them;
        see :mod:`pytest_vault_issuer.proxy.namespaces`.

        :param names: new namespaces, such as ``team-a/pki``; a slash at an end is ignored.
        :param health: status with which the proxy refuses health queries in the namespaces that it shows; None answers
            them. A server refuses those in its own namespaces itself: OpenBao with 400.
        """
        environment = self.environment
        if not environment.stack.namespaces:
            proxy = self.new_proxy(namespaces=names, health_in_namespace=health)
            return VaultNamespaces(names, proxy, self.pki, self.vault)
        workspace = NamespacedWorkspace(
            environment.admin, map(canonical, names), environment.stack.kubernetes, environment.stack.reviewer_token
        )
        self.remove_later(workspace.close)
        return VaultNamespaces((), self.new_proxy(), workspace.pki(), workspace)

    # -- issuers -----------------------------------------------------------------------

    def issuer_name(self) -> str:
        """Return a new name for an issuer object, for tests that need it before they create the object."""
        return self.new_name("issuer")

    def issuer(
        self,
        kind: str,
        auth: Authentication | dict[str, Any] | None = None,
        *,
        name: str | None = None,
        namespace: str | None = None,
        proxy: Proxy | None = None,
        pki: Pki | None = None,
        vault_namespace: str | None = None,
        **vault: Any,
    ) -> Issuer:
        """Create an issuer object that refers to a proxy, without waiting for it.

        :param auth: prepared, or the raw value of ``auth``; default the simplest supported method.
        :param proxy: the proxy, whose CA it trusts; default :attr:`proxy`.
        :param vault_namespace: the field `namespace` of the Vault configuration.
        :param vault: other fields to replace, in the names of cert-manager's API reference; None leaves a field out.
        :raises RefusedError: if the API server refuses the object.
        :raises InexpressibleError: if the implementation's shape cannot express a part of it.
        """
        issuer_type = self.kind(kind)
        if auth is None:
            auth = self.default_authentication(kind, pki=pki)
        proxy = proxy or self.proxy
        spec: dict[str, Any] = {
            "server": proxy.url,
            "path": (pki or self.pki).sign_path if "path" not in vault else None,
            "caBundle": self._bundle_for(proxy) if "caBundle" not in vault else None,
            "namespace": vault_namespace,
            "auth": copy.deepcopy(auth.spec if isinstance(auth, Authentication) else auth),
        } | vault
        spec = {key: value for key, value in spec.items() if value is not None}
        namespace = None if issuer_type.cluster_scoped else (namespace or self.namespace)
        issuer = Issuer(
            self.cluster,
            self.timeouts,
            issuer_type,
            name or self.issuer_name(),
            namespace,
            home=namespace or self.home(kind),
            vault=spec,
            labels=self.labels,
        )
        # Even if the stack is disposable: until the stack ends, the controller would retry an Issuer that fails.
        self._cleanup.callback(issuer.delete)
        issuer.create()
        self.issuers.append(issuer)
        return issuer

    def ready_issuer(self, kind: str, auth: Authentication | dict[str, Any] | None = None, **options: Any) -> Issuer:
        """Create an issuer object and wait until it is Ready."""
        issuer = self.issuer(kind, auth, **options)
        issuer.wait_ready()
        return issuer

    def expect_rejected(self, kind: str, auth: Authentication | dict[str, Any] | None = None, **options: Any) -> str:
        """Create an issuer object whose configuration is wrong, and check that it is rejected.

        A correct implementation may refuse the object with its CRD or webhook, or accept it and never set it Ready.

        :return: the message of the API server, or of the Ready condition.
        :raises Unmet: if it becomes Ready.
        """
        try:
            issuer = self.issuer(kind, auth, **options)
        except RefusedError as error:
            return str(error)
        issuer.wait_answer()
        if ready_status(issuer.get()) == "True":
            raise Unmet(f"expected {issuer} not to be Ready (its configuration is wrong), saw Ready=True")
        return str(issuer.condition().get("message", ""))

    # -- requests ------------------------------------------------------------------------

    def request(
        self,
        issuer: Issuer,
        signing: SigningRequest | None = None,
        *,
        approve: bool = True,
        name: str | None = None,
        namespace: str | None = None,
        issuer_ref: dict[str, str] | None = None,
        **spec: Any,
    ) -> CertificateRequest:
        """Create a CertificateRequest, approve it, and return it without waiting for it.

        If the implementation does not serve CertificateRequests, a CertificateSigningRequest replaces it.

        :param signing: default a new signing request for a random DNS name.
        :param name: default a random name.
        :param namespace: default that of the issuer object, or that of the test for a cluster-scoped one.
        :param issuer_ref: replaces the reference to `issuer`.
        :param spec: further fields, such as ``duration``; None leaves a default out.
        :raises UnsupportedError: if a CertificateSigningRequest cannot express the fields.
        """
        signing = signing or self.new_signing()
        if "certificate-request" not in self.environment.features:
            namespace = namespace or issuer.namespace or self.namespace
            signer = self._signer_of(namespace, issuer_ref or issuer.ref)
            name = f"{namespace}.{name}" if name else None
            fields = as_signing_request({"duration": "1h"} | spec)
            instead = self.kubernetes_request(signer, signing, approve=approve, name=name, instead=True, **fields)
            instead.advise = issuer.advise
            return instead
        namespace = namespace or issuer.namespace or self.namespace
        name = name or self.new_name("request")
        fields = {
            "request": base64.b64encode(signing.pem.encode()).decode(),
            "issuerRef": issuer_ref or issuer.ref,
            "duration": "1h",
            "usages": ["digital signature", "key encipherment", "server auth"],
        } | spec
        created = self.cluster.create(
            CERTIFICATE_REQUESTS,
            {
                "apiVersion": CERTIFICATE_REQUESTS.api_version,
                "kind": "CertificateRequest",
                "metadata": {"name": name, "namespace": namespace, "labels": self.labels},
                "spec": {key: value for key, value in fields.items() if value is not None},
            },
        )
        request = CertificateRequest(self.cluster, self.timeouts, name, namespace, signing)
        request.advise = issuer.advise
        self.remove_later(request.delete)
        self.requests.append(request)
        if approve:
            request.approve_created(created)
        return request

    def _signer_of(self, namespace: str, reference: dict[str, str]) -> str:
        """Return the signerName that is equivalent to an ``issuerRef`` in a namespace."""
        for known in self.environment.kinds.values():
            if (known.kind, known.resource.group) == (reference.get("kind"), reference.get("group")):
                return known.signer_of(reference["name"], None if known.cluster_scoped else namespace)
        raise UnsupportedError(
            f"no signerName is equivalent to the issuerRef {reference}",
            hint="only CertificateRequests have an issuerRef",
        )

    def issued(self, issuer: Issuer, signing: SigningRequest | None = None, **options: Any) -> CertificateRequest:
        """Create an approved request and wait until it is issued."""
        request = self.request(issuer, signing, **options)
        request.wait_issued()
        return request

    def signings(self, request: CertificateRequest) -> list[Exchange]:
        """The attempts to sign a request that the proxies of the test saw, in order.

        They are recognized by the key of the CSR, so that a changed CSR or another endpoint counts, too.
        """
        return [
            exchange
            for proxy in self.proxies
            for exchange in proxy.seen(Route.SIGN)
            if request.signing.is_for_same_key(exchange.json.get("csr"))
        ]

    # -- evidence ----------------------------------------------------------------------------

    @property
    def handles(self) -> list[Handle]:
        """All issuer objects and requests of the test."""
        return [*self.issuers, *self.requests, *self.certificates, *self.kubernetes_requests]

    @property
    def names(self) -> set[str]:
        """The names of the test's namespaces, issuer objects and requests; they are random and unique."""
        return {*self._namespaces, *(handle.name for handle in self.handles)}

    def implementation_log(self) -> str:
        """The implementation's log since the start of the test ('' if it cannot be read)."""
        log = self.environment.implementation_log
        return log.since(self._log_start) if log else ""

    def published(self) -> str:
        """Everything that the implementation has published about this test: objects, events, log."""
        parts = [self.implementation_log()]
        for handle in self.handles:
            with contextlib.suppress(ApiError):  # if the test deleted it
                item = handle.get()
                parts.append(json.dumps({"status": item.get("status"), "metadata": item["metadata"]}))
                parts.append(json.dumps(handle.events()))
        for issuer in self.issuers:
            parts += [json.dumps({"status": item.get("status")}) for item in issuer.companions.get()]
        return "\n".join(parts)

    def barrier(self, issuer: Issuer, **options: Any) -> CertificateRequest:
        """Prove that the implementation has handled all earlier changes.

        Creates and approves a new request for `issuer` and waits until it is issued. The request enters the queue after
        all earlier changes of the test, so the controller has handled these by then.

        :raises BarrierUnmet: if the request is not issued.
        """
        with at_barrier():
            return self.issued(issuer, **options)


class CredentialOptions(TypedDict):
    """Arguments of :meth:`Sandbox.authenticate`: where a credential is valid, and for which PKI."""

    pki: Pki
    vault: VaultWorkspace


@dataclass(frozen=True)
class VaultNamespaces:
    """Namespaces with the same mounts, which exist in no other namespace of this Vault.

    A credential that :attr:`vault` creates is valid in all of them. :meth:`Sandbox.vault_namespaces` returns
    this object.

    :ivar shown: those that a proxy must show (its argument ``namespaces``); () if the server has them itself.
    :ivar proxy: the proxy through which issuer objects reach the namespaces.
    :ivar pki: the PKI in each of them.
    :ivar vault: the workspace that creates something in each of them.
    """

    shown: tuple[str, ...]
    proxy: Proxy
    pki: Pki
    vault: VaultWorkspace

    @property
    def credentials(self) -> CredentialOptions:
        """Arguments of :meth:`Sandbox.authenticate` for a credential that is valid in the namespaces."""
        return {"pki": self.pki, "vault": self.vault}


def ready_status(item: Object) -> str:
    """The status of an object's Ready condition, '' if there is none."""
    return str(condition(item, "Ready").get("status", ""))
