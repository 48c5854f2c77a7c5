"""Handles on issuer objects and requests in the cluster: change, wait, read."""

from __future__ import annotations

import base64
import binascii
import contextlib
import copy
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from ..errors import ConfigurationError, NotRunnable, Unmet, UnsupportedError
from ..inputs import placeholders
from ..kube.client import (
    CERTIFICATE_REQUESTS,
    EVENTS,
    SECRETS,
    ApiError,
    Cluster,
    Interrupt,
    Object,
    Resource,
    condition,
)
from ..timeouts import Bound, Timeouts, poll
from . import advice
from .approver import decide, is_decided
from .companions import Companions, rewrite
from .csr import SigningRequest
from .shapes import BlockShape, Configuration, Shape, check_names

#: With these the API server refuses an object: malformed, forbidden by an admission webhook, invalid.
REFUSED = (400, 403, 422)
READY = "Ready"
#: What a condition says of an object that its controller tries again.
_RETRIES = re.compile(r"\bretr(y|ies|ying|ied)\b|\brequeue|\bback-?off\b|\btry again\b", re.IGNORECASE)
#: What precedes the reason in a refusal: the call and the name of the object, which differ from test to test.
_SAID = re.compile(r" is invalid: | (?=admission webhook )")
#: cert-manager's names of signers (https://cert-manager.io/docs/usage/kube-csr/).
SIGNER_NAME = "{plural}.{group}/{namespace}.{name}"
CLUSTER_SIGNER_NAME = "{plural}.{group}/{name}"


class RefusedError(ApiError, NotRunnable):
    """The API server refused an issuer object, because of the implementation's CRD or webhook.

    A test that accepts a refusal catches this error. Any other test is not run: the API of the implementation does not
    allow what the test needs, such as an issuer object without a field that its CRD requires.

    :ivar said: the reason of the API server.
    """

    def __init__(self, error: ApiError) -> None:
        found = _SAID.search(error.message)
        self.said = error.message[found.end() :] if found else error.message
        message = f"the API of the controller refuses an issuer object of this test: {self.said}"
        hint = error.hint or "if the controller supports it, let its CustomResourceDefinition or its webhook accept it"
        Exception.__init__(self, message)
        self.message, self.hint, self.code, self.reason = message, hint, error.code, error.reason

    def of_every(self, kind: str) -> ConfigurationError:
        """Return the error of a session in which every issuer object of a kind would be refused."""
        return ConfigurationError(
            f"the API server refuses a {kind} of [issuer], so no test can run: {self.said}",
            hint="compare [issuer] with the CustomResourceDefinition: it may require a field or restrict a value",
        )


class UncalledWebhookError(ApiError, Unmet):
    """The API server could not call the implementation's webhook."""

    def __init__(self, error: ApiError) -> None:
        message = f"expected the controller's webhook to answer the API server: {error.message}"
        Exception.__init__(self, message)
        self.message, self.hint, self.code, self.reason = message, error.hint, error.code, error.reason


#: Seconds; a watch needs a limit.
_LONGEST_RECORDING = 24 * 3600.0


def _version(item: Object) -> int:
    """Return an object's resourceVersion. Versions of one resource are numbers that grow."""
    return int(item["metadata"]["resourceVersion"])


@contextlib.contextmanager
def blaming_the_implementation(*further: int) -> Iterator[None]:
    """Attribute a refusal by the API server to the implementation; wraps calls that create or change issuer objects.

    :param further: HTTP statuses that are a refusal, too.
    :raises RefusedError: if its CRD or webhook refuses an object; the test is not run.
    :raises UncalledWebhookError: if its webhook does not answer, which is its fault.
    """
    try:
        yield
    except ApiError as error:
        if error.code in (*REFUSED, *further) or error.denied_by_webhook:
            raise RefusedError(error) from error
        if error.failed_webhook:
            raise UncalledWebhookError(error) from error
        raise


