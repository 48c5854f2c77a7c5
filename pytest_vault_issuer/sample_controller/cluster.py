"""The Kubernetes API with plain dictionaries: the few calls that a controller makes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import urllib3

from .connection import of_pod, read_kubeconfig

Object = dict[str, Any]

#: Seconds to connect to the API server, and to wait for a response.
TIMEOUT = urllib3.Timeout(connect=10, read=30)
#: Seconds after which the API server ends a watch; it is then resumed.
WATCH_SECONDS = 300
#: Seconds to wait for the next line of a watch, which gets bookmarks about every minute.
WATCH_TIMEOUT = urllib3.Timeout(connect=10, read=150)
#: Calls that may be made at once before a limit of calls per second applies, as in client-go.
BURST = 10
#: How many connections to the API server are kept open, one for each thread.
CONNECTIONS = 100


class ClusterError(Exception):
    """The API server refused a call.

    :ivar code: its HTTP status, 0 if it was unreachable.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Resource:
    """A type of object, and how the API server serves it.

    :ivar metadata_only: request only the metadata, if objects are only watched for changes.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    metadata_only: bool = False

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection, an object or a subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [self.plural, name, subresource]
        return "/" + "/".join(part for part in parts if part)


SECRETS = Resource("", "v1", "Secret", "secrets", metadata_only=True)
SERVICE_ACCOUNTS = Resource("", "v1", "ServiceAccount", "serviceaccounts", metadata_only=True)
EVENTS = Resource("", "v1", "Event", "events")
CERTIFICATE_REQUESTS = Resource("cert-manager.io", "v1", "CertificateRequest", "certificaterequests")
CERTIFICATES = Resource("cert-manager.io", "v1", "Certificate", "certificates")
CERTIFICATE_SIGNING_REQUESTS = Resource(
    "certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", namespaced=False
)
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases")
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False
)


class RateLimit:
    """Spaces calls, as client-go does: a burst at once, then so many per second.

    :param rate: calls per second.
    """

    def __init__(self, rate: float, burst: int = BURST) -> None:
        self._interval = 1 / rate
        self._burst = burst
        self._next = time.monotonic() - burst * self._interval
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the turn of one call; return the seconds until it comes."""
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now - self._burst * self._interval) + self._interval
            return max(0.0, self._next - now)


class Cluster:
    """One Kubernetes API, with the permissions of a kubeconfig or of the pod's service account.

    :param kubeconfig: its path, '' inside a cluster.
    :param rate: calls per second after a burst; 0 for no limit.
    :raises ConnectionSettingsError: if neither is usable.
    """

    def __init__(self, kubeconfig: str, *, rate: float = 0.0) -> None:
        self._limit = RateLimit(rate) if rate else None
        self._configuration = read_kubeconfig(kubeconfig) if kubeconfig else of_pod()
        self._pool = urllib3.PoolManager(
            maxsize=CONNECTIONS,
            retries=False,
            cert_reqs="CERT_REQUIRED",
            ca_certs=self._configuration.ssl_ca_cert,
            cert_file=self._configuration.cert_file,
            key_file=self._configuration.key_file,
        )

    def discover(self, api_version: str, kind: str) -> Resource:
        """Return the resource of a kind.

        :raises ClusterError: if the API server does not serve it.
        """
        group, _, version = api_version.rpartition("/")
        listing = self._json("GET", f"/apis/{group}/{version}")
        for entry in listing["resources"]:
            if entry["kind"] == kind and "/" not in entry["name"]:
                return Resource(group, version, kind, entry["name"], entry["namespaced"])
        raise ClusterError(404, f"the API server does not serve {kind} in {api_version}")

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return an object from the API server, None if it does not exist."""
        try:
            return self._json("GET", resource.path(namespace, name))
        except ClusterError as error:
            if error.code == 404:
                return None
            raise

    def list_all(self, resource: Resource, namespace: str = "") -> tuple[list[Object], str]:
        """Return all objects of a type, in one namespace or all, and the resource version of the list."""
        response = self._json("GET", resource.path(namespace), accept=_accept(resource, "PartialObjectMetadataList"))
        items = response["items"] or []  # null if there are none
        return items, response["metadata"]["resourceVersion"]

    def watch(self, resource: Resource, version: str) -> Iterator[Object]:
        """Yield the watch events of a type since a resource version, until the API server ends the watch."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        accept = _accept(resource, "PartialObjectMetadata")
        response = self._send("GET", resource.path(), query=query, accept=accept, timeout=WATCH_TIMEOUT)
        try:
            for line in _lines(response):
                yield json.loads(line)
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(0, "the watch broke off") from error
        finally:
            response.close()

    def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Create an object and return it as stored."""
        return self._json("POST", resource.path(namespace), body=body)

    def replace(self, resource: Resource, item: Object) -> Object:
        """Write an object.

        :raises ClusterError: 409 if it has changed since it was read.
        """
        metadata = item["metadata"]
        return self._json("PUT", resource.path(metadata.get("namespace", ""), metadata["name"]), body=item)

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete an object, if it exists."""
        try:
            self._json("DELETE", resource.path(namespace, name))
        except ClusterError as error:
            if error.code != 404:
                raise

    def replace_status(self, resource: Resource, item: Object) -> Object:
        """Write an object's status.

        :raises ClusterError: 409 if the object has changed since it was read.
        """
        metadata = item["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"], "status")
        return self._json("PUT", path, body=item)

    def create_token(self, namespace: str, service_account: str, audiences: list[str], seconds: int) -> str:
        """Return a new token of a service account (the TokenRequest API)."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": audiences, "expirationSeconds": seconds},
        }
        response = self._json("POST", SERVICE_ACCOUNTS.path(namespace, service_account, "token"), body=body)
        token: str = response["status"]["token"]
        return token

    def _json(self, method: str, path: str, *, body: Object | None = None, accept: str = "application/json") -> Object:
        response = self._send(method, path, body=body, accept=accept)
        try:
            content: Object = json.loads(response.read())
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise ClusterError(0, "the API server's response broke off") from error
        finally:
            response.release_conn()
        return content

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: dict[str, str] | None = None,
        accept: str = "application/json",
        timeout: urllib3.Timeout = TIMEOUT,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": accept, "Content-Type": "application/json", "User-Agent": "sample-controller"}
        bearer = self._configuration.auth_settings().get("BearerToken")
        if bearer and bearer["value"]:
            headers["Authorization"] = bearer["value"]
        url = self._configuration.host + path
        if query:
            url += "?" + "&".join(f"{key}={value}" for key, value in query.items())
        content = json.dumps(body) if body is not None else None
        if self._limit is not None:
            time.sleep(self._limit.reserve())
        try:
            response = self._pool.request(
                method, url, body=content, headers=headers, timeout=timeout, preload_content=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(0, "the API server cannot be reached") from error
        if response.status >= 400:
            raise ClusterError(response.status, _message(response))
        return response


def _accept(resource: Resource, form: str) -> str:
    if resource.metadata_only:
        return f"application/json;as={form};g=meta.k8s.io;v=v1"
    return "application/json"


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield complete lines as they arrive."""
    rest = b""
    for chunk in response.stream(None):
        *complete, rest = (rest + chunk).split(b"\n")
        yield from complete


def _message(response: urllib3.BaseHTTPResponse) -> str:
    """Return the API server's message about a refused call."""
    try:
        status = json.loads(response.read())
    except (urllib3.exceptions.HTTPError, ValueError):
        status = {}
    finally:
        response.release_conn()
    return str(status.get("message") or f"the API server answered with status {response.status}")
