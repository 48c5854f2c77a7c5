"""Mistakes with a token in a Secret."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

READ = 'return read_secret(cluster, issuer.resource_namespace, reference["name"], key).strip()'
#: The reading of a stored JWT has the same key.
KEY = f'key = reference.get("key") or "token"\n    {READ}'
EMPTY = "    if not value.strip():\n"
OBTAIN = "            obtain_token(self._cluster, issuer, vault)\n"
TOKEN = '        token = _stored_token(cluster, issuer, issuer.auth["tokenSecretRef"])\n'
ENCODED = '    encoded = (secret.get("data") or {}).get(key)\n'

DEFECTS: tuple[Defect, ...] = (
    defect(
        "token-key-ignored",
        "VI-TOKEN-001",
        "credentials.py",
        KEY,
        f'key = "token"\n    {READ}',
        "the key of the reference is overlooked: in the author's own cluster it is always `token`",
        also=("VI-TOKEN-003", "VI-TOKEN-005"),
    ),
    defect(
        "token-usual-key-preferred",
        "VI-TOKEN-001",
        "credentials.py",
        f"    {KEY}\n",
        '    for key in ("token", reference.get("key")):\n'
        "        try:\n"
        f"            {READ}\n"
        "        except CredentialError as error:\n"
        "            missing = error\n"
        "    raise missing\n",
        "the usual key is looked for first",
        also=("VI-TOKEN-003", "VI-TOKEN-005"),
    ),
    defect(
        "token-only-key-is-taken",
        "VI-TOKEN-003",
        "secret_values.py",
        ENCODED,
        '    data = secret.get("data") or {}\n'
        "    encoded = data.get(key, next(iter(data.values()), None) if len(data) == 1 else None)\n",
        "a Secret with one key cannot be misunderstood",
        also=("VI-APPROLE-003",),
    ),
    defect(
        "token-login-first",
        "VI-TOKEN-002",
        "credentials.py",
        TOKEN,
        "        try:\n"
        '            vault.log_in("/v1/auth/kubernetes/login", {"role": issuer.name, "jwt": issuer.audience})\n'
        "        except VaultError:\n"
        f"            pass\n{TOKEN}",
        "the login is made before it is known whether one is needed",
        Edit("credentials.py", "from .vault import Vault\n", "from .vault import Vault, VaultError\n"),
    ),
    defect(
        "token-exchanged-at-a-login",
        "VI-TOKEN-002",
        "credentials.py",
        TOKEN,
        TOKEN + "        try:\n"
        '            token = vault.log_in("/v1/auth/token/login", {"token": token})\n'
        "        except VaultError:\n"
        "            pass\n",
        "every method logs in, so this one does, as Vault's command line says `vault login`",
        Edit("credentials.py", "from .vault import Vault\n", "from .vault import Vault, VaultError\n"),
    ),
    defect(
        "token-usual-key-instead-of-a-missing-one",
        "VI-TOKEN-003",
        "secret_values.py",
        ENCODED,
        '    data = secret.get("data") or {}\n    encoded = data.get(key, data.get("token"))\n',
        "a key that is missing is taken for one that was not named",
        also=("VI-KSTATIC-005",),
    ),
    defect(
        "token-read-only-to-sign",
        "VI-TOKEN-003",
        "issuers.py",
        OBTAIN,
        '            if not issuer.auth.get("tokenSecretRef"):\n    ' + OBTAIN,
        "a token needs no login, so there seems to be nothing to check",
        also=("VI-TOKEN-009", "VI-SCOPE-001", "VI-SCOPE-002", "VI-SCOPE-007", "VI-ROTATION-004"),
    ),
    defect(
        "token-key-without-default",
        "VI-TOKEN-004",
        "credentials.py",
        KEY,
        f'key = reference.get("key") or "secretId"\n    {READ}',
        "the default was copied from the AppRole's reference",
    ),
    defect(
        "token-key-required",
        "VI-TOKEN-004",
        "configuration.py",
        '        _require(method.get("name"), "auth.tokenSecretRef.name is empty")\n',
        '        _require(method.get("name"), "auth.tokenSecretRef.name is empty")\n'
        '        _require(method.get("key"), "auth.tokenSecretRef.key is empty")\n',
        "every reference needs a name and a key",
    ),
    defect(
        "token-usual-key-instead-of-an-empty-one",
        "VI-TOKEN-005",
        "secret_values.py",
        EMPTY,
        '    other = base64.b64decode((secret.get("data") or {}).get("token", "")).decode()\n'
        "    value = value if value.strip() else other\n" + EMPTY,
        "`or` where only a missing key was meant",
        also=("VI-KSTATIC-005",),
    ),
    defect(
        "token-of-another-issuer-instead-of-an-empty-one",
        "VI-TOKEN-005",
        "credentials.py",
        TOKEN,
        "        try:\n"
        f"    {TOKEN}"
        "            _last_token[issuer.resource_namespace] = token\n"
        "        except CredentialError:\n"
        "            if issuer.resource_namespace not in _last_token:\n"
        "                raise\n"
        "            token = _last_token[issuer.resource_namespace]\n",
        "the last good token bridges the moments in which a Secret is written",
        Edit("credentials.py", "TOKEN_SECONDS = 600\n", "TOKEN_SECONDS = 600\n_last_token: dict[str, str] = {}\n"),
        also=("VI-TOKEN-009",),
    ),
    defect(
        "token-line-feed-only-cut",
        "VI-TOKEN-006",
        "credentials.py",
        READ,
        READ.replace(".strip()", '.rstrip("\\n")'),
        "files end in a line feed, at least those of the author",
    ),
    defect(
        "token-cut-at-its-end-only",
        "VI-TOKEN-006",
        "credentials.py",
        READ,
        READ.replace(".strip()", ".rstrip()"),
        "nothing is expected in front of a token",
    ),
    defect(
        "token-remembered",
        "VI-TOKEN-007",
        "credentials.py",
        TOKEN,
        '        place = (issuer.resource_namespace, issuer.auth["tokenSecretRef"]["name"])\n'
        "        if place not in _tokens:\n"
        '            _tokens[place] = _stored_token(cluster, issuer, issuer.auth["tokenSecretRef"])\n'
        "        token = _tokens[place]\n",
        "a static token is read once",
        Edit(
            "credentials.py",
            "TOKEN_SECONDS = 600\n",
            "TOKEN_SECONDS = 600\n_tokens: dict[tuple[str, str], str] = {}\n",
        ),
        also=("VI-ROTATION-001", "VI-ROTATION-003", "VI-ROTATION-004"),
    ),
    defect(
        "token-remembered-to-sign",
        "VI-TOKEN-007",
        "signing.py",
        "            token = _token(cluster, described, vault)\n",
        '            known = (issuer["metadata"]["uid"], issuer["metadata"]["generation"])\n'
        '            if not described.auth.get("tokenSecretRef") or known not in _TOKENS:\n'
        "                _TOKENS[known] = _token(cluster, described, vault)\n"
        "            token = _TOKENS[known]\n",
        "a static token is read again when the issuer changes, not when its Secret does",
        Edit("signing.py", "def sign(\n", "_TOKENS: dict[tuple[str, int], str] = {}\n\n\ndef sign(\n"),
        also=("VI-ROTATION-001", "VI-ROTATION-003"),
    ),
    defect(
        "token-renewed",
        "VI-TOKEN-008",
        "signing.py",
        "            data = vault.sign(",
        '            if described.auth.get("tokenSecretRef"):\n'
        "                vault.renew(token)\n"
        "            data = vault.sign(",
        "a token that would expire is kept alive",
        Edit(
            "vault.py",
            "    def sign(self,",
            "    def renew(self, token: str) -> None:\n"
            '        self._call("POST", "/v1/auth/token/renew-self", body={}, headers={"X-Vault-Token": token})\n\n'
            "    def sign(self,",
        ),
    ),
    defect(
        "token-of-a-child",
        "VI-TOKEN-008",
        "signing.py",
        "            data = vault.sign(",
        '            if described.auth.get("tokenSecretRef"):\n'
        "                vault.child(token)\n"
        "            data = vault.sign(",
        "a token of short life is made of the one that is stored, where Vault allows it",
        Edit(
            "vault.py",
            "    def sign(self,",
            "    def child(self, token: str) -> None:\n"
            '        headers = {"X-Vault-Token": token}\n'
            '        self._call("POST", "/v1/auth/token/create", body={"ttl": "1m"}, headers=headers)\n\n'
            "    def sign(self,",
        ),
    ),
    defect(
        "token-of-blanks-is-no-empty-one",
        "VI-TOKEN-009",
        "secret_values.py",
        EMPTY,
        "    if not value:\n",
        "the value is cut after it was looked at",
    ),
    defect(
        "token-may-be-empty",
        "VI-TOKEN-009",
        "credentials.py",
        READ,
        "try:\n"
        f"        {READ}\n"
        "    except CredentialError as error:\n"
        '        if "empty" in str(error):\n'
        '            return ""\n'
        "        raise",
        "an empty token is a token: that it is refused is Vault's to say",
    ),
)