@dataclass(frozen=True)
class IssuerType:
    """One kind of issuer object of an implementation.

    :ivar kind: its kind; :ivar resource: how the API server serves it.
    :ivar shape: how its objects are written.
    :ivar cluster_scoped: whether it acts as a ClusterIssuer.
    :ivar signer_name: template of the ``signerName`` of CertificateSigningRequests for it, see :meth:`signer_of`;
        '' if no signerName refers to an object of this kind.
    :ivar ready_condition: type of the condition that reports whether it is Ready.
    """

    kind: str
    resource: Resource
    shape: Shape
    cluster_scoped: bool
    signer_name: str = SIGNER_NAME
    ready_condition: str = READY

    @property
    def vault_at(self) -> tuple[str, ...]:
        """The path of cert-manager's block in the object, () for another shape."""
        return self.shape.vault_at if isinstance(self.shape, BlockShape) else ()

    def signer_of(self, name: str, namespace: str | None) -> str:
        """Return the ``signerName`` that refers to an issuer object.

        :raises UnsupportedError: if there is none for objects of this kind.
        """
        if not self.signer_name:
            raise UnsupportedError(
                f"the implementation serves no CertificateSigningRequests for the kind {self.kind}",
                hint="if it does, set its signerName in [issuer]",
            )
        values = {"plural": self.resource.plural, "group": self.resource.group, "name": name, "kind": self.kind}
        return placeholders.fill(self.signer_name, (values | {"namespace": namespace or ""}).__getitem__)

    def configuration(self, name: str, namespace: str | None, home: str, vault: dict[str, Any]) -> Configuration:
        """Return a configuration for an object of this kind."""
        return Configuration(self.resource.api_version, self.kind, name, namespace or "", home, vault)


