"""Mistakes with the client certificate of the connection to Vault."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

CONNECT = "with Vault(described, connection_context(cluster, described)) as vault:"
UNPRESENTED = "with Vault(described, tls_context(cluster, described, None)) as vault:"
IMPORT = "from .tls import connection_context\n"
OBTAIN = "obtain_token(self._cluster, issuer, vault)\n"
CERTIFICATE = 'read_secret(cluster, namespace, certificate["name"], certificate.get("key") or "tls.crt")'
KEY = 'read_secret(cluster, namespace, key["name"], key.get("key") or "tls.key")'
CLIENT = (
    "    client = read_client_certificate(cluster, issuer.resource_namespace, certificate, key)\n    return tls_context"
)
HALF = """    if (certificate is None) != (key is None):
        raise InvalidConfigurationError("clientCertSecretRef and clientKeySecretRef go together")
"""
NEITHER = "    if certificate is None or key is None:\n"
NAMES = '        vault.get("clientCertSecretRef"),\n        vault.get("clientKeySecretRef"),\n'
#: What depends on where client certificates are read, whatever they are for.
READ = ("VI-CLIENTCERT-001", "VI-CLIENTCERT-005", "VI-CLIENTCERT-007", "VI-CLIENTCERT-010")

DEFECTS: tuple[Defect, ...] = (
    defect(
        "mtls-not-to-sign",
        "VI-MTLS-001",
        "signing.py",
        CONNECT,
        UNPRESENTED,
        "the client that signs is made in another place",
        Edit("signing.py", IMPORT, "from .tls import tls_context\n"),
        also=("VI-MTLS-002", "VI-MTLS-007", "VI-MTLS-008", "VI-MTLS-009", "VI-CLIENTCERT-009"),
    ),
    defect(
        "mtls-not-to-log-in",
        "VI-MTLS-001",
        "signing.py",
        "            token = _token(cluster, described, vault)\n",
        "            with Vault(described, tls_context(cluster, described, None)) as plain:\n"
        "                token = _token(cluster, described, plain)\n",
        "logins have a client of their own, that came before client certificates",
        Edit("signing.py", IMPORT, "from .tls import connection_context, tls_context\n"),
        also=("VI-MTLS-007", "VI-CLIENTCERT-009"),
    ),
    defect(
        "mtls-not-for-health",
        "VI-MTLS-001",
        "issuers.py",
        "            vault.check_health()\n",
        "            try:\n"
        "                with Vault(issuer, tls_context(self._cluster, issuer, None)) as plain:\n"
        "                    plain.check_health()\n"
        "            except VaultError:\n"
        "                vault.check_health()\n",
        "health is public, so it is asked without a certificate first",
        Edit("issuers.py", IMPORT, "from .tls import connection_context, tls_context\n"),
    ),
    defect(
        "mtls-key-of-the-certificates-secret",
        "VI-MTLS-002",
        "tls.py",
        KEY,
        KEY.replace('key["name"]', 'certificate["name"]'),
        "both are in one Secret, as a rule",
        also=("VI-MTLS-006",),
    ),
    defect(
        "mtls-keys-ignored",
        "VI-MTLS-002",
        "tls.py",
        CERTIFICATE,
        'read_secret(cluster, namespace, certificate["name"], "tls.crt")',
        "a Secret of type kubernetes.io/tls has nothing else",
        Edit("tls.py", KEY, 'read_secret(cluster, namespace, key["name"], "tls.key")'),
    ),
    defect(
        "mtls-usual-keys-preferred",
        "VI-MTLS-002",
        "tls.py",
        "    return ClientCertificate(\n        " + CERTIFICATE,
        "    try:\n"
        "        return ClientCertificate(\n"
        '            read_secret(cluster, namespace, certificate["name"], "tls.crt"),\n'
        '            read_secret(cluster, namespace, key["name"], "tls.key"),\n'
        "        )\n"
        "    except CredentialError:\n"
        "        pass\n"
        "    return ClientCertificate(\n        " + CERTIFICATE,
        "the usual keys are looked for first",
    ),
    defect(
        "mtls-of-a-namespace-only",
        "VI-MTLS-002",
        "tls.py",
        CLIENT,
        CLIENT.replace("issuer.resource_namespace", "issuer.namespace"),
        "the namespace of the issuer, which a ClusterIssuer has not",
        also=(
            "VI-MTLS-001",
            "VI-MTLS-003",
            "VI-MTLS-006",
            "VI-MTLS-007",
            "VI-MTLS-008",
            "VI-MTLS-009",
            "VI-CLIENTCERT-009",
            "VI-CLIENTCERT-010",
        ),
    ),
    defect(
        "mtls-default-key-of-the-certificate",
        "VI-MTLS-003",
        "tls.py",
        KEY,
        KEY.replace('or "tls.key"', 'or "tls.crt"'),
        "the default was copied from the line above",
    ),
    defect(
        "mtls-alert-taken-for-an-answer",
        "VI-MTLS-004",
        "vault.py",
        "        except urllib3.exceptions.HTTPError as error:\n",
        "        except urllib3.exceptions.HTTPError as error:\n"
        '            if "alert" in repr(error).lower() and method == "GET":\n'
        '                return 200, "", {"initialized": True, "sealed": False}\n',
        "a server that wants a certificate is alive: who has none is told so later",
        also=("VI-MTLS-005",),
    ),
    defect(
        "mtls-key-in-the-certificates-secret-where-none-is-named",
        "VI-MTLS-005",
        "configuration.py",
        HALF,
        "",
        "the other half is taken to be in the same Secret",
        Edit(
            "tls.py",
            '    key = issuer.vault.get("clientKeySecretRef")\n',
            '    key = issuer.vault.get("clientKeySecretRef") or {"name": (certificate or {}).get("name")}\n',
        ),
    ),
    defect(
        "mtls-certificate-in-the-keys-secret-where-none-is-named",
        "VI-MTLS-005",
        "configuration.py",
        HALF,
        "",
        "the other half is taken to be in the same Secret",
        Edit(
            "tls.py",
            NEITHER,
            '    if certificate is None and key is not None:\n        certificate = {"name": key["name"]}\n' + NEITHER,
        ),
    ),
    defect(
        "mtls-without-where-the-secret-is-missing",
        "VI-MTLS-006",
        "tls.py",
        CLIENT,
        "    try:\n"
        "        client = read_client_certificate(cluster, issuer.resource_namespace, certificate, key)\n"
        "    except CredentialError:\n"
        "        client = None\n"
        "    return tls_context",
        "Vault may serve those without a certificate too",
    ),
    defect(
        "mtls-without-where-the-key-does-not-fit",
        "VI-MTLS-006",
        "tls.py",
        '            raise CredentialError("the client certificate and its key do not fit together") from error\n',
        "            return\n",
        "that a certificate cannot be read is not the connection's business",
    ),
    defect(
        "mtls-unfit-is-final",
        "VI-MTLS-006",
        "tls.py",
        CLIENT,
        "    try:\n"
        "        client = read_client_certificate(cluster, issuer.resource_namespace, certificate, key)\n"
        "    except CredentialError as error:\n"
        "        raise InvalidConfigurationError(str(error)) from error\n"
        "    return tls_context",
        "a Secret that is missing is taken for a mistake in the specification, and these Secrets are not watched",
        Edit("configuration.py", NAMES, ""),
        Edit(
            "tls.py",
            "from .configuration import Issuer\n",
            "from .configuration import InvalidConfigurationError, Issuer\n",
        ),
    ),
    defect(
        "mtls-refused-login-does-not-matter",
        "VI-MTLS-007",
        "issuers.py",
        "            " + OBTAIN,
        "            try:\n"
        f"                {OBTAIN}"
        "            except VaultError:\n"
        '                if not issuer.vault.get("clientCertSecretRef"):\n'
        "                    raise\n",
        "Vault is taken to know the issuer by its certificate",
        also=("VI-CLIENTCERT-009",),
    ),
    defect(
        "mtls-login-with-the-certificate-first",
        "VI-MTLS-007",
        "credentials.py",
        '    if issuer.auth.get("tokenSecretRef"):\n',
        '    if issuer.vault.get("clientCertSecretRef"):\n'
        "        try:\n"
        '            return vault.log_in("/v1/auth/cert/login", {})\n'
        "        except VaultError:\n"
        "            pass\n"
        '    if issuer.auth.get("tokenSecretRef"):\n',
        "whoever presents a certificate is thought to authenticate with it",
        Edit("credentials.py", "from .vault import Vault\n", "from .vault import Vault, VaultError\n"),
    ),
    defect(
        "mtls-certificate-for-each-server",
        "VI-MTLS-008",
        "tls.py",
        CLIENT,
        CLIENT.replace(
            "    return tls_context", "    client = _CLIENTS.setdefault(issuer.server, client)\n    return tls_context"
        ),
        "one Vault, one certificate",
        Edit(
            "tls.py",
            "def connection_context(",
            "_CLIENTS: dict[str, ClientCertificate] = {}\n\n\ndef connection_context(",
        ),
        also=("VI-MTLS-009",),
    ),
    defect(
        "mtls-certificate-by-the-secrets-name",
        "VI-MTLS-008",
        "tls.py",
        CLIENT,
        '    known = (certificate["name"], key["name"], issuer.vault["path"])\n'
        + CLIENT.replace(
            "    return tls_context", "    client = _CLIENTS.setdefault(known, client)\n    return tls_context"
        ),
        "certificates are kept by the name of their Secret, which another namespace has too",
        Edit(
            "tls.py",
            "def connection_context(",
            "_CLIENTS: dict[object, ClientCertificate] = {}\n\n\ndef connection_context(",
        ),
        also=("VI-MTLS-009",),
    ),
    defect(
        "mtls-certificate-remembered",
        "VI-MTLS-009",
        "tls.py",
        CLIENT,
        '    known = (issuer.resource_namespace, certificate["name"])\n'
        + CLIENT.replace(
            "    return tls_context", "    client = _CLIENTS.setdefault(known, client)\n    return tls_context"
        ),
        "a certificate lives for a year",
        Edit(
            "tls.py",
            "def connection_context(",
            "_CLIENTS: dict[object, ClientCertificate] = {}\n\n\ndef connection_context(",
        ),
        also=("VI-MTLS-006",),
    ),
)
