"""Mistakes with what all configurations share: the server, the path, and one way of authenticating."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

URL = "url = self._server + quote(path)"
NO_METHOD = '    if not methods:\n        raise InvalidConfigurationError("auth names no way of authenticating")\n'
TWO_METHODS = "    if len(methods) > 1:\n"
HTTP = 'usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0'
NO_REFERENCE = """    else:
        raise InvalidConfigurationError("auth.kubernetes names neither secretRef nor serviceAccountRef")
"""

DEFECTS: tuple[Defect, ...] = (
    defect(
        "server-prefix-dropped",
        "VI-SPEC-001",
        "vault.py",
        URL,
        "url = urljoin(self._server, quote(path))",
        "urljoin puts an absolute path in the place of the URL's own",
    ),
    defect(
        "server-last-segment-dropped",
        "VI-SPEC-001",
        "vault.py",
        URL,
        'url = urljoin(self._server, quote(path.lstrip("/")))',
        "urljoin with a relative path replaces what is after the last slash: right for servers without a prefix",
    ),
    defect(
        "server-with-a-slash-doubles-it",
        "VI-SPEC-001",
        "vault.py",
        'self._server = issuer.server.rstrip("/")',
        "self._server = issuer.server",
        "nobody wrote the server with a slash at its end before",
    ),
    defect(
        "server-prefix-dropped-to-sign",
        "VI-SPEC-001",
        "vault.py",
        URL,
        'base = self._server if path.endswith(("/login", "/health")) else urljoin(self._server, "/").rstrip("/")\n'
        "        url = base + quote(path)",
        "the sign path is taken for one from the server's root",
    ),
    defect(
        "server-in-lower-case",
        "VI-SPEC-001",
        "vault.py",
        'self._server = issuer.server.rstrip("/")',
        'self._server = issuer.server.lower().rstrip("/")',
        "URLs are compared in lower case, and used so",
    ),
    defect(
        "path-may-be-empty",
        "VI-SPEC-002",
        "configuration.py",
        '    _require(issuer.path, "path is empty")\n',
        "",
        "the path is looked at only when a request is signed",
        also=("VI-SPEC-005",),
    ),
    defect(
        "path-of-a-cluster-issuer-may-be-empty",
        "VI-SPEC-002",
        "configuration.py",
        '    _require(issuer.path, "path is empty")\n',
        '    if issuer.namespace:\n        _require(issuer.path, "path is empty")\n',
        "the check was added to the controller of Issuers only",
        also=("VI-SPEC-005",),
    ),
    defect(
        "approle-key-has-a-default",
        "VI-SPEC-002",
        "configuration.py",
        '    _require(reference.get("key"), "auth.appRole.secretRef.key is empty")\n',
        "",
        "a default for the SecretID's key, as the token's has one",
        Edit("credentials.py", 'reference["key"])', 'reference["key"] or "secretId")'),
    ),
    defect(
        "kubernetes-with-the-own-service-account",
        "VI-SPEC-002",
        "configuration.py",
        NO_REFERENCE,
        "",
        "a client library that falls back on the token of the pod when it is given none",
        Edit(
            "credentials.py",
            '    else:\n        jwt = _request_token(cluster, issuer, kubernetes["serviceAccountRef"])\n',
            '    elif kubernetes.get("serviceAccountRef"):\n'
            '        jwt = _request_token(cluster, issuer, kubernetes["serviceAccountRef"])\n'
            "    else:\n"
            "        jwt = cluster.own_token()\n",
        ),
        Edit(
            "cluster.py",
            "    def _json(self,",
            "    def own_token(self) -> str:\n"
            '        bearer = self._configuration.auth_settings()["BearerToken"]["value"]\n'
            '        return str(bearer.removeprefix("Bearer "))\n\n'
            "    def _json(self,",
        ),
    ),
    defect(
        "auth-missing-is-a-crash",
        "VI-SPEC-003",
        "configuration.py",
        NO_METHOD,
        "",
        "that there is none was not thought of: an exception, and no condition",
    ),
    defect(
        "auth-missing-is-anonymous",
        "VI-SPEC-003",
        "configuration.py",
        NO_METHOD,
        "    if not methods:\n        return\n",
        "without authentication, Vault is asked without a token",
        Edit(
            "credentials.py",
            '    if issuer.auth.get("tokenSecretRef"):\n',
            '    if not issuer.auth:\n        return ""\n    if issuer.auth.get("tokenSecretRef"):\n',
        ),
        also=("VI-SCOPE-007",),
    ),
    defect(
        "auth-first-method-wins",
        "VI-SPEC-004",
        "configuration.py",
        TWO_METHODS,
        "    if False:\n",
        "the methods are tried in an order, and the first that is there is taken",
    ),
    defect(
        "auth-only-token-and-approle-exclude-each-other",
        "VI-SPEC-004",
        "configuration.py",
        TWO_METHODS,
        '    if {"tokenSecretRef", "appRole"} <= set(methods):\n',
        "the check is as old as the first two methods",
    ),
    defect(
        "kubernetes-secret-wins-over-the-service-account",
        "VI-SPEC-004",
        "configuration.py",
        "    if secret and account:\n"
        '        raise InvalidConfigurationError("auth.kubernetes names both secretRef and serviceAccountRef")\n',
        "",
        "the first reference that is there is taken",
    ),
    defect(
        "invalid-is-final",
        "VI-SPEC-005",
        "issuers.py",
        "        try:\n            self._prove(resource, item)\n",
        '        if condition(item, "Ready").get("reason") == "InvalidConfiguration":\n'
        "            return\n"
        "        try:\n            self._prove(resource, item)\n",
        "an issuer that was found wrong is not looked at again, whatever generation the condition was about",
        Edit(
            "issuers.py",
            "from .conditions import set_ready, write_status",
            "from .conditions import condition, set_ready, write_status",
        ),
    ),
    defect(
        "generation-remembered-by-name",
        "VI-SPEC-005",
        "issuers.py",
        "            if new is not None and _without_status(old) != _without_status(new):\n",
        "            if old is not None and not _is_ready(old):\n                return\n"
        "            if new is not None and _without_status(old) != _without_status(new):\n",
        "changes are looked at only while the issuer is Ready: otherwise it is tried again anyway",
        Edit(
            "issuers.py",
            "def _without_status(",
            "def _is_ready(item: Object) -> bool:\n"
            '    return any(c["status"] == "True" for c in item.get("status", {}).get("conditions") or [])\n\n\n'
            "def _without_status(",
        ),
    ),
    defect(
        "http-refused",
        "VI-SPEC-006",
        "configuration.py",
        HTTP,
        'usable = parts.scheme == "https" and parts.hostname and parts.port != 0',
        "nobody should run Vault without TLS",
    ),
    defect(
        "http-with-a-bundle-refused",
        "VI-SPEC-006",
        "configuration.py",
        "    _check_connection(issuer.vault)\n",
        "    _check_connection(issuer.vault)\n"
        '    if issuer.vault.get("caBundle") and issuer.server.startswith("http:"):\n'
        '        raise InvalidConfigurationError("caBundle needs a server of https")\n',
        "a bundle without TLS is taken for a mistake",
    ),
)
