"""Mistakes with a service account's token in a Secret."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

KEY = '        key = reference.get("key") or "token"\n'
READ = KEY + '        jwt = read_secret(cluster, issuer.resource_namespace, reference["name"], key).strip()\n'
MOUNT = 'mount = (kubernetes.get("mountPath") or "/v1/auth/kubernetes").strip("/")'
ENCODED = '    encoded = (secret.get("data") or {}).get(key)\n'
FOUND = "    secret = cluster.find(SECRETS, namespace, name)\n"
NO_TOKEN = "        if not isinstance(token, str) or not token:\n"
GOT = '        token = (answer.get("auth") or {}).get("client_token")\n'

DEFECTS: tuple[Defect, ...] = (
    defect(
        "kstatic-usual-key-preferred",
        "VI-KSTATIC-001",
        "credentials.py",
        READ,
        "        try:\n"
        '            jwt = read_secret(cluster, issuer.resource_namespace, reference["name"], "token")\n'
        "        except CredentialError:\n" + READ.replace("        ", "            "),
        "a Secret of a service account has the token under `token`",
        also=("VI-KSTATIC-005",),
    ),
    defect(
        "kstatic-last-segment-of-the-mount",
        "VI-KSTATIC-001",
        "credentials.py",
        MOUNT,
        'mount = "v1/auth/" + (kubernetes.get("mountPath") or "kubernetes").strip("/").rpartition("/")[2]',
        "the mount's name is taken from the path, without what it is mounted below",
        also=("VI-JWT-001",),
    ),
    defect(
        "kstatic-role-remembered-for-each-mount",
        "VI-KSTATIC-001",
        "credentials.py",
        '    return vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})\n',
        '    return vault.log_in(f"/{mount}/login", {"role": issuer.name, "jwt": jwt})\n',
        "the role is taken to have the issuer's name",
    ),
    defect(
        "kstatic-opaque-secrets-only",
        "VI-KSTATIC-002",
        "secret_values.py",
        FOUND,
        FOUND + '    if secret is not None and secret.get("type") != "Opaque":\n'
        '        raise CredentialError(f"the Secret {namespace}/{name} is of another type")\n',
        "credentials are expected in Secrets that people make",
    ),
    defect(
        "kstatic-missing-is-remembered",
        "VI-KSTATIC-002",
        "secret_values.py",
        FOUND,
        "    if (namespace, name) in _missing:\n"
        "        secret = None\n"
        "    else:\n"
        f"    {FOUND}"
        "    if secret is None:\n"
        "        _missing.add((namespace, name))\n",
        "a cache of Secrets that knows what is missing as well",
        Edit(
            "secret_values.py",
            "def read_secret(",
            "_missing: set[tuple[str, str]] = set()\n\n\ndef read_secret(",
        ),
        also=("VI-ROTATION-002", "VI-ROTATION-003", "VI-TLS-015", "VI-MTLS-006", "VI-CLIENTCERT-005"),
    ),
    defect(
        "kstatic-default-mount-without-v1",
        "VI-KSTATIC-003",
        "credentials.py",
        MOUNT,
        'mount = (kubernetes.get("mountPath") or "auth/kubernetes").strip("/")',
        "paths are written without /v1 elsewhere",
        also=("VI-KSECRETLESS-001",),
    ),
    defect(
        "kstatic-mount-required",
        "VI-KSTATIC-003",
        "configuration.py",
        '    _require(kubernetes.get("role"), "auth.kubernetes.role is empty")\n',
        '    _require(kubernetes.get("role"), "auth.kubernetes.role is empty")\n'
        '    _require(kubernetes.get("mountPath"), "auth.kubernetes.mountPath is empty")\n',
        "the example of the page has the field",
        also=("VI-KSECRETLESS-001",),
    ),
    defect(
        "kstatic-default-key-of-another-method",
        "VI-KSTATIC-004",
        "credentials.py",
        READ,
        READ.replace('or "token"', 'or "jwt"'),
        "the field of the login has that name",
    ),
    defect(
        "kstatic-usual-key-instead-of-a-missing-one",
        "VI-KSTATIC-005",
        "credentials.py",
        READ,
        "        try:\n" + READ.replace("        ", "            ") + "        except CredentialError:\n"
        '            jwt = read_secret(cluster, issuer.resource_namespace, reference["name"], "token")\n',
        "a key that is missing, or empty, is taken for one that was not named",
    ),
    defect(
        "kstatic-any-key-that-holds-a-jwt",
        "VI-KSTATIC-005",
        "secret_values.py",
        ENCODED,
        '    data = secret.get("data") or {}\n'
        '    encoded = data.get(key) or next((v for v in data.values() if v.startswith("ZXl")), None)\n',
        "a JWT is known by how it begins, wherever in the Secret it is",
    ),
    defect(
        "kstatic-token-refreshed",
        "VI-KSTATIC-006",
        "credentials.py",
        READ,
        READ + "        try:\n"
        '            account = json.loads(base64.urlsafe_b64decode(jwt.split(".")[1] + "=="))["sub"].split(":")[3]\n'
        "            jwt = cluster.create_token(issuer.resource_namespace, account, [], TOKEN_SECONDS)\n"
        "        except (ClusterError, ValueError, LookupError):\n"
        "            pass\n",
        "a token that never expires is exchanged for one that does, where that is allowed",
        Edit("credentials.py", "from typing import Any\n", "import base64\nimport json\nfrom typing import Any\n"),
    ),
    defect(
        "login-answered-with-an-empty-token",
        "VI-KSTATIC-007",
        "vault.py",
        NO_TOKEN,
        "        if not isinstance(token, str):\n",
        "only a token that is missing was thought of",
        also=("VI-APPROLE-004", "VI-KSECRETLESS-016"),
    ),
    defect(
        "kstatic-line-break-is-no-jwt",
        "VI-KSTATIC-008",
        "credentials.py",
        READ,
        READ.replace(".strip()", "") + '        if not all(letter.isalnum() or letter in "-_." for letter in jwt):\n'
        '            raise CredentialError("the Secret holds no JWT")\n',
        "a JWT is looked at for characters that none has",
    ),
)
