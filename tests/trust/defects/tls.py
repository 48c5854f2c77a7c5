"""Mistakes with the connection to Vault: whom the issuer trusts, and what it tells others."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

CONTEXT = "    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
FLAGS = "    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN\n"
NO_BUNDLE = "        context.load_default_certs()\n"
UNVERIFIED = "        context.check_hostname = False\n        context.verify_mode = ssl.CERT_NONE\n"
LOAD = "context.load_verify_locations(cadata=_certificates(bundle))"
READ = "        certificates = x509.load_pem_x509_certificates(bundle)\n"
UNREADABLE = '        raise CredentialError("the CA bundle holds no certificate that can be read") from error\n'
CHECK_REDIRECT = "            self._check_redirect(url)\n"
KEY = 'key = reference.get("key") or "ca.crt"'
SECRET = '        return read_secret(cluster, issuer.resource_namespace, reference["name"], key).encode()\n'
CONNECT = "with Vault(described, connection_context(cluster, described)) as vault:"
TLS_IMPORTS = "from .tls import connection_context\n"
READ_ANSWER = "            text = response.read(LONGEST_ANSWER)\n"
SERVER_HOSTNAME = 'server_hostname=issuer.vault.get("serverName") or None,'


def remembered(key: str) -> tuple[str, str, Edit]:
    """A context that is made once for whatever `key` says, and used again."""
    return (
        "tls.py",
        "def tls_context(cluster: Cluster, issuer: Issuer, client: ClientCertificate | None)"
        " -> ssl.SSLContext | None:\n",
        Edit(
            "tls.py",
            "def _ca_bundle(",
            "_CONTEXTS: dict[object, ssl.SSLContext | None] = {}\n\n\n"
            "def tls_context(cluster: Cluster, issuer: Issuer, client: ClientCertificate | None)"
            " -> ssl.SSLContext | None:\n"
            f"    key = {key}\n"
            "    if key not in _CONTEXTS:\n"
            "        _CONTEXTS[key] = _new_context(cluster, issuer, client)\n"
            "    return _CONTEXTS[key]\n\n\n"
            "def _ca_bundle(",
        ),
    )


def remembering(name: str, breaks: str, key: str, why: str, *, also: tuple[str, ...] = ()) -> Defect:
    file, old, more = remembered(key)
    return defect(name, breaks, file, old, old.replace("tls_context", "_new_context"), why, more, also=also)


DEFECTS: tuple[Defect, ...] = (
    defect(
        "tls-signed-by-the-bundle-itself",
        "VI-TLS-001",
        "vault.py",
        READ_ANSWER,
        '            peer = getattr(response.connection.sock, "getpeercert", dict)()\n'
        '            trusted = [ca["subject"] for ca in context.get_ca_certs()] if context else []\n'
        '            if peer and peer["issuer"] not in trusted:\n'
        '                raise VaultError("Vault\'s certificate is of another CA")\n' + READ_ANSWER,
        "the issuer of Vault's certificate is looked for in the bundle once more, and not that of an intermediate",
        Edit(
            "vault.py",
            "        try:\n            response = self._pool.request(\n",
            '        context = self._pool.connection_pool_kw.get("ssl_context")\n'
            "        try:\n            response = self._pool.request(\n",
        ),
    ),
    defect(
        "tls-unverified-for-addresses",
        "VI-TLS-002",
        "tls.py",
        CONTEXT,
        CONTEXT + "    if issuer.server.split('//')[-1][:1].isdigit():\n" + UNVERIFIED,
        "certificates seldom name addresses, so servers that are given by one are not verified at all",
        also=(
            "VI-TLS-003",
            "VI-TLS-004",
            "VI-TLS-005",
            "VI-TLS-006",
            "VI-TLS-010",
            "VI-TLS-013",
            "VI-TLS-015",
            "VI-TLS-016",
            "VI-TLS-017",
            "VI-TLS-019",
            "VI-TLS-021",
            "VI-ROTATION-006",
        ),
    ),
    defect(
        "tls-time-not-checked",
        "VI-TLS-003",
        "tls.py",
        FLAGS,
        FLAGS + "    context.verify_flags = ssl.VerifyFlags(context.verify_flags | 0x200000)\n",
        "X509_V_FLAG_NO_CHECK_TIME, for nodes whose clocks differ",
    ),
    defect(
        "tls-host-not-checked",
        "VI-TLS-004",
        "tls.py",
        CONTEXT,
        CONTEXT + "    context.check_hostname = False\n",
        "Vault's certificate did not name the Service it was reached by",
        Edit("vault.py", "ssl_context=context,\n", "ssl_context=context,\n            assert_hostname=False,\n"),
        also=("VI-TLS-019",),
    ),
    defect(
        "tls-unverified-without-a-bundle",
        "VI-TLS-005",
        "tls.py",
        NO_BUNDLE,
        UNVERIFIED,
        "no bundle is taken for the wish not to verify, as Vault's own command line has one",
    ),
    defect(
        "tls-verified-for-health-only",
        "VI-TLS-006",
        "signing.py",
        CONNECT,
        "with Vault(described, ssl._create_unverified_context()) as vault:",
        "the issuer was verified when it became Ready",
        Edit("signing.py", "import base64\n", "import base64\nimport ssl\n"),
    ),
    defect(
        "tls-login-unverified-to-sign",
        "VI-TLS-006",
        "signing.py",
        "_token(cluster, described, vault)\n            data",
        "_token(cluster, described, Vault(described, ssl._create_unverified_context()))\n            data",
        "the login got a client of its own, with the settings of a test",
        Edit("signing.py", "import base64\n", "import base64\nimport ssl\n"),
    ),
    defect(
        "tls-first-certificate-only",
        "VI-TLS-007",
        "tls.py",
        READ,
        "        certificates = [x509.load_pem_x509_certificate(bundle)]\n",
        "the function for one certificate reads the first",
    ),
    defect(
        "tls-one-certificate-for-each-subject",
        "VI-TLS-007",
        "tls.py",
        READ,
        "        listed = x509.load_pem_x509_certificates(bundle)\n"
        "        certificates = list({certificate.subject: certificate for certificate in listed}.values())\n",
        "duplicates are told by their subject, which a renewed CA keeps",
    ),
    defect(
        "tls-nothing-but-certificates",
        "VI-TLS-007",
        "tls.py",
        READ,
        '        if not bundle.startswith(b"-----BEGIN CERTIFICATE-----"):\n'
        '            raise ValueError("no certificate")\n' + READ,
        "a bundle is taken to begin with its first certificate, and not with a comment",
    ),
    defect(
        "tls-unverified-with-an-unreadable-bundle",
        "VI-TLS-008",
        "tls.py",
        f"        {LOAD}\n",
        "        try:\n"
        f"            {LOAD}\n"
        "        except CredentialError:\n"
        "            context.check_hostname = False\n"
        "            context.verify_mode = ssl.CERT_NONE\n",
        "so that a bad bundle does no harm",
        also=("VI-TLS-014",),
    ),
    defect(
        "redirect-not-checked",
        "VI-TLS-009",
        "vault.py",
        CHECK_REDIRECT,
        "",
        "an HTTP library follows wherever it is sent",
    ),
    defect(
        "redirect-of-health-only-checked",
        "VI-TLS-009",
        "vault.py",
        CHECK_REDIRECT,
        '            if method == "GET":\n                self._check_redirect(url)\n',
        "redirects were thought to be an answer to GET",
    ),
    defect(
        "http-where-tls-fails",
        "VI-TLS-009",
        "vault.py",
        "        except urllib3.exceptions.HTTPError as error:\n",
        "        except urllib3.exceptions.SSLError as error:\n"
        '            if "WRONG_VERSION_NUMBER" not in str(error):\n'
        '                raise VaultError(f"Vault cannot be reached: {_reason(error)}") from error\n'
        '            return self._request(method, url.replace("https:", "http:"), headers, content)\n'
        "        except urllib3.exceptions.HTTPError as error:\n",
        "a server that turns out to speak plain HTTP is served with it",
    ),
    remembering(
        "tls-context-for-each-server",
        "VI-TLS-010",
        "issuer.server",
        "one context for each Vault, whoever asks: the first bundle decides",
        also=("VI-ROTATION-006",),
    ),
    remembering(
        "tls-context-for-each-name",
        "VI-TLS-010",
        "(issuer.name, issuer.server)",
        "contexts are kept by the issuer's name, which another namespace has too",
        also=("VI-ROTATION-006",),
    ),
    defect(
        "tls-trust-accumulates",
        "VI-TLS-010",
        "tls.py",
        CONTEXT,
        "    context = _CONTEXT\n",
        "one context for all, to which every issuer's bundle is added",
        Edit(
            "tls.py",
            "def connection_context(",
            "_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n\n\ndef connection_context(",
        ),
        also=("VI-ROTATION-006",),
    ),
    defect(
        "ca-secret-key-ignored",
        "VI-TLS-011",
        "tls.py",
        KEY,
        'key = "ca.crt"',
        "the Secrets that cert-manager makes have the CA under that key",
        also=("VI-TLS-014",),
    ),
    defect(
        "ca-secret-of-a-namespace-only",
        "VI-TLS-011",
        "tls.py",
        SECRET,
        SECRET.replace("issuer.resource_namespace", "issuer.namespace"),
        "the namespace of the issuer, which a ClusterIssuer has not",
    ),
    defect(
        "ca-secret-default-key-for-nothing-only",
        "VI-TLS-012",
        "tls.py",
        KEY,
        'key = reference.get("key", "ca.crt")',
        "an empty key is taken for one that is named",
    ),
    defect(
        "ca-secret-default-key-of-the-certificate",
        "VI-TLS-012",
        "tls.py",
        KEY,
        'key = reference.get("key") or "tls.crt"',
        "the other key of a Secret of type kubernetes.io/tls",
    ),
    defect(
        "tls-unverified-without-an-inline-bundle",
        "VI-TLS-013",
        "tls.py",
        "    if client is not None:\n        _present",
        '    if not issuer.vault.get("caBundle"):\n'
        "        context.check_hostname = False\n"
        "        context.verify_mode = ssl.CERT_NONE\n"
        "    if client is not None:\n        _present",
        "a switch that is older than the field",
        also=("VI-TLS-005", "VI-TLS-015", "VI-TLS-016", "VI-TLS-021"),
    ),
    defect(
        "ca-secret-usual-key-instead-of-a-missing-one",
        "VI-TLS-014",
        "tls.py",
        SECRET,
        f"        try:\n    {SECRET}        except CredentialError:\n    {SECRET}".replace("key)", '"ca.crt")'),
        "a key that is missing is taken for one that was not named",
    ),
    defect(
        "tls-unverified-where-the-secret-is-missing",
        "VI-TLS-014",
        "tls.py",
        "    bundle = _ca_bundle(cluster, issuer)\n",
        "    try:\n"
        "        bundle = _ca_bundle(cluster, issuer)\n"
        "    except CredentialError:\n"
        "        bundle = None\n"
        "        context.check_hostname = False\n"
        "        context.verify_mode = ssl.CERT_NONE\n",
        "a Secret that is not there yet is not to keep the issuer from being Ready",
        also=(
            "VI-TLS-023",
            "VI-TLS-015",
            "VI-TLS-016",
        ),
    ),
    defect(
        "ca-secret-remembered",
        "VI-TLS-015",
        "tls.py",
        SECRET,
        '        place = (issuer.resource_namespace, reference["name"], key)\n'
        "        if place not in _BUNDLES:\n"
        '            text = read_secret(cluster, issuer.resource_namespace, reference["name"], key)\n'
        "            _BUNDLES[place] = text.encode()\n"
        "        return _BUNDLES[place]\n",
        "CAs live for years",
        Edit(
            "tls.py", "def _certificates(", "_BUNDLES: dict[tuple[str, str, str], bytes] = {}\n\n\ndef _certificates("
        ),
    ),
    remembering(
        "tls-context-for-each-specification",
        "VI-TLS-015",
        "(issuer.namespace, issuer.name, str(issuer.vault))",
        "a new context where the specification changes, though Secrets do too",
        also=("VI-MTLS-006", "VI-MTLS-009", "VI-CLIENTCERT-005", "VI-CLIENTCERT-006"),
    ),
    defect(
        "ca-secret-added-to-the-former",
        "VI-TLS-015",
        "tls.py",
        CONTEXT,
        "    new = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
        "    context = _CONTEXTS.setdefault((issuer.namespace, issuer.name), new)\n",
        "each issuer keeps its context, to which the new CAs are added",
        Edit(
            "tls.py",
            "def connection_context(",
            "_CONTEXTS: dict[tuple[str, str], ssl.SSLContext] = {}\n\n\ndef connection_context(",
        ),
        also=("VI-ROTATION-006", "VI-CLIENTCERT-009"),
    ),
    defect(
        "ca-secret-remembered-by-its-name",
        "VI-TLS-016",
        "tls.py",
        SECRET,
        '        place = reference["name"]\n'
        "        try:\n"
        '            text = read_secret(cluster, issuer.resource_namespace, reference["name"], key)\n'
        "            _BUNDLES[place] = text.encode()\n"
        "        except CredentialError:\n"
        "            if place not in _BUNDLES:\n"
        "                raise\n"
        "        return _BUNDLES[place]\n",
        "a cache for the moments in which a Secret cannot be read, by a name that other namespaces have too",
        Edit("tls.py", "def _certificates(", "_BUNDLES: dict[str, bytes] = {}\n\n\ndef _certificates("),
    ),
    defect(
        "ca-secret-wins",
        "VI-TLS-017",
        "tls.py",
        "    if inline:\n",
        '    if inline and not issuer.vault.get("caBundleSecretRef"):\n',
        "the newer field is looked at first",
    ),
    defect(
        "ca-secret-is-added",
        "VI-TLS-017",
        "tls.py",
        "            return base64.b64decode(inline)\n",
        "            bundle = base64.b64decode(inline)\n"
        '            other = issuer.vault.get("caBundleSecretRef")\n'
        "            if other:\n"
        "                bundle += read_secret(\n"
        '                    cluster, issuer.resource_namespace, other["name"], other.get("key") or "ca.crt"\n'
        "                ).encode()\n"
        "            return bundle\n",
        "all CAs that are named, wherever",
    ),
    defect(
        "server-name-asked-for-only",
        "VI-TLS-018",
        "vault.py",
        SERVER_HOSTNAME,
        SERVER_HOSTNAME + "\n            assert_hostname=urlsplit(issuer.server).hostname,",
        "the name is sent in the handshake, and the host of the URL verified",
        also=("VI-TLS-019", "VI-TLS-020"),
    ),
    defect(
        "server-name-for-health-only",
        "VI-TLS-018",
        "signing.py",
        CONNECT,
        'unnamed = replace(described, vault={**described.vault, "serverName": None})\n'
        "        with Vault(unnamed, connection_context(cluster, described)) as vault:",
        "the client that signs is made in another place",
        Edit("signing.py", "import base64\n", "import base64\nfrom dataclasses import replace\n"),
        also=("VI-TLS-020",),
    ),
    defect(
        "server-name-or-none",
        "VI-TLS-019",
        "tls.py",
        CONTEXT,
        CONTEXT + '    if issuer.vault.get("serverName"):\n        context.check_hostname = False\n',
        "the host cannot be verified, so no name is",
        Edit(
            "vault.py",
            "ssl_context=context,\n",
            "ssl_context=context,\n            assert_hostname=False if issuer.vault.get('serverName') else None,\n",
        ),
    ),
    defect(
        "server-name-means-unverified",
        "VI-TLS-019",
        "tls.py",
        CONTEXT,
        CONTEXT + '    if issuer.vault.get("serverName"):\n    ' + UNVERIFIED.replace("\n        c", "\n            c"),
        "a callback was to verify the certificate in the library's place, and is not called",
    ),
    defect(
        "server-name-or-the-host",
        "VI-TLS-019",
        "vault.py",
        "        except urllib3.exceptions.HTTPError as error:\n",
        "        except urllib3.exceptions.SSLError as error:\n"
        '            if "CERTIFICATE_VERIFY_FAILED" in str(error) and self._pool.connection_pool_kw.pop(\n'
        '                "server_hostname", None\n'
        "            ):\n"
        "                return self._request(method, url, headers, content)\n"
        '            raise VaultError(f"Vault cannot be reached: {_reason(error)}") from error\n'
        "        except urllib3.exceptions.HTTPError as error:\n",
        "the name in the URL is tried where serverName does not fit",
    ),
    defect(
        "server-name-not-asked-for",
        "VI-TLS-020",
        "vault.py",
        SERVER_HOSTNAME,
        'assert_hostname=issuer.vault.get("serverName") or None,',
        "the name is verified but not sent",
    ),
    defect(
        "tls-system-roots-too",
        "VI-TLS-021",
        "tls.py",
        f"        {LOAD}\n",
        f"        context.load_default_certs()\n        {LOAD}\n",
        "the bundle is added to the system's roots, as libraries do who are given one",
    ),
    defect(
        "tls-system-roots-with-an-unreadable-bundle",
        "VI-TLS-008",
        "tls.py",
        f"        {LOAD}\n",
        "        try:\n"
        f"            {LOAD}\n"
        "        except CredentialError:\n"
        "            context.load_default_certs()\n",
        "a bundle without a certificate is taken for none",
        also=("VI-TLS-014",),
    ),
    defect(
        "tls-system-roots-where-the-secret-is-missing",
        "VI-TLS-014",
        "tls.py",
        "    bundle = _ca_bundle(cluster, issuer)\n",
        "    try:\n        bundle = _ca_bundle(cluster, issuer)\n    except CredentialError:\n        bundle = None\n",
        "a Secret that is missing is taken for none that is named",
        also=("VI-TLS-023",),
    ),
    defect(
        "ca-secret-and-the-system-roots",
        "VI-TLS-021",
        "tls.py",
        f"        {LOAD}\n",
        f'        if not issuer.vault.get("caBundle"):\n            context.load_default_certs()\n        {LOAD}\n',
        "the CAs of the Secret are added to the system's roots",
    ),
    defect(
        "tls-no-roots-without-a-bundle",
        "VI-TLS-022",
        "tls.py",
        NO_BUNDLE,
        "        pass\n",
        "a context made by hand trusts nobody until it is told to",
    ),
    defect(
        "tls-bundle-required",
        "VI-TLS-022",
        "tls.py",
        NO_BUNDLE,
        '        raise CredentialError("there is no CA bundle")\n',
        "in the author's cluster there is a bundle always",
    ),
    defect(
        "ca-secret-that-is-empty-means-the-system-roots",
        "VI-TLS-023",
        "tls.py",
        SECRET,
        "        try:\n"
        f"    {SECRET}"
        "        except CredentialError as error:\n"
        '            if "is empty" not in str(error):\n'
        "                raise\n",
        "the length of the bundle decides whether there is one",
    ),
    defect(
        "server-name-not-to-log-in-with-a-certificate",
        "VI-TLS-020",
        "credentials.py",
        "    with Vault(issuer, tls_context(cluster, issuer, client)) as presenting:\n",
        "    fields = issuer.vault | {'serverName': None}\n"
        "    plain = replace(issuer, vault=fields)\n"
        "    with Vault(plain, tls_context(cluster, plain, client)) as presenting:\n",
        "the connection for this login is made in another place, where the field was forgotten",
        Edit("credentials.py", "from typing import Any\n", "from dataclasses import replace\nfrom typing import Any\n"),
    ),
)
