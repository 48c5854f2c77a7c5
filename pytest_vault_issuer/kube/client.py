"""A small client for the Kubernetes API: objects are dictionaries, and it waits on watches.

The official client reads kubeconfigs with exec plugins, refreshed tokens or embedded data. The calls use requests,
because a conformance suite needs what generated clients hide: objects exactly as sent, Tables as kubectl prints them,
and watches that end at a deadline.
"""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import requests
import urllib3

from ..errors import ConfigurationError, StackError
from ..sessions import ApiAdapter, ApiSession
from ..timeouts import Bound, Timeouts
from .kubeconfig import check_trust, read_connection, unusable
from .stream import Stream, version_of

Object = dict[str, Any]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
FIELD_MANAGER = "vault-issuer"
#: The API server answers 429 with Retry-After while it is overloaded, or creates the storage of a new CRD. It did not
#: perform the call, so that the client repeats it, as the clients of Kubernetes do:
#: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
TOO_EARLY = 429
#: The API server sends no pages; a proxy or a login page in front of it does.
_PAGE = "text/html"
#: Maximum number of tries of a call.
_TRIES = 10
#: Seconds of one request of a watch; another one follows. A load balancer may drop an idle one without a sign.
_LONGEST_WATCH = 60.0
#: Seconds; a watch needs a limit.
_FOREVER = 24 * 3600.0


class ApiError(StackError):
    """The Kubernetes API refused a call.

    :ivar code: the HTTP status; :ivar reason: the Status object's reason.
    """

    def __init__(self, call: str, code: int, status: Object) -> None:
        self.code = code
        self.reason = str(status.get("reason", ""))
        super().__init__(
            f"{call}: {code} {status.get('message', self.reason)}",
            hint="" if code != TOO_EARLY else "the API server is overloaded: try again later",
        )

    @property
    def denied_by_webhook(self) -> bool:
        """Whether an admission webhook denied the call; it chooses the code (k8s.io/apiserver, webhook/errors)."""
        return 'admission webhook "' in self.message and "denied the request" in self.message

    @property
    def failed_webhook(self) -> bool:
        """Whether the API server could not call a webhook, for admission or for conversion."""
        return "failed calling webhook" in self.message or "conversion webhook for" in self.message


@dataclass(frozen=True)
class Resource:
    """A resource type: group ('' for core), version, plural name, and whether its objects have a namespace."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, an object or a subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/" + "/".join(quote(p, safe=":") for p in [*parts, self.plural, *(p for p in (name, subresource) if p)])


NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
SECRETS = Resource("", "v1", "secrets")
CONFIG_MAPS = Resource("", "v1", "configmaps")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
EVENTS = Resource("", "v1", "events")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings")
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", namespaced=False)
SUBJECT_ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)
WEBHOOK_CONFIGURATIONS = tuple(
    Resource("admissionregistration.k8s.io", "v1", plural, namespaced=False)
    for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
)
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
CERTIFICATE_REQUESTS = Resource("cert-manager.io", "v1", "certificaterequests")
CERTIFICATES = Resource("cert-manager.io", "v1", "certificates")
CSRS = Resource("certificates.k8s.io", "v1", "certificatesigningrequests", namespaced=False)


@dataclass(frozen=True)
class Kubernetes:
    """One Kubernetes API.

    :ivar kubeconfig: path of a kubeconfig with the permissions that the suite needs.
    :ivar context: its context; None for the current one.
    :ivar url_for_vault: URL at which Vault sends TokenReviews to the API server.
    :ivar ca_pem: CA certificate of the API server.
    :ivar audit_log: path of the API server's audit log (JSON lines); None if it cannot be read.
    """

    kubeconfig: str
    url_for_vault: str
    ca_pem: str
    context: str | None = None
    audit_log: str | None = None


class Interrupt:
    """Ends a watch that another thread reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._response: requests.Response | None = None
        self._set = False

    @property
    def is_set(self) -> bool:
        """Whether the watch must end."""
        return self._set

    def set(self) -> None:
        """End the watch, also while it waits for an event."""
        with self._lock:
            self._set = True
            self._end()

    @contextlib.contextmanager
    def reads(self, response: requests.Response) -> Iterator[None]:
        """Let :meth:`set` end the reading of a response."""
        with self._lock:
            self._response = response
            if self._set:
                self._end()
        try:
            yield
        finally:
            with self._lock:
                self._response = None

    def _end(self) -> None:
        # At any moment, the reader may reach the end of the response itself, and release or close the connection.
        connection = self._response.raw.connection if self._response is not None else None
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                # Shut down only the TCP connection: without TLS, the reader would read encrypted bytes as the response.
                socket.socket.shutdown(sock, socket.SHUT_RD)