class Handle:
    """An object with conditions and events: the base of issuer objects and requests."""

    def __init__(
        self, cluster: Cluster, timeouts: Timeouts, resource: Resource, kind: str, name: str, namespace: str | None
    ) -> None:
        self.cluster = cluster
        self.timeouts = timeouts
        self.resource = resource
        self.kind = kind
        self.name = name
        self.namespace = namespace
        #: the type of the condition that this class and its callers call Ready
        self.ready_condition = READY
        #: returns what to check, from the messages of conditions
        self.advise: Callable[[list[str]], str] = lambda _: ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"

    def get(self) -> Object:
        """Return the object as it is now. :raises ApiError: 404 when it is gone."""
        return self._seen(self.cluster.get(self.resource, self.name, self.namespace))

    def _seen(self, item: Object) -> Object:
        """Return an object whose Ready condition is called Ready, even if the implementation uses another name."""
        if self.ready_condition == READY or not item.get("status", {}).get("conditions"):
            return item
        named = {self.ready_condition: READY, READY: f"{READY} (of another meaning)"}
        listed = [entry | {"type": named.get(entry["type"], entry["type"])} for entry in item["status"]["conditions"]]
        return {**item, "status": {**item["status"], "conditions": listed}}

    def write_conditions(self, listed: list[Object]) -> None:
        """Write changed copies of what :meth:`conditions` returned into the status."""
        entries = [entry | ({"type": self.ready_condition} if entry["type"] == READY else {}) for entry in listed]
        body = {"status": {"conditions": entries}}
        self.cluster.patch(self.resource, self.name, self.namespace, body, subresource="status")

    def condition(self, kind: str = "Ready") -> Object:
        """Return the current state of a condition ({} if it is not set)."""
        return condition(self.get(), kind)

    def conditions(self) -> list[Object]:
        """Return the current conditions."""
        return list(self.get().get("status", {}).get("conditions") or [])

    def events(self) -> list[Object]:
        """Return the events about this object, in both API versions.

        The API server accepts an event about an object of a namespace only in that namespace. It reads all events from
        etcd that it searches.
        """
        uid = self.get()["metadata"]["uid"]
        return self.cluster.list(EVENTS, self.namespace, fields=f"involvedObject.uid={uid}")

    def table(self) -> dict[str, str]:
        """Return the object's row as ``kubectl get -o wide`` prints it."""
        return self.cluster.table(self.resource, self.name, self.namespace)

    def wait(self, until: Callable[[Object], bool], what: str, *, timeout: float | Bound) -> Object:
        """Watch the object until a condition holds and return it.

        :param what: the expectation in the failure message, such as "to be Ready".
        :param timeout: seconds in which the controller could have acted, or another :class:`~..timeouts.Bound`.
        :raises Unmet: if the condition does not hold within that time.
        """
        bound = timeout if isinstance(timeout, Bound) else self.timeouts.bound(timeout)
        done, last = self.cluster.wait(
            self.resource, self.name, self.namespace, lambda item: until(self._seen(item)), timeout=bound
        )
        last = last and self._seen(last)
        if not done or last is None:
            seen = f"{self.described(last)}{_about_retries(last, self.timeouts.retry)}"
            raise Unmet(f"expected {self} {what} within {bound}; {seen}")
        return last

    @contextlib.contextmanager
    def recorded(self) -> Iterator[list[Object]]:
        """Record each state of the object during the block: from the one at its beginning to the one at its end.

        The list is complete after the block, not within it.

        :raises Unmet: if the API server does not report these two states in time.
        """
        states: list[Object] = []
        types: list[str] = []
        interrupt = Interrupt()
        bound = self.timeouts.event

        def record() -> None:
            for type_, item in self.cluster.watch(
                self.resource, self.namespace, self.name, timeout=_LONGEST_RECORDING, interrupt=interrupt
            ):
                states.append(self._seen(item))
                types.append(type_)

        def wait_caught_up() -> None:
            present = self.cluster.find(self.resource, self.name, self.namespace)

            def caught_up() -> bool:
                if present is None:
                    return types[-1:] in ([], ["DELETED"])
                return bool(types) and _version(states[-1]) >= _version(present)

            if not poll(lambda: caught_up() or None, timeout=bound):
                raise Unmet(f"expected a watch to report the last state of {self} within {bound:g} s, saw older ones")

        with ThreadPoolExecutor(1) as pool:
            recording = pool.submit(record)
            try:
                wait_caught_up()
                yield states
                wait_caught_up()
            finally:
                interrupt.set()
                recording.result()

    def described(self, item: Object | None) -> str:
        """Describe the conditions of a state of the object, after what they advise to check."""
        listed = (item or {}).get("status", {}).get("conditions") or []
        ready = {"type": READY, "status": "True"}
        advised = self.advise([str(entry.get("message", "")) for entry in listed if not ready.items() <= entry.items()])
        return f"{f'{advice.MARK}{advised}; ' if advised else ''}{describe_conditions(item)}"

    def explain(self) -> str:
        """Describe its current conditions."""
        item = self.cluster.find(self.resource, self.name, self.namespace)
        return describe_conditions(item and self._seen(item))

    def wait_event(self, where: Callable[[Object], bool], what: str, *, timeout: float | None = None) -> Object:
        """Wait until an event about this object is recorded and return it.

        :param where: selects the event.
        :param what: the expectation in the failure message, such as "that reports its issuance".
        :param timeout: seconds; default: the timeout `event`.
        :raises Unmet: if there is no such event; the message lists the events that exist.
        """
        bound = self.timeouts.bound(timeout or self.timeouts.event)
        # The names of events are not known, so a watch would have to cover all events of the cluster.
        found = poll(lambda: next(filter(where, self.events()), None), timeout=bound, interval=0.05)
        if found is None:
            seen = "; ".join(f"{e.get('type')} {e.get('reason')}" for e in self.events()) or "none"
            raise Unmet(f"expected an event about {self} {what} within {bound}; its events: {seen}")
        return found

    def touch(self) -> None:
        """Change an annotation: the implementation reconciles the object again, but its generation stays."""
        stamp = datetime.now().isoformat()
        annotations = {"metadata": {"annotations": {"vault-issuer.test/touched": stamp}}}
        self.cluster.patch(self.resource, self.name, self.namespace, annotations)

    def _edit(self, edit: Callable[[Object], None]) -> None:
        def replace(item: Object) -> None:
            body = copy.deepcopy(item)
            edit(body)
            self.cluster.replace(self.resource, body)

        self._write(replace)

    def _write(self, write: Callable[[Object], object]) -> None:
        """Call `write` with the object as just read; repeat if the implementation wrote the object in between."""
        for _ in range(10):
            try:
                write(self.get())
            except ApiError as error:
                if error.code != 409:
                    raise
            else:
                return
        raise RuntimeError(f"{self} changed during each of ten attempts to update it")

    def delete(self) -> None:
        """Delete the object."""
        self.cluster.delete(self.resource, self.name, self.namespace)


def _because(what: str, why: str) -> str:
    return f"{what} ({why})" if why else what


def describe_conditions(item: Object | None) -> str:
    """Describe the conditions of an object."""
    if item is None:
        return "it does not exist"
    listed = item.get("status", {}).get("conditions") or []
    if not listed:
        return "its status has no conditions"
    return "its conditions: " + "; ".join(
        f"{c.get('type')}={c.get('status')} {c.get('reason', '')}: {c.get('message', '')!r}" for c in listed
    )


