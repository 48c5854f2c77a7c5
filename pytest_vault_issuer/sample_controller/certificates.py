"""Issues and renews the key and certificate in the Secret of each Certificate; a failure keeps the old ones."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from .cluster import CERTIFICATE_REQUESTS, CERTIFICATES, SECRETS, Cluster, Object
from .conditions import condition, is_true, now, remove_condition, set_condition, write_status
from .durations import seconds
from .events import record
from .issuer_references import issuer_resource, with_defaults
from .key_pairs import (
    ISSUED_AT,
    KeyPair,
    PrivateKey,
    build_csr,
    generate_key,
    key_to_pem,
    public_key_of,
    read_key,
    read_pair,
    usages,
)
from .watching import Key, Watcher, key_of
from .work_queue import WorkQueue

#: Annotation of Secrets and requests: a digest of the specification that they belong to.
ISSUED_FOR = "sample-controller.example.com/issued-for"
#: Annotation of Secrets: the name of their Certificate.
CERTIFICATE_NAME = "cert-manager.io/certificate-name"
#: Annotation of Secrets: the ``secretTemplate`` whose labels and annotations they have, in JSON.
TEMPLATE = "sample-controller.example.com/secret-template"
#: Annotations of Secrets that describe the certificate in them.
OWN = (CERTIFICATE_NAME, ISSUED_FOR, ISSUED_AT)
#: Fields of the specification that may change without a new certificate.
WITHOUT_CONSEQUENCE = (
    "secretName",
    "secretTemplate",
    "renewal",
    "renewBefore",
    "renewBeforePercentage",
    "revisionHistoryLimit",
)
#: Fields that are not understood.
UNSUPPORTED = ("keystores",)
#: Reasons to issue a certificate although the present one is good.
STILL_GOOD = ("Renewing", "ManuallyTriggered")
#: Seconds before the first retry of a failed issuance; each further delay is twice as long.
FIRST_RETRY = 3600.0
#: The longest delay in seconds.
LAST_RETRY = 32 * 3600.0

log = logging.getLogger(__name__)


class CertificateController:
    """Reconciles Certificates when they, their Secrets or their requests change, and when they are due.

    :param issuers: the watchers of the kinds of issuers; Certificates of others are left alone.
    """

    def __init__(
        self, cluster: Cluster, certificates: Watcher, requests: Watcher, secrets: Watcher, issuers: list[Watcher]
    ) -> None:
        self.queue: WorkQueue[Key] = WorkQueue()
        self._cluster = cluster
        self._certificates = certificates
        self._kinds = [watcher.resource for watcher in issuers]
        certificates.on_change(self._certificate_changed)
        requests.on_change(self._request_changed)
        secrets.on_change(self._secret_changed)

    def _certificate_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.queue.add(key_of(new))

    def _request_changed(self, old: Object | None, new: Object | None) -> None:
        metadata = (new or old or {})["metadata"]
        for owner in metadata.get("ownerReferences") or []:
            if owner["kind"] == CERTIFICATES.kind:
                self.queue.add((metadata["namespace"], owner["name"]))

    def _secret_changed(self, old: Object | None, new: Object | None) -> None:
        metadata = (new or old or {})["metadata"]
        for certificate in self._certificates.items():
            if certificate["metadata"]["namespace"] != metadata["namespace"]:
                continue
            if certificate["spec"]["secretName"] == metadata["name"]:
                self.queue.add(key_of(certificate))

    def reconcile(self, key: Key) -> None:
        """Issue or renew the certificate of a Certificate if needed, and write its status."""
        certificate = self._cluster.find(CERTIFICATES, *key)
        if certificate is None or "deletionTimestamp" in certificate["metadata"]:
            return
        if issuer_resource(self._kinds, certificate["spec"]["issuerRef"]) is None:
            return
        problem = self._problem(certificate)
        if problem:
            self._give_up(certificate, problem)
            return
        secret = self._cluster.find(SECRETS, key[0], certificate["spec"]["secretName"])
        pair = read_pair(secret)
        reason = why_issue(certificate, secret, pair)
        self._write(certificate, lambda latest: set_validity(latest, pair, reason))
        if not reason and pair is not None:
            self._update_labels(certificate, secret)
            end = renewal_time(certificate, pair) if renews(certificate) else pair.leaf.not_valid_after_utc
            due = end - _now()
            self.queue.add(key, delay=max(0.0, due.total_seconds()))
        elif seconds_to_retry(certificate) > 0:
            self.queue.add(key, delay=seconds_to_retry(certificate))
        else:
            self._issue(certificate, secret, pair, reason)

    def _problem(self, certificate: Object) -> str:
        """Return why a Certificate is not supported, '' if it is."""
        spec = certificate["spec"]
        for field in UNSUPPORTED:
            if spec.get(field):
                return f"{field} is not supported"
        try:
            seconds(spec.get("renewBefore") or "0s")
        except ValueError:
            return "renewBefore is no duration"
        namespace = certificate["metadata"]["namespace"]
        secret = self._cluster.find(SECRETS, namespace, spec["secretName"])
        owner = annotation(secret, CERTIFICATE_NAME) if secret else ""
        is_others = bool(owner) and owner != certificate["metadata"]["name"]
        if is_others and self._cluster.find(CERTIFICATES, namespace, owner) is not None:
            return f"the Secret {spec['secretName']} is that of the Certificate {owner}"
        return ""

    def _give_up(self, certificate: Object, problem: str) -> None:
        self._write(certificate, lambda latest: set_ready(latest, "False", "Unsupported", problem))

    # -- issuing --------------------------------------------------------------------------

    def _issue(self, certificate: Object, secret: Object | None, pair: KeyPair | None, reason: str) -> None:
        """Take the next step of an issuance: create the key, create the request, or handle its result."""
        self._write(certificate, lambda latest: set_issuing(latest, reason))
        try:
            key = self._next_key(certificate, secret)
            request = self._request(certificate, key, pair)
        except (KeyError, ValueError) as error:
            self._failed(certificate, f"the specification cannot be requested: {error}")
            return
        outcome = condition(request, "Ready")
        if outcome.get("reason") == "Issued":
            self._issued(certificate, key, request)
        elif outcome.get("reason") in ("Failed", "Denied"):
            self._failed(certificate, outcome.get("message", ""))
        elif is_true(request, "InvalidRequest"):
            self._failed(certificate, condition(request, "InvalidRequest").get("message", ""))

    def _next_key(self, certificate: Object, secret: Object | None) -> PrivateKey:
        """Return the key to issue for: the present one if it is kept, otherwise a new one in a Secret of its own."""
        spec = certificate["spec"].get("privateKey") or {}
        present = read_key(secret)
        if spec.get("rotationPolicy") == "Never" and present is not None:
            return present
        namespace, name = certificate["metadata"]["namespace"], next_key_name(certificate)
        stored = self._cluster.find(SECRETS, namespace, name)
        if stored is not None and annotation(stored, ISSUED_FOR) == digest(certificate):
            key = read_key(stored)
            if key is not None:
                return key
        if stored is not None:
            self._cluster.delete(SECRETS, namespace, name)
        key = generate_key(spec)
        body = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "type": "Opaque",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": {ISSUED_FOR: digest(certificate)},
                "ownerReferences": [owner_reference(certificate)],
            },
            "data": {"tls.key": base64.b64encode(key_to_pem(key, spec)).decode()},
        }
        self._cluster.create(SECRETS, namespace, body)
        return key

    def _request(self, certificate: Object, key: PrivateKey, pair: KeyPair | None) -> Object:
        """Return the CertificateRequest of the present issuance; create it if it is missing."""
        namespace, name = certificate["metadata"]["namespace"], request_name(certificate, key, pair)
        request = self._cluster.find(CERTIFICATE_REQUESTS, namespace, name)
        if request is not None:
            return request
        spec = certificate["spec"]
        asked = {
            "issuerRef": spec["issuerRef"],
            "request": base64.b64encode(build_csr(spec, key)).decode(),
            "usages": usages(spec),
            "isCA": spec.get("isCA"),
            "duration": spec.get("duration"),
        }
        body = {
            "apiVersion": CERTIFICATE_REQUESTS.api_version,
            "kind": CERTIFICATE_REQUESTS.kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": {CERTIFICATE_NAME: certificate["metadata"]["name"], ISSUED_FOR: digest(certificate)},
                "ownerReferences": [owner_reference(certificate)],
            },
            "spec": {field: value for field, value in asked.items() if value is not None},
        }
        record(self._cluster, CERTIFICATES, certificate, "Normal", "Requested", f"made the request {name}")
        return self._cluster.create(CERTIFICATE_REQUESTS, namespace, body)

    def _issued(self, certificate: Object, key: PrivateKey, request: Object) -> None:
        """Store a certificate, if it is valid."""
        spec = certificate["spec"].get("privateKey") or {}
        data = {
            "tls.key": base64.b64encode(key_to_pem(key, spec)).decode(),
            "tls.crt": request["status"]["certificate"],
            "ca.crt": request["status"].get("ca"),
        } | additional_formats(certificate["spec"], key, request["status"]["certificate"])
        pair = read_pair({"data": data})
        if pair is None or not pair.fits:
            self._failed(certificate, "the certificate is not for the key that was asked for")
            return
        if pair.leaf.not_valid_after_utc <= _now():
            self._failed(certificate, "the certificate has already expired")
            return
        pair = pair._replace(issued=_now())
        self._store(certificate, data, pair)
        self._write(certificate, lambda latest: set_succeeded(latest, pair))
        record(self._cluster, CERTIFICATES, certificate, "Normal", "Issued", "the certificate is stored")
        namespace = certificate["metadata"]["namespace"]
        self._cluster.delete(SECRETS, namespace, next_key_name(certificate))
        self._remove_requests(certificate, but=request)
        self.queue.add(key_of(certificate))

    def _store(self, certificate: Object, data: dict[str, str | None], pair: KeyPair) -> None:
        """Write the Secret of a Certificate, and keep the other data in it."""
        namespace, name = certificate["metadata"]["namespace"], certificate["spec"]["secretName"]
        template = certificate["spec"].get("secretTemplate") or {}
        body = self._cluster.find(SECRETS, namespace, name)
        present = body is not None
        if body is None:
            body = {
                "apiVersion": SECRETS.api_version,
                "kind": SECRETS.kind,
                "type": "kubernetes.io/tls",
                "metadata": {"name": name, "namespace": namespace},
            }
        own = {CERTIFICATE_NAME: certificate["metadata"]["name"], ISSUED_FOR: digest(certificate)}
        if pair.issued:
            own[ISSUED_AT] = pair.issued.isoformat()
        set_labels(body["metadata"], template, own)
        kept = (body.get("data") or {}) | data
        body["data"] = {field: value for field, value in kept.items() if value is not None}
        if present:
            self._cluster.replace(SECRETS, body)
        else:
            self._cluster.create(SECRETS, namespace, body)

    def _update_labels(self, certificate: Object, secret: Object | None) -> None:
        """Change the labels and annotations of the Secret as ``secretTemplate`` has changed."""
        if secret is None:
            return
        body = copy.deepcopy(secret)
        own = {name: value for name in OWN if (value := annotation(secret, name))}
        set_labels(body["metadata"], certificate["spec"].get("secretTemplate") or {}, own)
        if body != secret:
            self._cluster.replace(SECRETS, body)

    def _failed(self, certificate: Object, message: str) -> None:
        if self._write(certificate, lambda latest: set_failed(latest, message)):
            record(self._cluster, CERTIFICATES, certificate, "Warning", "Failed", message)
        self.queue.add(key_of(certificate), delay=FIRST_RETRY)

    def _remove_requests(self, certificate: Object, *, but: Object) -> None:
        """Remove the requests of earlier issuances."""
        for request in self._cluster.list_all(CERTIFICATE_REQUESTS, certificate["metadata"]["namespace"])[0]:
            owners = [owner["uid"] for owner in request["metadata"].get("ownerReferences") or []]
            if certificate["metadata"]["uid"] in owners and key_of(request) != key_of(but):
                self._cluster.delete(CERTIFICATE_REQUESTS, *key_of(request))

    def _write(self, certificate: Object, change: Callable[[Object], bool]) -> bool:
        return write_status(self._cluster, CERTIFICATES, certificate, change)


# -- what to do -----------------------------------------------------------------------------


def why_issue(certificate: Object, secret: Object | None, pair: KeyPair | None) -> str:
    """Return the reason to issue a certificate, '' for none."""
    if secret is None:
        return "DoesNotExist"
    if pair is None:
        return "MissingData"
    if not pair.fits:
        return "IncorrectKeyPair"
    if annotation(secret, ISSUED_FOR) != digest(certificate):
        return "ChangedSpecification"
    if pair.leaf.not_valid_after_utc <= _now():
        return "Expired"
    if renews(certificate) and renewal_time(certificate, pair) <= _now():
        return "Renewing"
    if condition(certificate, "Issuing").get("status") == "True":
        return "ManuallyTriggered"
    return ""


def renews(certificate: Object) -> bool:
    """Whether a certificate is renewed in time; its ``renewal`` may rule it out."""
    return (certificate["spec"].get("renewal") or {}).get("policy") != "Disabled"


def renewal_time(certificate: Object, pair: KeyPair) -> datetime:
    """Return the renewal time of a certificate: by default when a third of its lifetime is left.

    The lifetime starts when the certificate is stored. Otherwise the renewal of a backdated one could be due before.
    """
    start, end = pair.leaf.not_valid_before_utc, pair.leaf.not_valid_after_utc
    life = (end - max(start, pair.issued or start)).total_seconds()
    spec = certificate["spec"]
    left = life / 3
    if spec.get("renewBefore"):
        left = seconds(spec["renewBefore"])
    elif spec.get("renewBeforePercentage"):
        left = life * spec["renewBeforePercentage"] / 100
    if left >= life:
        left = life / 3
    return end - timedelta(seconds=left)


def seconds_to_retry(certificate: Object) -> float:
    """Return the seconds until a failed issuance is retried; a changed Certificate is retried at once."""
    status = certificate.get("status", {})
    issuing = condition(certificate, "Issuing")
    if issuing.get("status") != "False" or not status.get("lastFailureTime"):
        return 0.0
    if issuing.get("observedGeneration") != certificate["metadata"]["generation"]:
        return 0.0
    attempts = max(1, status.get("failedIssuanceAttempts") or 1)
    pause = min(FIRST_RETRY * 2.0 ** min(attempts - 1, 30), LAST_RETRY)
    failed = datetime.fromisoformat(status["lastFailureTime"])
    return float((failed + timedelta(seconds=pause) - _now()).total_seconds())


def additional_formats(spec: Object, key: PrivateKey, certificate: str) -> dict[str, str | None]:
    """Return the data of the Secret for ``additionalOutputFormats``.

    :param certificate: ``tls.crt`` in base64.
    """
    pem = key_to_pem(key, spec.get("privateKey") or {})
    wanted = {entry["type"] for entry in spec.get("additionalOutputFormats") or []}
    data: dict[str, str | None] = {"tls-combined.pem": None, "key.der": None}
    if "CombinedPEM" in wanted:
        data["tls-combined.pem"] = base64.b64encode(pem + b"\n" + base64.b64decode(certificate)).decode()
    if "DER" in wanted:
        data["key.der"] = "".join(pem.decode().splitlines()[1:-1])
    return data


def set_labels(metadata: Object, template: Object, own: dict[str, str]) -> None:
    """Write the labels and annotations of a Secret, without those that its ``secretTemplate`` no longer has.

    :param own: annotations that the template cannot change.
    """
    earlier = _earlier_template(metadata)
    for field in ("annotations", "labels"):
        kept = {
            name: value for name, value in (metadata.get(field) or {}).items() if name not in (earlier.get(field) or {})
        }
        metadata[field] = kept | (template.get(field) or {})
    metadata["annotations"] |= own | {TEMPLATE: json.dumps(template, sort_keys=True)}
    if not metadata["labels"]:
        del metadata["labels"]


def _earlier_template(metadata: Object) -> Object:
    try:
        earlier = json.loads((metadata.get("annotations") or {})[TEMPLATE])
    except (KeyError, ValueError):
        return {}
    return earlier if isinstance(earlier, dict) else {}


def digest(certificate: Object) -> str:
    """Return a digest of the fields of a Certificate that its certificate depends on."""
    spec = {field: value for field, value in certificate["spec"].items() if field not in WITHOUT_CONSEQUENCE}
    spec["issuerRef"] = with_defaults(spec["issuerRef"])
    key = {field: value for field, value in (spec.pop("privateKey", None) or {}).items() if field != "rotationPolicy"}
    return hashlib.sha256(json.dumps([spec, key], sort_keys=True).encode()).hexdigest()


def next_key_name(certificate: Object) -> str:
    """Return the name of the Secret with the key of an unfinished issuance."""
    metadata = certificate["metadata"]
    return f"{metadata['name'][:200]}-{metadata['uid'][:8]}-next"


def request_name(certificate: Object, key: PrivateKey, pair: KeyPair | None) -> str:
    """Return the name of an issuance's request, which is the same during one issuance."""
    metadata = certificate["metadata"]
    attempts = certificate.get("status", {}).get("failedIssuanceAttempts") or 0
    replaced = pair.leaf.serial_number if pair else 0
    parts = [metadata["uid"], digest(certificate), public_key_of(key).hex(), str(attempts), str(replaced)]
    return f"{metadata['name'][:200]}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:10]}"


