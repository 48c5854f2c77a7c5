"""Mistakes with namespaces and kinds, and between issuers."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

FIND = "    secret = cluster.find(SECRETS, namespace, name)\n"
ISSUER = "        issuer = self._cluster.find(resource, *_issuer_key(request, resource))\n"
READ_ISSUER = "    described = read_issuer(resource, issuer, cluster_resource_namespace)\n"
SIGN = "chain = sign(self._cluster, namespace, resource, issuer,"
NAMESPACE = "        namespace = self._cluster_resource_namespace\n"
KINDS = "        self._kinds = [watcher.resource for watcher in issuers]\n"
WORKERS = "start_workers({0}_controller.queue, {0}_controller.reconcile, options.workers)"
PROVE = """        with Vault(issuer, connection_context(self._cluster, issuer)) as vault:
            vault.check_health()
            obtain_token(self._cluster, issuer, vault)
"""


def looked_for_elsewhere(places: str) -> str:
    """A Secret that is missing is taken from the first of other places."""
    return FIND + f"    for other in {places}:\n        secret = secret or cluster.find(SECRETS, other, name)\n"


def same_name(also: str = "") -> str:
    """An issuer that is not found is taken from those of the same name."""
    return (
        ISSUER + "        if issuer is None:\n"
        '            name = request["spec"]["issuerRef"]["name"]\n'
        "            found = [item for watcher in self._watchers for item in watcher.items()\n"
        f'                     if item["metadata"]["name"] == name{also}]\n'
        "            issuer = found[0] if found else None\n"
    )


WATCHERS = Edit("certificate_requests.py", KINDS, KINDS + "        self._watchers = issuers\n")

DEFECTS: tuple[Defect, ...] = (
    defect(
        "secret-of-the-cluster-resource-namespace",
        "VI-SCOPE-001",
        "secret_values.py",
        FIND,
        looked_for_elsewhere('("sample-controller",)'),
        "Secrets that all namespaces share are in the issuer's own",
    ),
    defect(
        "secret-of-the-cluster-resource-namespace-first",
        "VI-SCOPE-001",
        "secret_values.py",
        FIND,
        '    secret = cluster.find(SECRETS, "sample-controller", name) or cluster.find(SECRETS, namespace, name)\n',
        "what the cluster's operator provides is to win",
        also=("VI-TLS-011", "VI-MTLS-002", "VI-CLIENTCERT-007"),
    ),
    defect(
        "secret-of-the-first-namespace",
        "VI-SCOPE-002",
        "secret_values.py",
        FIND,
        FIND + '    if secret is None and namespace == "sample-controller":\n'
        "        for item in cluster.list_all(SECRETS)[0]:\n"
        '            if item["metadata"]["name"] == name:\n'
        '                secret = cluster.find(SECRETS, item["metadata"]["namespace"], name)\n',
        "a cluster-scoped issuer is taken to have the Secrets of all namespaces",
        also=("VI-TLS-016", "VI-MTLS-002", "VI-CLIENTCERT-007"),
    ),
    defect(
        "secret-of-the-requests-namespace",
        "VI-SCOPE-002",
        "certificate_requests.py",
        NAMESPACE,
        NAMESPACE + "        if not resource.namespaced:\n"
        '            own, names = request["metadata"]["namespace"], secret_names(issuer["spec"]["vault"])\n'
        "            if names and all(self._cluster.find(SECRETS, own, name) for name in names):\n"
        "                namespace = own\n",
        "a request's namespace may bring credentials of its own",
        Edit(
            "certificate_requests.py",
            "from .configuration import vault_of\n",
            "from .configuration import secret_names, vault_of\n",
        ),
        Edit(
            "certificate_requests.py",
            "from .cluster import CERTIFICATE_REQUESTS, Cluster,",
            "from .cluster import CERTIFICATE_REQUESTS, SECRETS, Cluster,",
        ),
        also=("VI-CLIENTCERT-007",),
    ),
    defect(
        "waiting-requests-of-other-namespaces-forgotten",
        "VI-REQUEST-011",
        "certificate_requests.py",
        "            if is_final(request):\n                continue\n",
        "            if is_final(request):\n                continue\n"
        '            if request["metadata"]["namespace"] != new["metadata"].get("namespace"):\n'
        "                continue\n",
        "those that wait for a cluster-scoped issuer are nowhere near it",
        also=("VI-SCOPE-003",),
    ),
    defect(
        "cluster-issuer-for-one-namespace",
        "VI-SCOPE-003",
        "certificate_requests.py",
        "        self._sign(request, resource, issuer)\n",
        "        if not resource.namespaced:\n"
        '            place = request["metadata"]["namespace"]\n'
        '            if self._served.setdefault(issuer["metadata"]["uid"], place) != place:\n'
        "                return\n"
        "        self._sign(request, resource, issuer)\n",
        "a cluster-scoped issuer is bound to the first namespace that it serves",
        Edit("certificate_requests.py", KINDS, KINDS + "        self._served: dict[str, str] = {}\n"),
    ),
    defect(
        "issuer-of-another-namespace",
        "VI-SCOPE-004",
        "certificate_requests.py",
        ISSUER,
        same_name(' and item["kind"] == resource.kind'),
        "issuers are looked up in a cache by their names",
        WATCHERS,
    ),
    defect(
        "issuer-of-another-namespace-by-an-annotation",
        "VI-SCOPE-004",
        "certificate_requests.py",
        ISSUER,
        same_name(' and item["kind"] == resource.kind and item["metadata"].get("namespace")').replace(
            "if issuer is None:", "if issuer is None and not is_final(request):"
        ),
        "a shared issuer of a team's other namespace is convenient",
        WATCHERS,
    ),
    defect(
        "issuer-of-another-kind-instead",
        "VI-SCOPE-005",
        "certificate_requests.py",
        ISSUER,
        ISSUER + "        if issuer is None:\n"
        "            for other in self._kinds:\n"
        "                if issuer is None:\n"
        "                    issuer = self._cluster.find(other, *_issuer_key(request, other))\n"
        "                    resource = other if issuer is not None else resource\n",
        "an issuer that is not found is looked for among the other kind",
    ),
    defect(
        "cluster-issuer-instead-where-no-kind-is-named",
        "VI-SCOPE-005",
        "certificate_requests.py",
        ISSUER,
        ISSUER + '        if issuer is None and not request["spec"]["issuerRef"].get("kind"):\n'
        "            resource = next(kind for kind in self._kinds if not kind.namespaced)\n"
        "            issuer = self._cluster.find(resource, *_issuer_key(request, resource))\n",
        "a request that names no kind is for whichever there is",
    ),
    defect(
        "no-kind-means-cluster-issuer",
        "VI-SCOPE-005",
        "issuer_references.py",
        'DEFAULT_KIND = "Issuer"',
        'DEFAULT_KIND = "ClusterIssuer"',
        "the kind that most clusters have",
    ),
    defect(
        "configuration-by-name-and-generation",
        "VI-SCOPE-005",
        "signing.py",
        READ_ISSUER,
        '    known = (issuer["metadata"]["name"], issuer["metadata"]["generation"])\n'
        "    if known not in _READ:\n"
        "        _READ[known] = read_issuer(resource, issuer, cluster_resource_namespace)\n"
        "    described = _READ[known]\n",
        "what was read is kept by the issuer's name, which another namespace and kind have too",
        Edit("signing.py", "def sign(\n", "_READ: dict[tuple[str, int], Issuer] = {}\n\n\ndef sign(\n"),
        also=("VI-SCOPE-004",),
    ),
    defect(
        "issuer-by-namespace-and-name",
        "VI-SCOPE-005",
        "certificate_requests.py",
        "        self._sign(request, resource, issuer)\n",
        '        known = issuer["metadata"]\n'
        '        place = (request["metadata"]["namespace"], known["name"], known["generation"])\n'
        "        self._sign(request, *self._known.setdefault(place, (resource, issuer)))\n",
        "issuers are kept by namespace and name, and the kind is forgotten",
        Edit(
            "certificate_requests.py",
            KINDS,
            KINDS + "        self._known: dict[tuple[str, str, int], tuple[Resource, Object]] = {}\n",
        ),
    ),
    defect(
        "login-by-mount",
        "VI-SCOPE-006",
        "credentials.py",
        '    return vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})\n',
        "    place = (issuer.server, mount, time.time() // 60)\n"
        "    if place not in _logins:\n"
        '        _logins[place] = vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})\n'
        "    return _logins[place]\n",
        "one login for each mount, whoever needs it",
        Edit("credentials.py", "TOKEN_SECONDS = 600\n", "TOKEN_SECONDS = 600\n_logins: dict[object, str] = {}\n"),
        Edit("credentials.py", "from typing import Any\n", "import time\nfrom typing import Any\n"),
        also=(
            "VI-KSECRETLESS-005",
            "VI-KSECRETLESS-013",
        ),
    ),
    defect(
        "path-of-the-server",
        "VI-SCOPE-006",
        "signing.py",
        "vault.sign(described.path, token,",
        "vault.sign(_PATHS.setdefault(described.server, described.path), token,",
        "one Vault, one path",
        Edit("signing.py", "def sign(\n", "_PATHS: dict[str, str] = {}\n\n\ndef sign(\n"),
        also=("VI-SCOPE-004", "VI-SCOPE-005", "VI-ROTATION-005"),
    ),
    defect(
        "lock-of-the-server-kept",
        "VI-SCOPE-007",
        "issuers.py",
        PROVE,
        "        lock = self._locks.setdefault(issuer.server, threading.Lock())\n"
        "        lock.acquire()\n"
        "        with Vault(issuer, connection_context(self._cluster, issuer)) as vault:\n"
        "            try:\n"
        "                vault.check_health()\n"
        "                obtain_token(self._cluster, issuer, vault)\n"
        "            finally:\n"
        "                lock.release()\n",
        "one check at a time for each Vault; the lock is kept when the CA bundle cannot be read",
        Edit(
            "issuers.py",
            "        self._cluster = cluster\n",
            "        self._cluster = cluster\n        self._locks = {}\n",
        ),
        Edit("issuers.py", "import logging\n", "import logging\nimport threading\n"),
    ),
    defect(
        "requests-one-after-the-other",
        "VI-SCOPE-008",
        "__main__.py",
        WORKERS.format("request"),
        WORKERS.format("request").replace("options.workers", "1"),
        "one worker is enough in the author's cluster",
    ),
    defect(
        "issuers-one-after-the-other",
        "VI-SCOPE-008",
        "__main__.py",
        WORKERS.format("issuer"),
        WORKERS.format("issuer").replace("options.workers", "1"),
        "one worker is enough in the author's cluster",
    ),
    defect(
        "vault-one-call-at-a-time",
        "VI-SCOPE-008",
        "vault.py",
        "        status, location, answer = self._request(method, url, headers, content)\n        if status in",
        "        with _LOCK:\n"
        "            status, location, answer = self._request(method, url, headers, content)\n        if status in",
        "the client is shared, and so locked",
        Edit("vault.py", "class Vault:\n", "_LOCK = threading.Lock()\n\n\nclass Vault:\n"),
        Edit("vault.py", "import ssl\n", "import ssl\nimport threading\n"),
    ),
    defect(
        "issuer-of-the-last-request",
        "VI-SCOPE-006",
        "signing.py",
        "    described = read_issuer(resource, issuer, cluster_resource_namespace)\n",
        "    described = _LAST[0] = read_issuer(resource, issuer, cluster_resource_namespace)\n",
        "what a request needs is kept where every worker puts it",
        Edit("signing.py", "vault.sign(described.path, token", "vault.sign(_LAST[0].path, token"),
        Edit("signing.py", "class RefusedError", "_LAST: dict[int, Issuer] = {}\n\n\nclass RefusedError"),
        also=("VI-REQUEST-015", "VI-SCOPE-004", "VI-SCOPE-005"),
    ),
)