def is_current(item: Object, entry: Object) -> bool:
    """Whether a condition describes the object's current generation.

    ``observedGeneration`` is optional in the API. A condition without it counts as current.
    """
    seen = entry.get("observedGeneration") or item["metadata"].get("generation", 0)
    return bool(seen >= item["metadata"].get("generation", 0))


def current_status(item: Object) -> str:
    """Return the status of an issuer object's Ready condition for its current generation: ``True``, ``False``, or ''.

    Unknown, a missing condition and a condition of an older generation are not an answer yet:
    controllers built on issuer-lib set Ready=Unknown on each new issuer object first.
    """
    entry = condition(item, "Ready")
    status = entry.get("status")
    return str(status) if status in ("True", "False") and is_current(item, entry) else ""


#: What every object has.
_HEAD = {"apiVersion", "kind", "metadata"}


def _kept(sent: Any, stored: Any) -> bool:
    """Whether any value of an object was stored: unknown fields are dropped, and empty parents may remain."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return any(_kept(value, stored.get(key)) for key, value in sent.items())
    return bool(sent == stored)


def _deepest(sent: Object, path: str = "") -> list[str]:
    """Return the paths of the outermost objects with several fields."""
    if len(sent) != 1:
        return [path] if path else sorted(sent)
    (key, value), *_ = sent.items()
    inner = f"{path}.{key}" if path else key
    return _deepest(value, inner) if isinstance(value, dict) and value else [inner]


class Issuer(Handle):
    """An Issuer or ClusterIssuer of the implementation under test.

    :ivar vault: its configuration in the field names of cert-manager's API reference, whatever its shape is.
    """

    def __init__(
        self,
        cluster: Cluster,
        timeouts: Timeouts,
        kind: IssuerType,
        name: str,
        namespace: str | None,
        *,
        home: str = "",
        vault: dict[str, Any] | None = None,
        labels: dict[str, str] | None = None,
    ) -> None:
        super().__init__(cluster, timeouts, kind.resource, kind.kind, name, namespace)
        self.type = kind
        self.ready_condition = kind.ready_condition
        self.vault = vault or {}
        self._home = home
        self._labels = labels or {}
        self.companions = Companions(cluster, home, self._labels)
        self.advise = self._advise
        self._created = 0  # its resourceVersion at its creation, 0 before

    def create(self) -> Object:
        """Create the additional objects of its shape, then the issuer object; return it as stored.

        :raises InexpressibleError: if the shape cannot express a part of its configuration.
        :raises RefusedError: if the API server refuses one of them.
        """
        first, *others = self._render(self.vault)
        metadata = first["metadata"]
        labels = {**(metadata.get("labels") or {}), **self._labels}
        with blaming_the_implementation():
            self.companions.update(others)
            stored = self.cluster.create(self.resource, {**first, "metadata": {**metadata, "labels": labels}})
        self._created = int(stored["metadata"].get("resourceVersion", 0))
        return stored

    def _advise(self, messages: list[str]) -> str:
        def exist() -> bool:
            """Whether its Secrets exist, and no test has created or changed them since."""
            found = [self.cluster.find(SECRETS, name, self._home) for name in advice.secrets_of(self.vault) if name]
            return bool(found) and all(secret is not None and _version(secret) < self._created for secret in found)

        return advice.advice(messages, self._home, cluster_scoped=self.type.cluster_scoped, exist=exist)

    def probe(self) -> None:
        """Create it, and check that its CustomResourceDefinition knows its fields.

        :raises ConfigurationError: if the API server dropped all of them.
        :raises RefusedError: as :meth:`create`.
        """
        stored = self.create()
        sent = {key: value for key, value in self._render(self.vault)[0].items() if key not in _HEAD}
        if sent and not any(_kept(value, stored.get(key)) for key, value in sent.items()):
            raise ConfigurationError(
                f"the API server drops {', '.join(_deepest(sent))} of a {self.kind}: its CustomResourceDefinition has "
                "no such field",
                hint="state in [issuer] where the Vault configuration is: vault_at, or [issuer.shape]",
            )

    def _render(self, vault: dict[str, Any]) -> list[Object]:
        configuration = self.type.configuration(self.name, self.namespace, self._home, vault)
        first, *others = self.type.shape.render(configuration)
        check_names(configuration, others)
        return [first, *others]

    def touch(self) -> None:
        """Change an annotation, as of every object.

        :raises RefusedError: if the API server refuses the change.
        """
        with blaming_the_implementation():
            super().touch()

    def write_conditions(self, listed: list[Object]) -> None:
        """Write conditions, as of every object.

        :raises RefusedError: if the API server refuses them: the CRD may restrict their types, or have no status
            subresource.
        """
        with blaming_the_implementation(404):
            super().write_conditions(listed)

    def delete(self) -> None:
        """Delete it and the additional objects of its shape."""
        super().delete()
        self.companions.delete()

    @property
    def ref(self) -> dict[str, str]:
        """The ``issuerRef`` of a request to this issuer object."""
        return {"name": self.name, "kind": self.kind, "group": self.resource.group}

    @property
    def signer_name(self) -> str:
        """The ``signerName`` of a CertificateSigningRequest to this issuer object."""
        return self.type.signer_of(self.name, self.namespace)

    @property
    def audience(self) -> str:
        """The audience that the documentation names for this issuer object: ``vault://[namespace/]name``."""
        return f"vault://{self.namespace + '/' if self.namespace else ''}{self.name}"

    def wait_ready(self, why: str = "", *, timeout: float | None = None) -> Object:
        """Wait until it is Ready for its current generation; return it.

        :param why: the reason for the expectation, in the failure message: "its Secret exists now".
        """

        def ready(item: Object) -> bool:
            return current_status(item) == "True"

        return self.wait(ready, _because("to be Ready", why), timeout=timeout or self.timeouts.issuer)

    def wait_not_ready(self, why: str = "", *, timeout: float | None = None) -> Object:
        """Wait until its Ready condition is False for its current generation; return it.

        Unknown, a missing condition and a condition of an older generation are not an answer yet. A controller that
        gives no answer in time has at least not set it Ready.

        :param why: the reason for the expectation, in the failure message: "its Secret is missing".
        :raises Unmet: if Ready is True at the end, for any generation.
        """

        def not_ready(item: Object) -> bool:
            return current_status(item) == "False"

        try:
            return self.wait(not_ready, _because("to be not Ready", why), timeout=timeout or self.timeouts.issuer)
        except Unmet:
            item = self.cluster.find(self.resource, self.name, self.namespace)
            if item is None or condition(item, "Ready").get("status") == "True":
                raise
            return item

    def wait_answer(self) -> str:
        """Wait until the controller reports whether it is Ready.

        :return: :func:`current_status`; '' if the controller does not report in time.
        """
        try:
            item = self.wait(
                lambda item: bool(current_status(item)), "to be Ready or not", timeout=self.timeouts.issuer
            )
        except Unmet:
            item = self.get()
        return current_status(item)

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change its configuration and render all objects of its shape again.

        :param edit: changes the copy of :attr:`vault` that it gets; a field set to None is left out.
        :raises InexpressibleError: if the shape cannot express a part of the result.
        :raises RefusedError: if the API server refuses the result.
        """
        vault = copy.deepcopy(self.vault)
        edit(vault)
        vault = {key: value for key, value in vault.items() if value is not None}
        first, *others = self._render(vault)
        with blaming_the_implementation():
            self.companions.update(others)
            rewrite(self.cluster, (self.resource, self.name, self.namespace), first)
        self.vault = vault


class CertificateRequest(Handle):
    """A CertificateRequest and its key.

    :cvar decided_in: the subresource for approvals and denials.
    """

    decided_in = "status"

    def __init__(
        self, cluster: Cluster, timeouts: Timeouts, name: str, namespace: str, signing: SigningRequest
    ) -> None:
        super().__init__(cluster, timeouts, CERTIFICATE_REQUESTS, "CertificateRequest", name, namespace)
        self.signing = signing

    # -- approval ---------------------------------------------------------------

    def approve(self, **fields: str) -> None:
        """Approve it, as an approver does; `fields` replace fields of the condition, such as ``reason``."""
        self._decide("Approved", None, **fields)

    def approve_created(self, item: Object) -> None:
        """Approve it, without reading it first.

        :param item: the request as its creation returned it.
        """
        self._decide("Approved", item)

    def deny(self, **fields: str) -> None:
        """Deny it, as an approver does; `fields` replace fields of the condition."""
        self._decide("Denied", None, **fields)

    def _decide(self, kind: str, item: Object | None, **fields: str) -> None:
        item = item or self.get()
        if condition(item, kind).get("status") == "True":
            return  # the implementation's own approver was faster
        try:
            decide(self.cluster, self.resource, item, kind, self.decided_in, **fields)
        except ApiError as error:
            if error.code == 422 and is_decided(item):
                raise Unmet(
                    f"expected the controller to leave the decision on {self} to others; {describe_conditions(item)}"
                ) from error
            if error.code != 409:
                raise
            self._decide(kind, None, **fields)  # the implementation changed it in between

    # -- waiting ------------------------------------------------------------------

    def wait_reason(self, *reasons: str, timeout: float | Bound | None = None) -> Object:
        """Wait until its Ready condition has one of these reasons: Pending, Issued, Failed, Denied."""
        return self.wait(
            lambda item: condition(item, "Ready").get("reason") in reasons,
            f"to become {' or '.join(reasons)}",
            timeout=timeout or self.timeouts.request,
        )

    def wait_issued(self, *, timeout: float | None = None) -> Object:
        """Wait until a certificate is issued: Ready is True and ``status.certificate`` is set.

        :raises Unmet: if it is not issued in time; immediately if it fails permanently.
        """

        def final(item: Object) -> bool:
            return _issued(item) or condition(item, "Ready").get("reason") in ("Failed", "Denied")

        item = self.wait(final, "to be issued", timeout=timeout or self.timeouts.request)
        if not _issued(item):
            raise Unmet(f"expected {self} to be issued, saw it fail; {self.described(item)}")
        return item

    def wait_failed(self, *, timeout: float | None = None) -> Object:
        """Wait until it has failed permanently (Ready False, reason Failed).

        :raises Unmet: if it does not fail in time; immediately if it is issued.
        """

        def final(item: Object) -> bool:
            return _issued(item) or condition(item, "Ready").get("reason") == "Failed"

        item = self.wait(final, "to fail", timeout=timeout or self.timeouts.request)
        if _issued(item):
            raise Unmet(f"expected {self} to fail, saw a certificate issued")
        return item

    def wait_pending(self, *, timeout: float | None = None) -> Object:
        """Wait until it is Pending.

        :raises Unmet: if it is not Pending in time; immediately if it is issued or fails.
        """
        item = self.wait(
            lambda item: condition(item, "Ready").get("reason") in ("Pending", "Failed", "Issued"),
            "to be Pending",
            timeout=timeout or self.timeouts.request,
        )
        if condition(item, "Ready").get("reason") != "Pending":
            raise Unmet(f"expected {self} to be Pending; {describe_conditions(item)}")
        return item

    # -- result ---------------------------------------------------------------------

    def certificates(self) -> list[x509.Certificate]:
        """The certificates in ``status.certificate``, in order ([] if there are none)."""
        return decode_certificates(self.get().get("status", {}).get("certificate"))

    def certificate(self) -> x509.Certificate:
        """The leaf: the first certificate in ``status.certificate``."""
        listed = self.certificates()
        if not listed:
            raise Unmet(f"expected a certificate in status.certificate of {self}, saw none")
        return listed[0]

    def ca(self) -> list[x509.Certificate]:
        """The certificates in ``status.ca`` ([] if it is empty)."""
        return decode_certificates(self.get().get("status", {}).get("ca"))


def _about_retries(item: Object | None, limit: float) -> str:
    """Return a hint about `[timing] retry` if the message of an object that is not ready mentions a retry."""
    found = condition(item or {}, READY)
    if found.get("status") == "True" or not _RETRIES.search(found.get("message", "")):
        return ""
    return f" (if it retries, or gives up, only after more than {limit:g} s, set retry in [timing])"


def _issued(item: Object) -> bool:
    return condition(item, "Ready").get("status") == "True" and bool(item.get("status", {}).get("certificate"))


def decode_certificates(encoded: str | None) -> list[x509.Certificate]:
    """Return the certificates of a base64 PEM field of a status ([] for an empty field).

    :raises Unmet: if the field is not base64 or not PEM.
    """
    if not encoded:
        return []

    try:
        return x509.load_pem_x509_certificates(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as error:
        raise Unmet(f"expected PEM certificates in the status, saw other content: {error}") from error
