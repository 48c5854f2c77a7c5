"""Mistakes with the namespaces of Vault Enterprise."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

READ = 'self._namespace = str(issuer.vault.get("namespace") or "")'
LOGIN = 'status, answer = self._call("POST", path, body=credentials, headers=self._namespace_header())'
SIGN = 'headers = {"X-Vault-Token": token} | self._namespace_header()'
HEALTH = 'status, answer = self._call("GET", "/v1/sys/health")'
NONE = "        if not self._namespace:\n            return {}\n"
HEADER = '        return {"X-Vault-Namespace": self._namespace}\n'

DEFECTS: tuple[Defect, ...] = (
    defect(
        "namespace-not-to-log-in",
        "VI-NAMESPACE-001",
        "vault.py",
        LOGIN,
        'status, answer = self._call("POST", path, body=credentials)',
        "the client's namespace was set after the login",
        also=("VI-NAMESPACE-002", "VI-NAMESPACE-003", "VI-NAMESPACE-007"),
    ),
    defect(
        "namespace-not-to-log-in-with-an-approle",
        "VI-NAMESPACE-001",
        "vault.py",
        LOGIN,
        'headers = {} if "secret_id" in credentials else self._namespace_header()\n'
        '        status, answer = self._call("POST", path, body=credentials, headers=headers)',
        "one of the logins makes its request by itself",
        also=("VI-NAMESPACE-002", "VI-NAMESPACE-007"),
    ),
    defect(
        "namespace-not-to-sign",
        "VI-NAMESPACE-002",
        "vault.py",
        SIGN,
        'headers = {"X-Vault-Token": token}',
        "the token is thought to tell the namespace",
        also=("VI-NAMESPACE-001", "VI-NAMESPACE-003", "VI-NAMESPACE-006", "VI-NAMESPACE-008", "VI-NAMESPACE-009"),
    ),
    defect(
        "namespace-not-to-log-in-with-a-certificate",
        "VI-NAMESPACE-003",
        "credentials.py",
        "    with Vault(issuer, tls_context(cluster, issuer, client)) as presenting:\n",
        '    elsewhere = replace(issuer, vault={**issuer.vault, "namespace": ""})\n'
        "    with Vault(elsewhere, tls_context(cluster, issuer, client)) as presenting:\n",
        "the client that presents the certificate is another, and has no namespace",
        Edit("credentials.py", "from typing import Any\n", "from dataclasses import replace\nfrom typing import Any\n"),
    ),
    defect(
        "namespace-for-health-too",
        "VI-NAMESPACE-004",
        "vault.py",
        HEALTH,
        'status, answer = self._call("GET", "/v1/sys/health", headers=self._namespace_header())',
        "every request is sent within the namespace",
    ),
    defect(
        "namespace-root-where-none-is-configured",
        "VI-NAMESPACE-005",
        "vault.py",
        READ,
        'self._namespace = str(issuer.vault.get("namespace") or "root")',
        "the root namespace by the name that Vault shows",
    ),
    defect(
        "namespace-admin-where-it-is-empty",
        "VI-NAMESPACE-005",
        "vault.py",
        READ,
        'self._namespace = str(issuer.vault.get("namespace", "") or ("admin" if "namespace" in issuer.vault else ""))',
        "an empty namespace is taken for the one of Vault as a service",
    ),
    defect(
        "namespace-first-segment-only",
        "VI-NAMESPACE-006",
        "vault.py",
        READ,
        'self._namespace = str(issuer.vault.get("namespace") or "").strip("/").split("/")[0]',
        "a namespace is taken to be a name",
        also=("VI-NAMESPACE-007", "VI-NAMESPACE-008"),
    ),
    defect(
        "namespace-without-slashes-required",
        "VI-NAMESPACE-006",
        "configuration.py",
        "    _check_connection(issuer.vault)\n",
        "    _check_connection(issuer.vault)\n"
        '    if str(issuer.vault.get("namespace") or "").endswith("/"):\n'
        '        raise InvalidConfigurationError("namespace ends in a slash")\n',
        "only one of the forms is known",
    ),
    defect(
        "namespace-none-where-the-login-is-refused",
        "VI-NAMESPACE-007",
        "vault.py",
        '        if status != 200:\n            raise _refusal("the login", status, answer)\n',
        "        if status in (403, 404) and self._namespace:\n"
        '            status, answer = self._call("POST", path, body=credentials)\n'
        '        if status != 200:\n            raise _refusal("the login", status, answer)\n',
        "the mount may be in the root namespace",
    ),
    defect(
        "namespace-parent-where-the-login-is-refused",
        "VI-NAMESPACE-007",
        "vault.py",
        '        if status != 200:\n            raise _refusal("the login", status, answer)\n',
        '        if status in (403, 404) and "/" in self._namespace:\n'
        '            parent = {"X-Vault-Namespace": self._namespace.rpartition("/")[0]}\n'
        '            status, answer = self._call("POST", path, body=credentials, headers=parent)\n'
        '        if status != 200:\n            raise _refusal("the login", status, answer)\n',
        "the mount may be in the namespace above",
    ),
    defect(
        "namespace-for-each-server",
        "VI-NAMESPACE-008",
        "vault.py",
        READ,
        'self._namespace = _NAMESPACES.setdefault(issuer.server, str(issuer.vault.get("namespace") or ""))',
        "one Vault, one namespace",
        Edit("vault.py", "class Vault:\n", "_NAMESPACES: dict[str, str] = {}\n\n\nclass Vault:\n"),
        also=("VI-NAMESPACE-009",),
    ),
    defect(
        "namespace-remembered",
        "VI-NAMESPACE-009",
        "vault.py",
        READ,
        "known = (issuer.namespace, issuer.name)\n"
        '        self._namespace = _NAMESPACES.setdefault(known, str(issuer.vault.get("namespace") or ""))',
        "an issuer's namespace is read once",
        Edit("vault.py", "class Vault:\n", "_NAMESPACES: dict[tuple[str, str], str] = {}\n\n\nclass Vault:\n"),
    ),
)