class _Adapter(ApiAdapter):
    """Connects to a server whose certificate has another host name than its URL (``tls-server-name``)."""

    def __init__(self, server_name: str) -> None:
        names = ("server_hostname", "assert_hostname")
        self._names: dict[str, Any] = dict.fromkeys(names, server_name) if server_name else {}
        super().__init__(pool_maxsize=32)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **{**options, **self._names})

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **{**options, **self._names})


#: Installs the official client, which runs the credential plugins of kubeconfigs.
EXTRA = "pip install 'pytest-vault-issuer[kubeconfig]'"


def _official_configuration(kubeconfig: Path, context: str | None, special: Iterable[str] = ()) -> Any:
    """Return the configuration that the official client reads from a kubeconfig.

    :param special: the fields that need it.
    :raises ConfigurationError: if it cannot, or if the client is not installed.
    """
    try:
        # An extra, and 0.3 s of CPU time: import it only for a kubeconfig that needs it.
        from kubernetes import client, config
    except ImportError as error:
        raise ConfigurationError(
            f"the kubeconfig {kubeconfig} needs the package kubernetes, which is not installed, to read "
            + ", ".join(special),
            hint=f"run: {EXTRA}",
        ) from error

    configuration = client.Configuration()
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call, unused-ignore]
            config_file=str(kubeconfig),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except Exception as error:  # the plugins that the client runs may raise any error
        raise unusable(kubeconfig, str(error) or type(error).__name__) from error
    return configuration