def owner_reference(certificate: Object) -> Object:
    """Return the owner reference that deletes an object together with its Certificate."""
    metadata = certificate["metadata"]
    return {
        "apiVersion": CERTIFICATES.api_version,
        "kind": CERTIFICATES.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def annotation(item: Object, name: str) -> str:
    """Return an annotation of an object, '' if it has none."""
    return str((item["metadata"].get("annotations") or {}).get(name) or "")


def _now() -> datetime:
    return datetime.now(UTC)


# -- what the status says ---------------------------------------------------------------------


def set_ready(certificate: Object, status: str, reason: str, message: str) -> bool:
    """Set the condition Ready; return whether that changes anything."""
    generation = certificate["metadata"]["generation"]
    return set_condition(certificate, "Ready", status, reason, message, generation=generation)


def set_validity(certificate: Object, pair: KeyPair | None, reason: str) -> bool:
    """Write whether the Secret has a valid certificate, and until when; return whether that changes anything.

    :param reason: to issue a certificate, '' for none.
    """
    if pair is None or (reason and reason not in STILL_GOOD):
        return set_ready(certificate, "False", reason, "There is no certificate as it is specified")
    status = certificate.setdefault("status", {})
    times = {
        "notBefore": _time(pair.leaf.not_valid_before_utc),
        "notAfter": _time(pair.leaf.not_valid_after_utc),
        "renewalTime": _time(renewal_time(certificate, pair)) if renews(certificate) else None,
    }
    known = {field: status.get(field) for field in times}
    status.update(times)
    changed = set_ready(certificate, "True", "Ready", "The certificate is stored and valid")
    return changed or known != times


def set_issuing(certificate: Object, reason: str) -> bool:
    """Write that a certificate is being issued, and why; return whether that changes anything."""
    if condition(certificate, "Issuing").get("status") == "True":
        return False
    generation = certificate["metadata"]["generation"]
    return set_condition(certificate, "Issuing", "True", reason, "A certificate is being issued", generation=generation)


def set_succeeded(certificate: Object, pair: KeyPair) -> bool:
    """Write that an issuance succeeded."""
    status = certificate.setdefault("status", {})
    status["revision"] = (status.get("revision") or 0) + 1
    for field in ("lastFailureTime", "failedIssuanceAttempts", "nextPrivateKeySecretName"):
        status.pop(field, None)
    remove_condition(certificate, "Issuing")
    set_validity(certificate, pair, "")
    return True


def set_failed(certificate: Object, message: str) -> bool:
    """Write that an issuance failed, and why."""
    status = certificate.setdefault("status", {})
    status["lastFailureTime"] = now()
    status["failedIssuanceAttempts"] = (status.get("failedIssuanceAttempts") or 0) + 1
    generation = certificate["metadata"]["generation"]
    set_condition(certificate, "Issuing", "False", "Failed", message, generation=generation)
    return True


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
