"""Mistakes with the authentication by a client certificate."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

MOUNT = 'mount = (client_certificate.get("mountPath") or "/v1/auth/cert").strip("/")'
CREDENTIALS = 'credentials = {"name": name} if name else {}'
CLIENT = "    client = read_client_certificate(cluster, issuer.resource_namespace, certificate, key)\n"
PRESENTING = """    with Vault(issuer, tls_context(cluster, issuer, client)) as presenting:
        return presenting.log_in(f"/{mount}/login", credentials)
"""
NO_SECRET = "    if not secret:\n        # That of the connection, if it has one.\n"
#: Where the server is found out about before the login, nothing comes of a login that does not look.
HEALTH_AFTER_THE_LOGIN = Edit(
    "issuers.py",
    "            vault.check_health()\n            obtain_token(self._cluster, issuer, vault)\n",
    "            obtain_token(self._cluster, issuer, vault)\n            vault.check_health()\n",
)
CLIENTS = Edit("credentials.py", "TOKEN_SECONDS = 600\n", "TOKEN_SECONDS = 600\n_clients: dict[object, object] = {}\n")

DEFECTS: tuple[Defect, ...] = (
    defect(
        "clientcert-last-segment-of-the-mount",
        "VI-CLIENTCERT-001",
        "credentials.py",
        MOUNT,
        'mount = "v1/auth/" + (client_certificate.get("mountPath") or "cert").strip("/").rpartition("/")[2]',
        "the mount's name is taken from the path, without what it is mounted below",
    ),
    defect(
        "clientcert-role-of-the-issuers-name",
        "VI-CLIENTCERT-001",
        "credentials.py",
        'name = client_certificate.get("name")',
        'name = client_certificate.get("role")',
        "the field is called otherwise for Kubernetes",
        also=("VI-CLIENTCERT-004",),
    ),
    defect(
        "clientcert-mount-with-v1-twice",
        "VI-CLIENTCERT-002",
        "credentials.py",
        MOUNT,
        'mount = (client_certificate.get("mountPath") or "/v1/v1/auth/cert").strip("/")',
        "the default is a whole path, and is put behind /v1",
    ),
    defect(
        "clientcert-default-mount-for-nothing-only",
        "VI-CLIENTCERT-002",
        "credentials.py",
        MOUNT,
        'mount = client_certificate.get("mountPath", "/v1/auth/cert").strip("/")',
        "an empty mount path is taken for one that is named",
    ),
    defect(
        "clientcert-name-is-the-issuers",
        "VI-CLIENTCERT-003",
        "credentials.py",
        CREDENTIALS,
        'credentials = {"name": name or issuer.name}',
        "a role is needed, so it gets a default",
    ),
    defect(
        "clientcert-name-required",
        "VI-CLIENTCERT-003",
        "configuration.py",
        '    _check_segments(client_certificate.get("mountPath") or "", "auth.clientCertificate.mountPath")\n',
        '    _check_segments(client_certificate.get("mountPath") or "", "auth.clientCertificate.mountPath")\n'
        '    _require(client_certificate.get("name"), "auth.clientCertificate.name is empty")\n',
        "the roles of the other methods are required",
    ),
    defect(
        "clientcert-any-role-where-the-named-one-refuses",
        "VI-CLIENTCERT-004",
        "credentials.py",
        '        return presenting.log_in(f"/{mount}/login", credentials)\n',
        "        try:\n"
        '            return presenting.log_in(f"/{mount}/login", credentials)\n'
        "        except VaultError:\n"
        '            return presenting.log_in(f"/{mount}/login", {})\n',
        "Vault may find another role",
        Edit("credentials.py", "from .vault import Vault\n", "from .vault import Vault, VaultError\n"),
    ),
    defect(
        "clientcert-name-in-the-query",
        "VI-CLIENTCERT-004",
        "credentials.py",
        CREDENTIALS,
        'credentials = {"cert_name": name} if name else {}',
        "Vault overlooks a parameter that it does not know",
        also=("VI-CLIENTCERT-001",),
    ),
    defect(
        "clientcert-certificate-of-the-connection-where-the-secret-is-missing",
        "VI-CLIENTCERT-005",
        "credentials.py",
        CLIENT,
        "    try:\n"
        f"    {CLIENT}"
        "    except CredentialError:\n"
        "        client = _clients.get((issuer.resource_namespace, mount))  # type: ignore[assignment]\n"
        "    _clients[issuer.resource_namespace, mount] = client\n",
        "a certificate that cannot be read for a moment is bridged with the last one of that mount",
        CLIENTS,
    ),
    defect(
        "clientcert-missing-is-final",
        "VI-CLIENTCERT-005",
        "credentials.py",
        CLIENT,
        "    try:\n"
        f"    {CLIENT}"
        "    except CredentialError as error:\n"
        "        raise InvalidConfigurationError(str(error)) from error\n",
        "a Secret that is missing is taken for a mistake in the specification, and these Secrets are not watched",
        Edit(
            "configuration.py",
            '    names.append((auth.get("clientCertificate") or {}).get("secretName"))\n',
            "",
        ),
        Edit(
            "credentials.py",
            "from .configuration import Issuer\n",
            "from .configuration import InvalidConfigurationError, Issuer\n",
        ),
    ),
    defect(
        "clientcert-certificate-remembered",
        "VI-CLIENTCERT-006",
        "credentials.py",
        CLIENT,
        CLIENT + "    client = _clients.setdefault((issuer.resource_namespace, secret), client)\n",
        "a certificate lives for a year",
        CLIENTS,
        also=("VI-CLIENTCERT-005",),
    ),
    defect(
        "clientcert-login-remembered",
        "VI-CLIENTCERT-006",
        "credentials.py",
        PRESENTING,
        "    place = (issuer.resource_namespace, secret, mount, name)\n"
        "    if place not in _clients:\n"
        "        with Vault(issuer, tls_context(cluster, issuer, client)) as presenting:\n"
        '            _clients[place] = presenting.log_in(f"/{mount}/login", credentials)\n'
        "    return str(_clients[place])\n",
        "the same login is not made twice",
        CLIENTS,
    ),
    defect(
        "clientcert-secret-of-another-namespace",
        "VI-CLIENTCERT-007",
        "credentials.py",
        CLIENT,
        "    namespace = issuer.resource_namespace\n"
        "    if cluster.find(SECRETS, namespace, secret) is None:\n"
        "        for item in cluster.list_all(SECRETS)[0]:\n"
        '            if item["metadata"]["name"] == secret:\n'
        '                namespace = item["metadata"]["namespace"]\n'
        "    client = read_client_certificate(cluster, namespace, certificate, key)\n",
        "Secrets are looked up in a cache by their names",
        Edit(
            "credentials.py",
            "from .cluster import Cluster, ClusterError\n",
            "from .cluster import SECRETS, Cluster, ClusterError\n",
        ),
    ),
    defect(
        "clientcert-of-a-namespace-only",
        "VI-CLIENTCERT-007",
        "credentials.py",
        CLIENT,
        '    namespace = issuer.namespace or "default"\n'
        "    client = read_client_certificate(cluster, namespace, certificate, key)\n",
        "what is in no namespace is taken to be in `default`",
        also=(
            "VI-CLIENTCERT-001",
            "VI-CLIENTCERT-002",
            "VI-CLIENTCERT-003",
            "VI-CLIENTCERT-005",
            "VI-CLIENTCERT-006",
            "VI-CLIENTCERT-008",
            "VI-CLIENTCERT-010",
            "VI-NAMESPACE-003",
        ),
    ),
    defect(
        "clientcert-certificate-for-each-server",
        "VI-CLIENTCERT-008",
        "credentials.py",
        CLIENT,
        CLIENT + "    client = _clients.setdefault(issuer.server, client)\n",
        "one Vault, one certificate",
        CLIENTS,
        also=("VI-CLIENTCERT-004", "VI-CLIENTCERT-005", "VI-CLIENTCERT-006"),
    ),
    defect(
        "clientcert-secret-required",
        "VI-CLIENTCERT-009",
        "configuration.py",
        '    _check_segments(client_certificate.get("mountPath") or "", "auth.clientCertificate.mountPath")\n',
        '    _check_segments(client_certificate.get("mountPath") or "", "auth.clientCertificate.mountPath")\n'
        '    _require(client_certificate.get("secretName"), "auth.clientCertificate.secretName is empty")\n',
        "the field is taken to be required",
    ),
    defect(
        "clientcert-login-without-the-connections-certificate",
        "VI-CLIENTCERT-009",
        "credentials.py",
        '        return vault.log_in(f"/{mount}/login", credentials)\n',
        "        with Vault(issuer, tls_context(cluster, issuer, None)) as plain:\n"
        '            return plain.log_in(f"/{mount}/login", credentials)\n',
        "the login makes its own connection, with its own certificate or none",
    ),
    defect(
        "clientcert-connections-certificate-preferred",
        "VI-CLIENTCERT-010",
        "credentials.py",
        "    if not secret:\n",
        '    if not secret or issuer.vault.get("clientCertSecretRef"):\n',
        "a connection that presents a certificate is used as it is",
    ),
    defect(
        "clientcert-login-unverified",
        "VI-CLIENTCERT-011",
        "credentials.py",
        "    with Vault(issuer, tls_context(cluster, issuer, client)) as presenting:\n",
        "    context = tls_context(cluster, issuer, client)\n"
        "    if context is not None:\n"
        "        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n"
        "    with Vault(issuer, context) as presenting:\n",
        "the certificate was thought to protect the login, and the health query to find out about the server",
        Edit("credentials.py", "from typing import Any\n", "import ssl\nfrom typing import Any\n"),
        HEALTH_AFTER_THE_LOGIN,
    ),
    defect(
        "clientcert-login-with-any-name",
        "VI-CLIENTCERT-011",
        "credentials.py",
        "    with Vault(issuer, tls_context(cluster, issuer, client)) as presenting:\n",
        "    context = tls_context(cluster, issuer, client)\n"
        "    if context is not None:\n"
        "        context.check_hostname = False\n"
        "    with Vault(issuer, context) as presenting:\n",
        "servers are often reached by addresses that their certificates do not name",
        Edit("vault.py", "ssl_context=context,\n", "ssl_context=context,\n            assert_hostname=False,\n"),
        HEALTH_AFTER_THE_LOGIN,
    ),
    defect(
        "clientcert-beside-another-method",
        "VI-CLIENTCERT-012",
        "configuration.py",
        "    if len(methods) > 1:\n",
        '    if len([method for method in methods if method != "clientCertificate"]) > 1:\n',
        "the check is older than this method",
    ),
)