class Cluster:
    """A client of one Kubernetes API, with the permissions of one kubeconfig.

    :param kubeconfig: path of the kubeconfig; never the ambient one.
    :param context: name of the context; default: its current one.
    :param timeouts: default: those of a scale of 1.
    :raises ConfigurationError: if the kubeconfig cannot be read.
    """

    def __init__(self, kubeconfig: Path, *, context: str | None = None, timeouts: Timeouts | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.timeouts = timeouts or Timeouts()
        #: Connection settings of the kubeconfig.
        self.connection = read_connection(kubeconfig, context)
        self._configuration = self.connection.plain or _official_configuration(
            kubeconfig, context, self.connection.special
        )
        if self._configuration.ssl_ca_cert:
            check_trust(kubeconfig, self._configuration.ssl_ca_cert)
        self.server: str = self._configuration.host
        self._headers: dict[str, str] = {}
        self._announce: Callable[[Resource], None] = lambda _: None
        #: Labels of the objects whose changes this client follows; {} for none.
        self.mark: dict[str, str] = {}
        self._versions: dict[tuple[Resource, str | None, str], int] = {}
        self._streams: dict[Resource, Stream] = {}
        self._starting = threading.Lock()
        self._session = ApiSession()
        if self.connection.proxy_url:
            self._session.proxies = dict.fromkeys(("http", "https"), self.connection.proxy_url)
        adapter = _Adapter(self.connection.server_name)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._session.verify = (self._configuration.ssl_ca_cert or True) if self._configuration.verify_ssl else False
        if self._configuration.cert_file and self._configuration.key_file:
            self._session.cert = (self._configuration.cert_file, self._configuration.key_file)
        elif self.connection.plugin and not self._bearer:
            # The client only logs the failure, and would continue without credentials.
            raise unusable(kubeconfig, "its exec plugin returns no credentials: run its command by hand")

    @property
    def ca_pem(self) -> str:
        """CA certificates of the kubeconfig; '' for the system trust store."""
        path = self._configuration.ssl_ca_cert
        return Path(path).read_text() if path else ""

    @property
    def _bearer(self) -> str:
        # All versions of the client use this name; the key in `api_key` differs between versions.
        bearer = self._configuration.auth_settings().get("BearerToken")
        return str((bearer and bearer["value"]) or "")

    def acting_as(self, user: str) -> Cluster:
        """Return a client that impersonates another user."""
        other = copy.copy(self)
        other._headers = {"Impersonate-User": user}
        return other

    def announcing(self, announce: Callable[[Resource], None]) -> Cluster:
        """Call `announce` with the resource type before each creation of an object; return this client."""
        self._announce = announce
        return self

    def marking(self, labels: dict[str, str]) -> Cluster:
        """Wait for objects that carry these labels with one watch for each type; return this client.

        No other client may create objects with these labels.
        """
        self.mark = labels
        return self

    def close(self) -> None:
        """Close the connections."""
        for stream in self._streams.values():
            stream.close()
        self._session.close()

    # -- calls ---------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: dict[str, Any] | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
        stream: bool = False,
        timeout: float | None = None,
    ) -> requests.Response:
        """Send one request and return the response. Repeat it after a 429, within the timeout.

        :param timeout: in seconds; default: that of the API in the table of timeouts.
        :raises ApiError: for a status of 400 or more.
        :raises StackError: if the API server does not answer, or if something else answers with an HTML page.
        """
        limit = timeout or self.timeouts.api
        deadline = time.monotonic() + limit
        headers = {"Accept": accept, "Content-Type": content_type, **self._headers}
        if bearer := self._bearer:
            headers["Authorization"] = bearer
        for tries in range(_TRIES):
            try:
                response = self._session.request(
                    method,
                    self.server + path,
                    data=json.dumps(body) if body is not None else None,
                    params=query,
                    headers=headers,
                    stream=stream,
                    timeout=limit,
                )
            except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:  # also for wrong files and addresses
                raise StackError(
                    f"the Kubernetes API at {self.server} does not answer: {error}",
                    hint="check that the cluster runs and that the kubeconfig is right",
                ) from error
            pause = _retry_after(response)
            if pause is None or tries == _TRIES - 1 or time.monotonic() + pause >= deadline:
                break
            response.close()
            threading.Event().wait(pause)
        if response.status_code >= 400:
            with response:
                if response.headers.get("Content-Type", "").startswith(_PAGE):
                    # The 404 of a proxy does not mean that the object is gone, nor its 403 that there is none.
                    self._foreign(method, path, f"{response.status_code} {response.text}")
                try:
                    status = response.json()
                except ValueError:
                    status = None
                if not isinstance(status, dict):  # the API server explains some refusals in plain text
                    status = {"message": response.text[:500]}
            raise ApiError(f"{method} {path}", response.status_code, status)
        return response

    def _json(self, method: str, path: str, **options: Any) -> Object:
        """Send one request, as :meth:`call` does, and return the object in its response.

        :raises StackError: if the response is not an object.
        """
        response = self.call(method, path, **options)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        return answer if isinstance(answer, dict) else self._foreign(method, path, response.text)

    def _entries(self, path: str, key: str, **options: Any) -> list[Object]:
        """Return the list of objects in a response.

        :raises StackError: if the response has no such list.
        """
        answer = self._json("GET", path, **options)
        entries = answer.get(key)
        if key in answer and entries is None:  # extensions written in Go answer with null for an empty list
            return []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._foreign("GET", path, json.dumps(answer))
        return entries

    def _foreign(self, method: str, path: str, answer: str) -> NoReturn:
        raise StackError(
            f"{self.server} does not answer {method} {path} as a Kubernetes API does: {answer[:100]!r}",
            hint="check the server in the kubeconfig",
        )

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """Return one object. :raises ApiError: 404 if there is none."""
        return self._noted(resource, self._json("GET", resource.path(namespace, name)))

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """Return one object; None if there is none."""
        try:
            return self.get(resource, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Return the objects of a namespace (None: of all) that match a label and a field selector."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        return self._entries(resource.path(namespace), "items", query=query)

    def create(self, resource: Resource, body: Object) -> Object:
        """Create an object and return it as stored."""
        self._announce(resource)
        path = resource.path(body["metadata"].get("namespace"))
        return self._noted(resource, self._json("POST", path, body=body))

    def create_namespace(self, name: str, labels: dict[str, str]) -> None:
        """Create a namespace."""
        metadata = {"name": name, "labels": labels}
        self.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def apply(self, resource: Resource, body: Object) -> Object:
        """Create or change an object by server-side apply, as field manager ``vault-issuer``."""
        self._announce(resource)
        metadata = body["metadata"]
        result = self._json(
            "PATCH",
            resource.path(metadata.get("namespace"), metadata["name"]),
            body=body,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
        )
        return self._noted(resource, result)

    def replace(self, resource: Resource, body: Object) -> Object:
        """Replace an object. :raises ApiError: 409 if it has changed in the meantime."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"])
        return self._noted(resource, self._json("PUT", path, body=body))

    def patch(
        self, resource: Resource, name: str, namespace: str | None, body: Any, *, subresource: str | None = None
    ) -> Object:
        """Change an object with a JSON merge patch (a dict) or a JSON patch (a list)."""
        kind = "application/json-patch+json" if isinstance(body, list) else "application/merge-patch+json"
        path = resource.path(namespace, name, subresource)
        return self._noted(resource, self._json("PATCH", path, body=body, content_type=kind))

    def _noted(self, resource: Resource, item: Object) -> Object:
        """Note the version of an object that this client follows, and return the object."""
        metadata = item.get("metadata") or {}
        if self.mark and self.mark.items() <= (metadata.get("labels") or {}).items():
            self._versions[resource, metadata.get("namespace"), metadata["name"]] = version_of(item)
        return item

    def delete(self, resource: Resource, name: str, namespace: str | None = None, *, uid: str = "") -> None:
        """Delete an object, if it exists.

        :param uid: uid of the object; another object of the same name is not deleted. '' for any.
        :raises StackError: also if the answer is not that of a Kubernetes API, so that the object may still exist.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self._json("DELETE", resource.path(namespace, name), body=body)
        except ApiError as error:
            if error.code != 404 and not (
                uid and error.code == 409 and self._is_another(resource, name, namespace, uid)
            ):
                raise

    def _is_another(self, resource: Resource, name: str, namespace: str | None, uid: str) -> bool:
        """Whether the object of a uid no longer exists. A 409 may also mean that it is already being deleted."""
        found = self.list(resource, namespace, fields=f"metadata.name={name}")
        return not found or found[0]["metadata"]["uid"] != uid

    def table(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, str]:
        """Return the row of one object as ``kubectl get -o wide`` prints it: cells by upper-case column."""
        answer = self._json("GET", resource.path(namespace, name), accept=TABLE)
        columns = [column["name"].upper() for column in answer["columnDefinitions"]]
        return dict(zip(columns, (str(cell) for cell in answer["rows"][0]["cells"]), strict=True))

    def create_token(
        self, service_account: str, namespace: str, *, audiences: Iterable[str] = (), seconds: int = 3600
    ) -> str:
        """Return a token of a ServiceAccount from the TokenRequest API; `seconds` must be at least 600."""
        spec = {"audiences": list(audiences), "expirationSeconds": seconds}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = SERVICE_ACCOUNTS.path(namespace, service_account, "token")
        token: str = self._json("POST", path, body=body)["status"]["token"]
        return token

    # -- waiting -------------------------------------------------------------

    def watch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str | None,
        *,
        timeout: float | Bound,
        labels: str = "",
        interrupt: Interrupt | None = None,
    ) -> Iterator[tuple[str, Object]]:
        """Yield pairs of event type and object, the present state first.

        :param name: name of one object; None watches all objects of the namespace.
        :param timeout: in seconds.
        :param labels: a label selector; '' for all objects.
        :param interrupt: ends the watch before the timeout.
        """
        bound = timeout if isinstance(timeout, Bound) else Bound(timeout)
        fields = f"metadata.name={name}" if name else ""
        interrupt = interrupt or Interrupt()
        version = ""
        while (left := min(bound.left(), _LONGEST_WATCH)) > 0 and not interrupt.is_set:
            query = {
                "watch": "true",
                "fieldSelector": fields,
                "labelSelector": labels,
                "resourceVersion": version,
                "timeoutSeconds": max(1, int(left) + 1),
            }
            try:
                response = self.call("GET", resource.path(namespace), query=query, stream=True, timeout=left + 2)
                with response, interrupt.reads(response):
                    # A chunk is an event: read it when it arrives, not when a buffer is full.
                    for line in response.iter_lines(chunk_size=None):
                        event = json.loads(line)
                        if event["type"] == "ERROR":  # the resourceVersion is too old
                            version = ""
                            break
                        version = event["object"]["metadata"]["resourceVersion"]
                        yield event["type"], event["object"]
                        if interrupt.is_set or bound.left() <= 0:
                            return
            except (requests.RequestException, urllib3.exceptions.HTTPError):
                continue  # the connection broke, or the read timed out: resume from the last version

    def wait(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        until: Callable[[Object], bool],
        *,
        timeout: float | Bound,
    ) -> tuple[bool, Object | None]:
        """Watch one object until a condition is true.

        :param timeout: in seconds.
        :return: whether it became true, and the last state of the object (None: it does not exist).
        """
        bound = timeout if isinstance(timeout, Bound) else Bound(timeout)
        version = self._versions.get((resource, namespace, name))
        if version is not None:
            found = self._stream(resource).wait((namespace, name), version, until, bound=bound)
            if found is not None:
                return found if found[0] else self._checked(resource, name, namespace, until, found)
        last: Object | None = None
        for kind, item in self.watch(resource, namespace, name, timeout=bound):
            last = None if kind == "DELETED" else item
            if last is not None and until(last):
                return True, last
        return False, last

    def _stream(self, resource: Resource) -> Stream:
        """Return the stream of the objects of a type that this client follows; start it if there is none."""
        with self._starting:
            stream = self._streams.get(resource)
            if stream is None or stream.ended:
                stream = self._streams[resource] = self._new_stream(resource)
            return stream

    def _new_stream(self, resource: Resource) -> Stream:
        interrupt = Interrupt()
        selector = ",".join(f"{name}={value}" for name, value in self.mark.items())

        def watch() -> Iterator[tuple[str, Object]]:
            return self.watch(resource, None, None, timeout=_FOREVER, labels=selector, interrupt=interrupt)

        return Stream(watch, interrupt.set)

    def _checked(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        until: Callable[[Object], bool],
        found: tuple[bool, Object | None],
    ) -> tuple[bool, Object | None]:
        """Return what a wait found whose bound has expired; read the object, in case that the watch stalled."""
        present = self.find(resource, name, namespace)
        if present is None or (found[1] is not None and version_of(present) == version_of(found[1])):
            return False, present
        return until(present), present

    def wait_gone(self, resource: Resource, name: str, namespace: str | None, *, timeout: float) -> bool:
        """Watch one object until it is deleted, for at most `timeout` seconds; return whether it is."""
        if self.find(resource, name, namespace) is None:
            return True
        return any(kind == "DELETED" for kind, _ in self.watch(resource, namespace, name, timeout=timeout)) or (
            self.find(resource, name, namespace) is None
        )

    # -- discovery -----------------------------------------------------------

    def now(self) -> str:
        """Return the time of the API server in seconds, in the format of Kubernetes (RFC 3339)."""
        date = parsedate_to_datetime(self.call("GET", "/version").headers["Date"])
        return date.strftime("%Y-%m-%dT%H:%M:%SZ")

    @cached_property
    def version(self) -> str:
        """The API server's version, such as ``v1.36.3``."""
        answer = self._json("GET", "/version")
        if not isinstance(answer.get("gitVersion"), str):
            self._foreign("GET", "/version", json.dumps(answer))
        return str(answer["gitVersion"])

    def discover(self, api_version: str, kind: str) -> Resource:
        """Return the resource type of a kind.

        :raises StackError: if the API server does not serve it.
        """
        served = list(self._served_in(api_version))
        for resource, entry in served:
            if entry["kind"] == kind:
                return resource
        kinds = ", ".join(sorted({entry["kind"] for _, entry in served}))  # the order of the API changes
        raise StackError(
            f"the API server does not serve {kind} in {api_version}",
            hint=f"it serves {kinds}: check kind and cluster_kind in [issuer] of the implementation file"
            if kinds
            else "name the CustomResourceDefinitions in [run] crds of the implementation file, and check api_version",
        )

    def served(self, *verbs: str, failed: Callable[[str, StackError], None] | None = None) -> Iterator[Resource]:
        """Yield the resource types that support all verbs, each in the preferred version of its group.

        Types of an extension that does not answer are left out.

        :param failed: receives the API version whose types cannot be listed, and the error; the others are yielded.
        :raises StackError: if types cannot be listed, without `failed`.
        """
        groups = self._entries("/apis", "groups")
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        for api_version in versions:
            try:
                found = list(self._served_in(api_version, absent=(403, 404, 405, 503)))
            except StackError as error:
                if failed is None:
                    raise
                failed(api_version, error)
                continue
            yield from (resource for resource, entry in found if set(verbs) <= set(entry.get("verbs") or ()))

    def _served_in(self, api_version: str, absent: Iterable[int] = (404,)) -> Iterator[tuple[Resource, Object]]:
        """Yield the resource types of a version of a group, and the API server's description of each.

        :param absent: HTTP statuses that mean that there are none.
        """
        group, _, version = api_version.rpartition("/")
        try:
            entries = self._entries(f"/apis/{api_version}" if group else f"/api/{version}", "resources")
        except ApiError as error:
            if error.code not in absent:
                raise
            return
        for entry in entries:
            if "/" not in entry["name"]:
                yield Resource(group, version, entry["name"], bool(entry["namespaced"])), entry

    def located(self, body: Object, default_namespace: str) -> tuple[Resource, Object]:
        """Return the resource type of an object of a manifest, and the object with a namespace if its type has one."""
        resource = self.discover(body["apiVersion"], body["kind"])
        if resource.namespaced and "namespace" not in body["metadata"]:
            body = {**body, "metadata": {**body["metadata"], "namespace": default_namespace}}
        return resource, body

    def apply_manifest(self, body: Object, default_namespace: str = "default") -> Object:
        """Apply one object of a manifest; `default_namespace` replaces a missing namespace of a namespaced type."""
        return self.apply(*self.located(body, default_namespace))

    def install_crds(self, manifests: Iterable[Object], *, replace: bool = True) -> None:
        """Apply CustomResourceDefinitions and wait until the API server serves them.

        :param replace: whether to change those that exist.
        :raises StackError: if the API server does not establish one in time.
        """
        names = []
        for manifest in manifests:
            name = manifest["metadata"]["name"]
            there = None if replace else self.find(CRDS, name)
            if there is not None and is_established(there):
                continue  # without a watch: an existing cluster needs to permit only get
            names.append(name)
            if replace:
                self.apply(CRDS, manifest)
            elif there is None:
                try:
                    self.create(CRDS, manifest)
                except ApiError as error:
                    if error.reason != "AlreadyExists":
                        raise
        for name in names:
            done, _ = self.wait(CRDS, name, None, is_established, timeout=self.timeouts.component_start)
            if not done:
                limit = self.timeouts.component_start
                raise StackError(
                    f"the CustomResourceDefinition {name} was not established within {limit:g} s",
                    hint=f"see its conditions: kubectl describe crd {name}",
                )


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds to wait before the call is repeated; None if it is not repeated."""
    if response.status_code != TOO_EARLY:
        return None
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):  # the API server never sends a date
        return None


def is_established(crd: Object) -> bool:
    """Whether the API server serves a CustomResourceDefinition."""
    return condition(crd, "Established").get("status") == "True"


def has_condition(item: Object) -> bool:
    """Whether an object's status has a condition of any type."""
    return bool(item.get("status", {}).get("conditions"))


def condition(item: Object, kind: str) -> Object:
    """Return the condition of a type in an object's status; {} if there is none."""
    for entry in item.get("status", {}).get("conditions") or []:
        if entry.get("type") == kind:
            found: Object = entry
            return found
    return {}
