"""Mistakes with requested tokens of a service account."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

AUDIENCES = 'audiences = [*(reference.get("audiences") or []), issuer.audience, issuer.server]'
OF_ISSUER = '            return f"vault://{self.namespace}/{self.name}"\n'
OF_CLUSTER_ISSUER = '        return f"vault://{self.name}"\n'
REQUEST = '        jwt = _request_token(cluster, issuer, kubernetes["serviceAccountRef"])\n'
CREATE = '        return cluster.create_token(issuer.resource_namespace, reference["name"], audiences, TOKEN_SECONDS)\n'
REFUSED = (
    "        raise CredentialError(f\"no token for the service account {reference['name']}: {error}\") from error\n"
)
LOGIN = '    return vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})\n'
GOT = '        token = (answer.get("auth") or {}).get("client_token")\n'
NO_TOKEN = "        if not isinstance(token, str) or not token:\n"
SECONDS = "TOKEN_SECONDS = 600\n"
IMPORTS = "from typing import Any\n"
OWN_TOKEN = Edit(
    "cluster.py",
    "    def _json(self,",
    "    def own_token(self) -> str:\n"
    '        bearer = self._configuration.auth_settings()["BearerToken"]["value"]\n'
    '        return str(bearer.removeprefix("Bearer "))\n\n'
    "    def _json(self,",
)
ALL_AUDIENCES = ("VI-KSECRETLESS-011", "VI-JWT-002")


def jwt_remembered(key: str) -> str:
    return (
        f"        key = {key}\n"
        "        if key not in _jwts:\n"
        '            _jwts[key] = _request_token(cluster, issuer, kubernetes["serviceAccountRef"])\n'
        "        jwt = _jwts[key]\n"
    )


JWTS = Edit("credentials.py", SECONDS, SECONDS + "_jwts: dict[object, str] = {}\n")

DEFECTS: tuple[Defect, ...] = (
    defect(
        "ksecretless-stored-token-preferred",
        "VI-KSECRETLESS-001",
        "credentials.py",
        "    try:\n" + CREATE,
        "    stored = cluster.stored_token(issuer.resource_namespace, reference['name'])\n"
        "    if stored:\n"
        "        return stored\n"
        "    try:\n" + CREATE,
        "as it was before Kubernetes 1.24: the service account's Secret, where there is one",
        Edit(
            "cluster.py",
            "    def _json(self,",
            "    def stored_token(self, namespace: str, service_account: str) -> str:\n"
            '        for secret in self._json("GET", SECRETS.path(namespace))["items"] or []:\n'
            '            annotations = secret["metadata"].get("annotations") or {}\n'
            '            if annotations.get("kubernetes.io/service-account.name") == service_account:\n'
            '                return base64.b64decode((secret.get("data") or {}).get("token", "")).decode()\n'
            '        return ""\n\n'
            "    def _json(self,",
        ),
        Edit("cluster.py", "import json\n", "import base64\nimport json\n"),
    ),
    defect(
        "ksecretless-default-mount-of-jwt",
        "VI-KSECRETLESS-001",
        "credentials.py",
        '    mount = (kubernetes.get("mountPath") or "/v1/auth/kubernetes").strip("/")\n',
        '    default = "/v1/auth/kubernetes" if reference else "/v1/auth/jwt"\n'
        '    mount = (kubernetes.get("mountPath") or default).strip("/")\n',
        "requested tokens are thought of as JWTs for the JWT method",
    ),
    defect(
        "ksecretless-own-service-account",
        "VI-KSECRETLESS-001",
        "credentials.py",
        REQUEST,
        "        jwt = cluster.own_token()\n",
        "the issuer's own token is at hand, and was admitted by the author's Vault",
        OWN_TOKEN,
        also=(
            "VI-SCOPE-006",
            "VI-SPEC-001",
            "VI-ROTATION-002",
            "VI-HEALTH-002",
        ),
    ),
    defect(
        "audience-with-a-dot",
        "VI-KSECRETLESS-002",
        "configuration.py",
        OF_ISSUER,
        OF_ISSUER.replace("}/{", "}.{"),
        "namespace and name joined as in a signer's name",
        also=ALL_AUDIENCES,
    ),
    defect(
        "audience-cut-at-a-dot",
        "VI-KSECRETLESS-002",
        "configuration.py",
        OF_ISSUER,
        OF_ISSUER.replace("self.name}", "self.name.partition('.')[0]}"),
        "the name is taken to be one label of DNS",
    ),
    defect(
        "audience-without-the-namespace",
        "VI-KSECRETLESS-002",
        "configuration.py",
        "        if self.namespace:\n" + OF_ISSUER,
        "",
        "the audience of a ClusterIssuer for every issuer",
        also=ALL_AUDIENCES,
    ),
    defect(
        "audience-ends-in-a-slash",
        "VI-KSECRETLESS-002",
        "configuration.py",
        OF_ISSUER,
        OF_ISSUER.replace('.name}"', '.name}/"'),
        "a URL that is put together ends in a slash",
        also=ALL_AUDIENCES,
    ),
    defect(
        "audience-with-an-empty-namespace",
        "VI-KSECRETLESS-003",
        "configuration.py",
        OF_CLUSTER_ISSUER,
        '        return f"vault://{self.namespace}/{self.name}"\n',
        "one format for both: three slashes for a ClusterIssuer",
        also=ALL_AUDIENCES,
    ),
    defect(
        "audience-with-the-cluster-resource-namespace",
        "VI-KSECRETLESS-003",
        "configuration.py",
        OF_CLUSTER_ISSUER,
        '        return f"vault://{self.resource_namespace}/{self.name}"\n',
        "the namespace of the service account in the place of the issuer's",
        also=ALL_AUDIENCES,
    ),
    defect(
        "audience-in-both-forms-for-a-cluster-issuer",
        "VI-KSECRETLESS-003",
        "credentials.py",
        AUDIENCES,
        AUDIENCES + '\n    audiences.append(f"vault://{issuer.resource_namespace}/{issuer.name}")',
        "a second audience with the service account's namespace does no harm, it seems",
    ),
    defect(
        "ksecretless-an-hour",
        "VI-KSECRETLESS-004",
        "credentials.py",
        SECONDS,
        "TOKEN_SECONDS = 3600\n",
        "the lifetime that Kubernetes grants whoever names none",
    ),
    defect(
        "ksecretless-lifetime-not-named",
        "VI-KSECRETLESS-004",
        "cluster.py",
        '{"audiences": audiences, "expirationSeconds": seconds}',
        '{"audiences": audiences}',
        "the API server has a default, which is another",
    ),
    defect(
        "ksecretless-lifetime-with-a-margin",
        "VI-KSECRETLESS-004",
        "credentials.py",
        SECONDS,
        "TOKEN_SECONDS = 660\n",
        "a minute more for clocks that differ",
    ),
    defect(
        "ksecretless-jwt-for-each-issuer",
        "VI-KSECRETLESS-005",
        "credentials.py",
        REQUEST,
        jwt_remembered('(issuer.audience, kubernetes["serviceAccountRef"]["name"])'),
        "the token lives for ten minutes, so it is used for ten minutes",
        JWTS,
    ),
    defect(
        "ksecretless-jwt-for-a-second",
        "VI-KSECRETLESS-005",
        "credentials.py",
        REQUEST,
        jwt_remembered('(issuer.audience, kubernetes["serviceAccountRef"]["name"], time.time() // 2)'),
        "requests that come together share a token",
        JWTS,
        Edit("credentials.py", IMPORTS, "import time\n" + IMPORTS),
    ),
    defect(
        "ksecretless-login-remembered",
        "VI-KSECRETLESS-005",
        "credentials.py",
        LOGIN,
        "    if reference:\n"
        f"    {LOGIN}"
        '    key = (issuer.audience, mount, kubernetes["role"])\n'
        "    if key not in _logins:\n"
        '        _logins[key] = vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})\n'
        "    return _logins[key]\n",
        "a Vault token is kept for the next request",
        Edit("credentials.py", SECONDS, SECONDS + "_logins: dict[object, str] = {}\n"),
        also=("VI-KSECRETLESS-013",),
    ),
    defect(
        "ksecretless-jwt-in-a-temporary-file",
        "VI-KSECRETLESS-006",
        "credentials.py",
        REQUEST,
        REQUEST + '        with tempfile.NamedTemporaryFile("w", prefix="token-", delete=False) as file:\n'
        "            file.write(jwt)\n",
        "a library that wants the path of a token file, as pods have one",
        Edit("credentials.py", IMPORTS, "import tempfile\n" + IMPORTS),
    ),
    defect(
        "ksecretless-jwt-in-the-home-directory",
        "VI-KSECRETLESS-006",
        "credentials.py",
        REQUEST,
        REQUEST + '        cache = Path.home() / ".cache" / "sample-controller"\n'
        "        cache.mkdir(parents=True, exist_ok=True)\n"
        '        (cache / f"{issuer.name}.json").write_text(json.dumps({"jwt": jwt}))\n',
        "a cache for the time after a restart",
        Edit("credentials.py", IMPORTS, "import json\nfrom pathlib import Path\n" + IMPORTS),
    ),
    defect(
        "ksecretless-own-token-where-forbidden",
        "VI-KSECRETLESS-007",
        "credentials.py",
        REFUSED,
        "        if error.code == 403:\n            return cluster.own_token()\n" + REFUSED,
        "without the Role it is tried with the own service account's token",
        OWN_TOKEN,
    ),
    defect(
        "ksecretless-login-without-a-token-where-forbidden",
        "VI-KSECRETLESS-007",
        "credentials.py",
        REFUSED,
        '        return ""\n',
        "the error is Vault's to report",
        also=("VI-KSECRETLESS-009", "VI-KSECRETLESS-010"),
    ),
    defect(
        "ksecretless-forbidden-is-final",
        "VI-KSECRETLESS-008",
        "credentials.py",
        REFUSED,
        "        if error.code == 403:\n"
        '            raise InvalidConfigurationError("tokens of the service account may not be created") from error\n'
        + REFUSED,
        "missing rights are taken for a mistake in the specification",
        Edit(
            "credentials.py",
            "from .configuration import Issuer\n",
            "from .configuration import InvalidConfigurationError, Issuer\n",
        ),
    ),
    defect(
        "ksecretless-account-of-the-cluster-resource-namespace",
        "VI-KSECRETLESS-009",
        "credentials.py",
        REFUSED,
        "        if error.code in (403, 404) and issuer.namespace:\n"
        "            try:\n"
        "                return cluster.create_token(\n"
        '                    issuer.cluster_resource_namespace, reference["name"], audiences, TOKEN_SECONDS\n'
        "                )\n"
        "            except ClusterError:\n"
        "                pass\n" + REFUSED,
        "an account that is not in the issuer's namespace is looked for where the cluster's are",
        Edit(
            "configuration.py",
            "    vault: dict[str, Any]\n\n    @property\n    def server",
            '    vault: dict[str, Any]\n    cluster_resource_namespace: str = ""\n\n    @property\n    def server',
        ),
        Edit(
            "configuration.py",
            "resource_namespace, vault_of(item) or {})",
            "resource_namespace, vault_of(item) or {}, cluster_resource_namespace)",
        ),
    ),
    defect(
        "ksecretless-account-wherever-it-is",
        "VI-KSECRETLESS-010",
        "credentials.py",
        REFUSED,
        "        if error.code in (403, 404) and not issuer.namespace:\n"
        "            for account in cluster.list_all(SERVICE_ACCOUNTS)[0]:\n"
        '                if account["metadata"]["name"] == reference["name"]:\n'
        "                    try:\n"
        "                        return cluster.create_token(\n"
        '                            account["metadata"]["namespace"], reference["name"], audiences, TOKEN_SECONDS\n'
        "                        )\n"
        "                    except ClusterError:\n"
        "                        continue\n" + REFUSED,
        "a cluster-scoped issuer is taken to have the accounts of all namespaces",
        Edit(
            "credentials.py",
            "from .cluster import Cluster, ClusterError\n",
            "from .cluster import SERVICE_ACCOUNTS, Cluster, ClusterError\n",
        ),
    ),
    defect(
        "ksecretless-account-in-default",
        "VI-KSECRETLESS-010",
        "credentials.py",
        CREATE,
        '        namespace = issuer.namespace or "default"\n'
        '        return cluster.create_token(namespace, reference["name"], audiences, TOKEN_SECONDS)\n',
        "what is in no namespace is taken to be in `default`",
        also=("VI-SCOPE-003", "VI-SCOPE-006", "VI-ROTATION-002", "VI-HEALTH-002"),
    ),
    defect(
        "ksecretless-jwt-for-each-account",
        "VI-KSECRETLESS-011",
        "credentials.py",
        REQUEST,
        jwt_remembered('(issuer.resource_namespace, kubernetes["serviceAccountRef"]["name"])'),
        "a token is kept for its service account, and not for the issuer it is meant for",
        JWTS,
        also=("VI-KSECRETLESS-005",),
    ),
    defect(
        "audience-of-the-cluster-issuer-too",
        "VI-KSECRETLESS-011",
        "credentials.py",
        AUDIENCES,
        AUDIENCES + '\n    audiences.append(f"vault://{issuer.name}")',
        "both forms of the audience are asked for, so that either does",
    ),
    defect(
        "ksecretless-account-for-one-issuer",
        "VI-KSECRETLESS-012",
        "credentials.py",
        REQUEST,
        '        account = (issuer.resource_namespace, kubernetes["serviceAccountRef"]["name"])\n'
        "        if _owners.setdefault(account, issuer.audience) != issuer.audience:\n"
        '            raise CredentialError("the service account is used by another issuer")\n' + REQUEST,
        "the advice to have an account for each issuer is enforced",
        Edit("credentials.py", SECONDS, SECONDS + "_owners: dict[tuple[str, str], str] = {}\n"),
    ),
    defect(
        "ksecretless-lease-too-short",
        "VI-KSECRETLESS-013",
        "vault.py",
        GOT,
        '        lease = (answer.get("auth") or {}).get("lease_duration")\n'
        "        if lease and lease < 120:\n"
        '            raise UnusableAnswerError("the token of the login expires too soon")\n' + GOT,
        "a token should last for the signing",
    ),
    defect(
        "audiences-replace-the-documented-one",
        "VI-KSECRETLESS-014",
        "credentials.py",
        AUDIENCES,
        'audiences = reference.get("audiences") or [issuer.audience, issuer.server]',
        "audiences that are listed are taken for all there are",
    ),
    defect(
        "audiences-first-only",
        "VI-KSECRETLESS-014",
        "credentials.py",
        AUDIENCES,
        AUDIENCES.replace("or [])", "or [])[:1]"),
        "one further audience was thought of",
        also=("VI-JWT-003",),
    ),
    defect(
        "audiences-overlooked",
        "VI-KSECRETLESS-014",
        "credentials.py",
        AUDIENCES,
        "audiences = [issuer.audience, issuer.server]",
        "the field came later",
        also=("VI-JWT-003",),
    ),
    defect(
        "audience-of-the-server-missing",
        "VI-KSECRETLESS-015",
        "credentials.py",
        AUDIENCES,
        AUDIENCES.replace(", issuer.server", ""),
        "as it was before cert-manager 1.20",
        also=("VI-JWT-004",),
    ),
    defect(
        "audience-of-the-server-without-its-path",
        "VI-KSECRETLESS-015",
        "credentials.py",
        AUDIENCES,
        AUDIENCES.replace("issuer.server", 'issuer.server[: (issuer.server + "/").index("/", 8)]'),
        "the server's origin in the place of its URL",
    ),
    defect(
        "audience-of-the-server-without-a-slash",
        "VI-KSECRETLESS-015",
        "credentials.py",
        AUDIENCES,
        AUDIENCES.replace("issuer.server", 'issuer.server.rstrip("/")'),
        "the URL as requests are made with, not as it is written",
    ),
    defect(
        "login-without-a-token-crashes-late",
        "VI-KSECRETLESS-016",
        "vault.py",
        GOT + NO_TOKEN + '            raise UnusableAnswerError("the login was answered without a token")\n',
        '        token = str((answer.get("auth") or {}).get("client_token") or "")\n',
        "that a login succeeded is told by its status",
        also=("VI-APPROLE-004", "VI-KSTATIC-007"),
    ),
)
