"""One test's own part of the stack.

Everything has random names, so that nothing can be fitted to constants and any
number of tests can run side by side, and everything goes when the test ends.
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
from pathlib import Path
from typing import Any

from ..certificates import Authority, ClientCertificate, ServerCertificate
from ..errors import StackError, Unmet, UnsupportedError, at_barrier
from ..kube.audit import AuditLog
from ..kube.client import CERTIFICATE_REQUESTS, NAMESPACES, ApiError, Object
from ..kube.ownership import LABEL
from ..proxy import Exchange, Proxy, Route
from ..vault import Pki, VaultAdmin, VaultWorkspace
from .authentication import Authentication
from .credentials import Authentications
from .csr import SigningRequest
from .environment import Environment
from .handles import CertificateRequest, Handle, Issuer, IssuerType, RefusedError
from .kubernetes_csr import CertificateSigningRequest, as_signing_request
from .requests import Certificates
from .vault_ha import VaultCluster, VaultNode


class Sandbox(Authentications, Certificates):
    """One test's own part of the stack.

    :ivar namespace: its namespace, created.
    :ivar vault: its workspace in the stack's Vault.
    :ivar proxy: between the implementation and that Vault; issuers point to it by default.
    :ivar began: when the test began to use it (monotonic seconds).
    :ivar left_out: why the implementation cannot show some parts of the test, which is then unsupported if it passes.
    """

    def __init__(self, environment: Environment) -> None:
        Certificates.__init__(self)
        self.environment = environment
        self.cluster = environment.cluster
        self.timeouts = environment.timeouts
        self.labels = {LABEL: environment.stack.run}
        self.began = time.monotonic()
        self._cleanup = contextlib.ExitStack()
        self._pki: Pki | None = None
        self._second_namespace: str | None = None
        self._namespaces: list[str] = []
        self.issuers: list[Issuer] = []
        self.requests: list[CertificateRequest] = []
        self.proxies: list[Proxy] = []
        self.left_out: list[UnsupportedError] = []
        self._clients: list[ClientCertificate] = []
        self._reserved: dict[int, socket.socket] = {}
        self._log_start = environment.implementation_log.mark() if environment.implementation_log else ""
        self.audit_start = (
            AuditLog(Path(environment.stack.kubernetes.audit_log), timeout=environment.timeouts.audit)
            if environment.stack.kubernetes.audit_log
            else None
        )
        with contextlib.ExitStack() as undo:
            self.vault = self._workspace(environment.admin)
            if not environment.stack.disposable:
                undo.callback(self.vault.close)
            self.namespace = self.new_namespace(undo)
            self.authority = Authority()
            self.proxy = self.new_proxy(undo=undo)
            self._cleanup = undo.pop_all()

    # -- life -----------------------------------------------------------------------

    def close(self) -> None:
        """Remove everything the test made.

        :raises StackError: a proxy of the test could not do its part, so that the test says nothing of the issuer.
        """
        self._cleanup.close()
        if troubles := [trouble for proxy in self.proxies for trouble in proxy.troubles]:
            raise StackError(
                "a proxy of the test could not do its part: " + "; ".join(dict.fromkeys(troubles)),
                hint="allow more open files and processes (ulimit -n, ulimit -u), or use fewer workers (-n)",
            )

    def remove_later(self, remove: Callable[..., object], *arguments: object) -> None:
        """Have something called when the test ends, where the stack outlives it."""
        # What does nothing by itself may lie about where the whole stack is thrown away at the end.
        if not self.environment.stack.disposable:
            self._cleanup.callback(remove, *arguments)

    def new_name(self, prefix: str) -> str:
        """Return a random name."""
        return f"{prefix}-{secrets.token_hex(4)}"

    def _workspace(self, admin: VaultAdmin) -> VaultWorkspace:
        return VaultWorkspace(admin, self.environment.stack.kubernetes, self.environment.stack.reviewer_token)

    def new_namespace(self, undo: contextlib.ExitStack | None = None) -> str:
        """Create a further namespace and return its name."""
        name = f"vi-{secrets.token_hex(5)}"
        metadata = {"name": name, "labels": self.labels}
        self.cluster.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
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
        undo: contextlib.ExitStack | None = None,
        **options: Any,
    ) -> Proxy:
        """Start a further proxy.

        :param upstream: default the stack's Vault.
        :param certificate: default one of :attr:`authority` for the address.
        :param plain: serve HTTP without TLS.
        :param options: further arguments of :class:`~pytest_vault_issuer.proxy.Proxy`.
        """
        server = (upstream or self.environment.admin).server
        if options.get("port") in self._reserved:
            self._reserved.pop(options["port"]).close()
        bind = self.environment.stack.bind
        if certificate is None and not plain:
            certificate = self.authority.issue(bind)
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
        """Have every proxy of the test, also one started later, pass a client certificate on to Vault."""
        self._clients.append(client)
        for proxy in self.proxies:
            if proxy.ca_pem:
                proxy.pass_on(client)

    def closed_port(self) -> int:
        """Reserve a port on which nothing listens until a :meth:`new_proxy` is started there."""
        bind = self.environment.stack.bind
        held = socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET)
        self._cleanup.callback(held.close)
        held.bind((bind, 0))
        port: int = held.getsockname()[1]
        self._reserved[port] = held
        return port

    def new_vault(
        self, *, storage: str = "inmem", initialise: bool = True, unseal: bool = True, advertised: str = ""
    ) -> VaultAdmin:
        """Start a Vault of the test's own, in the state asked for.

        :param advertised: URL to which other nodes redirect clients of this one; '' for its own.
        :raises NotRunnable: when this stack cannot start one.
        """
        launcher = self.environment.launcher
        server = launcher.start_vault(storage=storage, advertised=advertised)
        self._cleanup.callback(launcher.stop_vault, server)
        admin = VaultAdmin(server, self.timeouts)
        if initialise:
            admin.initialise()
            if unseal:
                admin.unseal()
        return admin

    def new_vault_cluster(self, nodes: int, *, failover: bool = False) -> VaultCluster:
        """Start Vaults of the test's own that share their storage: one active node, the others standbys.

        :param nodes: how many; a cluster of three survives the loss of one, one of two survives a step-down only.
        :param failover: whether the standbys may become active; it takes three seconds more.
        :raises NotRunnable: when this stack cannot start them.
        """
        members = []
        for _ in range(nodes):
            port = self.closed_port()
            bind = self.environment.stack.bind
            advertised = f"https://{f'[{bind}]' if ':' in bind else bind}:{port}"
            admin = self.new_vault(storage="raft", initialise=False, advertised=advertised)
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
        """Return a workspace in a Vault of :meth:`new_vault`; it goes with that Vault."""
        return self._workspace(admin)

    # -- Kubernetes -------------------------------------------------------------------

    def kind(self, kind: str) -> IssuerType:
        """The implementation's issuer type that plays ``Issuer`` or ``ClusterIssuer``.

        :raises UnsupportedError: if it has none.
        """
        if kind not in self.environment.kinds:
            raise UnsupportedError(f"the implementation has no {kind}", hint="see [issuer] kind and cluster_kind")
        return self.environment.kinds[kind]

    @property
    def other_namespace(self) -> str:
        """A second namespace of the test, created when first asked for."""
        if self._second_namespace is None:
            self._second_namespace = self.new_namespace()
        return self._second_namespace

    @property
    def audit(self) -> AuditLog:
        """The API server's audit log since the test began.

        :raises NotRunnable: where it cannot be read.
        """
        if self.audit_start is None:
            raise self.environment.stack.unsupported("gives no access to the API server's audit log")
        return self.audit_start

    # -- Vault -------------------------------------------------------------------------

    @property
    def pki(self) -> Pki:
        """The test's PKI, mounted when first asked for: an intermediate that answers with its root."""
        if self._pki is None:
            self._pki = self.vault.pki()
        return self._pki

    # -- issuers -----------------------------------------------------------------------

    def issuer_name(self) -> str:
        """Return a new name for an issuer, for tests that need it before they create the issuer."""
        return f"issuer-{secrets.token_hex(4)}"

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
        """Create an issuer that points to the proxy; it is not waited for.

        :param auth: prepared, or the raw value of ``auth``; default the simplest supported.
        :param proxy: which one it talks to; :attr:`proxy` by default, whose CA it trusts.
        :param vault_namespace: the Vault configuration's field `namespace`.
        :param vault: its other fields that differ, in the names of cert-manager's API reference; None leaves one out.
        :raises RefusedError: when the API server refuses it.
        :raises InexpressibleError: if the implementation's shape has no place for a part of it.
        """
        issuer_type = self.kind(kind)
        if auth is None:
            auth = self.default_authentication(kind, pki=pki)
        proxy = proxy or self.proxy
        spec: dict[str, Any] = {
            "server": proxy.url,
            "path": (pki or self.pki).sign_path if "path" not in vault else None,
            "caBundle": base64.b64encode(proxy.ca_pem.encode()).decode() if proxy.ca_pem else None,
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
        # Also where the stack is thrown away: an issuer that fails would be retried until then.
        self._cleanup.callback(issuer.delete)
        issuer.create()
        self.issuers.append(issuer)
        return issuer

    def ready_issuer(self, kind: str, auth: Authentication | dict[str, Any] | None = None, **options: Any) -> Issuer:
        """Create an issuer and wait until it is Ready."""
        issuer = self.issuer(kind, auth, **options)
        issuer.wait_ready()
        return issuer

    def expect_rejected(self, kind: str, auth: Authentication | dict[str, Any] | None = None, **options: Any) -> str:
        """Create an issuer whose configuration is wrong, and see it refused.

        A right implementation may refuse it in its CRD or webhook, or accept
        the object and never make it Ready.

        :return: the message with which it was refused.
        :raises Unmet: when it becomes Ready.
        """
        try:
            issuer = self.issuer(kind, auth, **options)
        except RefusedError as error:
            return str(error)
        issuer.wait_answer()
        if ready_status(issuer.get()) == "True":
            raise Unmet(f"{issuer} became Ready although its configuration is wrong")
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
        """Create a CertificateRequest, approve it, and return it; it is not waited for.

        For an implementation without CertificateRequests, it is a CertificateSigningRequest that is used like one.

        :param signing: default a new one for a random DNS name.
        :param name: default a random one.
        :param namespace: default the issuer's, or the test's for a cluster-scoped one.
        :param issuer_ref: instead of the issuer's own.
        :param spec: further fields, such as ``duration``; None leaves a default out.
        :raises UnsupportedError: if a CertificateSigningRequest cannot say this.
        """
        signing = signing or self.new_signing()
        if "certificate-request" not in self.environment.features:
            namespace = namespace or issuer.namespace or self.namespace
            signer = self._signer_of(namespace, issuer_ref or issuer.ref)
            name = f"{namespace}.{name}" if name else None
            fields = as_signing_request({"duration": "1h"} | spec)
            return self.kubernetes_request(signer, signing, approve=approve, name=name, instead=True, **fields)
        namespace = namespace or issuer.namespace or self.namespace
        name = name or f"request-{secrets.token_hex(4)}"
        fields = {
            "request": base64.b64encode(signing.pem.encode()).decode(),
            "issuerRef": issuer_ref or issuer.ref,
            "duration": "1h",
            "usages": ["digital signature", "key encipherment", "server auth"],
        } | spec
        self.cluster.create(
            CERTIFICATE_REQUESTS,
            {
                "apiVersion": CERTIFICATE_REQUESTS.api_version,
                "kind": "CertificateRequest",
                "metadata": {"name": name, "namespace": namespace, "labels": self.labels},
                "spec": {key: value for key, value in fields.items() if value is not None},
            },
        )
        request = CertificateRequest(self.cluster, self.timeouts, name, namespace, signing)
        self.remove_later(request.delete)
        self.requests.append(request)
        if approve:
            request.approve()
        return request

    def _signer_of(self, namespace: str, reference: dict[str, str]) -> str:
        """Return the signerName that means what an ``issuerRef`` in a namespace means."""
        for known in self.environment.kinds.values():
            if (known.kind, known.resource.group) == (reference.get("kind"), reference.get("group")):
                return known.signer_of(reference["name"], None if known.cluster_scoped else namespace)
        raise UnsupportedError(
            f"no signerName means the issuerRef {reference}", hint="only CertificateRequests have an issuerRef"
        )

    def issued(self, issuer: Issuer, signing: SigningRequest | None = None, **options: Any) -> CertificateRequest:
        """Create an approved request and wait until it is issued."""
        request = self.request(issuer, signing, **options)
        request.wait_issued()
        return request

    def signings(self, request: CertificateRequest | CertificateSigningRequest) -> list[Exchange]:
        """What any proxy of the test saw of attempts to have a request signed, in order.

        They are told by the key their CSR is for, so that a changed CSR or another endpoint is seen too.
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
        """All issuers and requests of the test."""
        return [*self.issuers, *self.requests, *self.certificates, *self.kubernetes_requests]

    @property
    def names(self) -> set[str]:
        """The names of the test's namespaces, issuers and requests; random ones, which no other test has."""
        return {*self._namespaces, *(handle.name for handle in self.handles)}

    def implementation_log(self) -> str:
        """What the implementation has logged since the test began ('' where its log cannot be read)."""
        log = self.environment.implementation_log
        return log.since(self._log_start) if log else ""

    def published(self) -> str:
        """Everything of this test that the implementation lets people see: objects, events, log."""
        parts = [self.implementation_log()]
        for handle in self.handles:
            with contextlib.suppress(ApiError):  # the test deleted it
                item = handle.get()
                parts.append(json.dumps({"status": item.get("status"), "metadata": item["metadata"]}))
                parts.append(json.dumps(handle.events()))
        for issuer in self.issuers:
            parts += [json.dumps({"status": item.get("status")}) for item in issuer.companions.get()]
        return "\n".join(parts)

    def barrier(self, issuer: Issuer, **options: Any) -> CertificateRequest:
        """Prove that the implementation has handled what came before.

        A new request for `issuer` is created, approved, and seen issued. It
        enters the same queue after everything the test did to requests so far;
        what has not happened by then does not happen because of those events.

        :raises BarrierUnmet: when that request is not issued.
        """
        with at_barrier():
            return self.issued(issuer, **options)


def ready_status(item: Object) -> str:
    """The status of an object's Ready condition, '' while there is none."""
    for entry in item.get("status", {}).get("conditions") or []:
        if entry.get("type") == "Ready":
            return str(entry.get("status", ""))
    return ""
