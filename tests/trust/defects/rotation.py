"""Mistakes with changes: of Secrets, service accounts and specifications."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

DEFECTS: tuple[Defect, ...] = (
    defect(
        "secret-is-read-once",
        "VI-ROTATION-001",
        "secret_values.py",
        "    secret = cluster.find(SECRETS, namespace, name)\n    if secret is None:\n",
        "    secret = cluster.find(SECRETS, namespace, name)\n"
        "    if secret is not None:\n"
        '        secret = _READ.setdefault((secret["metadata"]["uid"], key), secret)\n'
        "    if secret is None:\n",
        "what was read of a Secret is kept as long as the Secret is the same; its data may change",
        Edit(
            "secret_values.py",
            "class CredentialError",
            "_READ: dict[tuple[str, str], object] = {}\n\n\nclass CredentialError",
        ),
        also=("VI-ROTATION-002",),
    ),
    defect(
        "login-is-kept-for-the-issuer",
        "VI-ROTATION-001",
        "signing.py",
        "            token = _token(cluster, described, vault)\n",
        '            kept = (issuer["metadata"]["uid"], issuer["metadata"]["generation"])\n'
        "            token = _TOKENS.get(kept) or _token(cluster, described, vault)\n"
        "            _TOKENS[kept] = token\n",
        "a Vault token lives for a while and is kept; that its credential was replaced goes unnoticed",
        Edit("signing.py", "class RefusedError", "_TOKENS: dict[tuple[str, int], str] = {}\n\n\nclass RefusedError"),
    ),
    defect(
        "token-of-the-time-before",
        "VI-ROTATION-001",
        "signing.py",
        "            token = _token(cluster, described, vault)\n",
        "            fresh = _token(cluster, described, vault)\n"
        '            token = _TOKENS.get(issuer["metadata"]["uid"], fresh)\n'
        '            _TOKENS[issuer["metadata"]["uid"]] = fresh\n',
        "the token that is kept is renewed when it is used: the one of before is used once more",
        Edit("signing.py", "class RefusedError", "_TOKENS: dict[str, str] = {}\n\n\nclass RefusedError"),
        also=("VI-ROTATION-005", "VI-ROTATION-007"),
    ),
    defect(
        "missing-secret-is-waited-for-in-vain",
        "VI-ROTATION-002",
        "issuers.py",
        "            raise TryAgainError(str(error)) from error\n",
        "            if not isinstance(error, CredentialError):\n"
        "                raise TryAgainError(str(error)) from error\n",
        "a missing Secret is not looked for again, since Secrets are watched: those that are new are overlooked",
        Edit(
            "issuers.py",
            '            metadata = (new or old or {})["metadata"]\n',
            "            if old is None:\n                return\n"
            '            metadata = (new or old or {})["metadata"]\n',
        ),
        also=("VI-ROTATION-003",),
    ),
    defect(
        "missing-service-account-is-waited-for-in-vain",
        "VI-ROTATION-002",
        "issuers.py",
        "            raise TryAgainError(str(error)) from error\n",
        "            if not isinstance(error, CredentialError):\n"
        "                raise TryAgainError(str(error)) from error\n",
        "a missing credential is not looked for again, since Secrets are watched: service accounts are not",
        Edit("issuers.py", "        service_accounts.on_change(self._referenced_changed(service_account_names))\n", ""),
    ),
    defect(
        "refused-credential-is-waited-for-in-vain",
        "VI-ROTATION-002",
        "issuers.py",
        "            raise TryAgainError(str(error)) from error\n",
        "            if not isinstance(error, VaultRefusalError):\n"
        "                raise TryAgainError(str(error)) from error\n",
        "a refused login is not repeated, since Secrets are watched: only those that come and go are",
        Edit(
            "issuers.py",
            '            metadata = (new or old or {})["metadata"]\n',
            "            if old is not None and new is not None:\n                return\n"
            '            metadata = (new or old or {})["metadata"]\n',
        ),
        Edit("issuers.py", "import Vault, VaultError", "import Vault, VaultError, VaultRefusalError"),
    ),
    defect(
        "deleted-secret-is-remembered",
        "VI-ROTATION-003",
        "secret_values.py",
        "    secret = cluster.find(SECRETS, namespace, name)\n",
        "    secret = cluster.find(SECRETS, namespace, name) or _READ.get((namespace, name))\n"
        "    if secret is not None:\n"
        "        _READ[namespace, name] = secret\n",
        "Secrets are kept, for the case that the API server does not answer, and never let go of",
        Edit(
            "secret_values.py",
            "class CredentialError",
            "_READ: dict[tuple[str, str], object] = {}\n\n\nclass CredentialError",
        ),
        also=("VI-ROTATION-004",),
    ),
    defect(
        "deletion-goes-unnoticed",
        "VI-ROTATION-004",
        "issuers.py",
        '            metadata = (new or old or {})["metadata"]\n',
        '            if new is None:\n                return\n            metadata = new["metadata"]\n',
        "a deleted object was thought to need no look",
    ),
    defect(
        "secrets-of-namespaced-issuers",
        "VI-ROTATION-004",
        "issuers.py",
        '                    if issuer.resource_namespace != metadata["namespace"]:\n',
        '                    if issuer.namespace != metadata["namespace"]:\n',
        "the Secrets of a cluster-scoped issuer, which has no namespace, are never found",
    ),
    defect(
        "secrets-of-app-roles-and-tokens",
        "VI-ROTATION-004",
        "configuration.py",
        '        (auth.get("kubernetes") or {}).get("secretRef"),\n    ]\n',
        "    ]\n",
        "the third kind of Secret was added later and forgotten here",
    ),
    defect(
        "path-is-read-once",
        "VI-ROTATION-005",
        "signing.py",
        "    described = read_issuer(resource, issuer, cluster_resource_namespace)\n",
        "    described = read_issuer(resource, issuer, cluster_resource_namespace)\n"
        '    described.vault["path"] = _PATHS.setdefault(issuer["metadata"]["uid"], described.path)\n',
        "where an issuer signs was thought never to change",
        Edit("signing.py", "class RefusedError", "_PATHS: dict[str, str] = {}\n\n\nclass RefusedError"),
    ),
    defect(
        "server-is-read-once",
        "VI-ROTATION-005",
        "signing.py",
        "    described = read_issuer(resource, issuer, cluster_resource_namespace)\n",
        "    described = read_issuer(resource, issuer, cluster_resource_namespace)\n"
        '    described.vault["server"] = _SERVERS.setdefault(issuer["metadata"]["uid"], described.server)\n',
        "a client is kept for every issuer, with the server of its first request",
        Edit("signing.py", "class RefusedError", "_SERVERS: dict[str, str] = {}\n\n\nclass RefusedError"),
    ),
    defect(
        "trust-is-kept-by-server",
        "VI-ROTATION-006",
        "tls.py",
        "    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n",
        "    if client is None and issuer.server in _KEPT:\n"
        "        return _KEPT[issuer.server]\n"
        "    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n",
        "a TLS context costs time, and is kept for each server",
        Edit(
            "tls.py", "class ClientCertificate(", "_KEPT: dict[str, ssl.SSLContext] = {}\n\n\nclass ClientCertificate("
        ),
        Edit(
            "tls.py",
            "    if client is not None:\n        _present(context, client)\n",
            "    if client is not None:\n        _present(context, client)\n"
            "    else:\n        _KEPT[issuer.server] = context\n",
        ),
        also=("VI-TLS-010", "VI-TLS-015"),
    ),
    defect(
        "bundles-add-up",
        "VI-ROTATION-006",
        "tls.py",
        "    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n",
        "    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
        "    if client is None:\n"
        "        context = _KEPT.setdefault(issuer.server, context)\n",
        "the new CA bundle is loaded into the context that has the old one",
        Edit(
            "tls.py", "class ClientCertificate(", "_KEPT: dict[str, ssl.SSLContext] = {}\n\n\nclass ClientCertificate("
        ),
        also=("VI-TLS-010", "VI-TLS-015"),
    ),
    defect(
        "method-is-read-once",
        "VI-ROTATION-007",
        "signing.py",
        "    described = read_issuer(resource, issuer, cluster_resource_namespace)\n",
        "    described = read_issuer(resource, issuer, cluster_resource_namespace)\n"
        '    described.vault["auth"] = _AUTHS.setdefault(issuer["metadata"]["uid"], described.auth)\n',
        "how an issuer authenticates was thought never to change",
        Edit("signing.py", "class RefusedError", "_AUTHS: dict[str, dict[str, object]] = {}\n\n\nclass RefusedError"),
    ),
    defect(
        "verified-by-server-and-path",
        "VI-ROTATION-008",
        "issuers.py",
        "        try:\n            self._prove(resource, item)\n",
        '        place = (item["spec"]["vault"].get("server"), item["spec"]["vault"].get("path"))\n'
        "        try:\n"
        "            if self._proven.get(key) != place:\n"
        "                self._prove(resource, item)\n",
        "a Vault that was verified is not verified again while server and path stay; its auth may change",
        Edit(
            "issuers.py",
            '            self._write(resource, item, "True", "VaultVerified", "Vault verified")\n',
            '            self._write(resource, item, "True", "VaultVerified", "Vault verified")\n'
            "            self._proven[key] = place\n",
        ),
        Edit(
            "issuers.py",
            "        self._watchers = {",
            "        self._proven: dict[IssuerKey, tuple[str, str]] = {}\n        self._watchers = {",
        ),
        also=("VI-ROTATION-004", "VI-ROTATION-007", "VI-HEALTH-014"),
    ),
    defect(
        "ready-outlives-a-missing-credential",
        "VI-ROTATION-008",
        "issuers.py",
        "        except (CredentialError, VaultError) as error:\n",
        "        except (CredentialError, VaultError) as error:\n"
        '            if isinstance(error, CredentialError) and condition(item, "Ready").get("status") == "True":\n'
        "                raise TryAgainError(str(error)) from error\n",
        "a Secret that is gone for a moment was not to disturb a Ready issuer",
        Edit("issuers.py", "import set_ready, write_status", "import condition, set_ready, write_status"),
        also=("VI-ROTATION-003", "VI-ROTATION-004", "VI-HEALTH-014"),
    ),
    defect(
        "request-without-its-secret-fails",
        "VI-ROTATION-003",
        "signing.py",
        "    except (InvalidConfigurationError, CredentialError, VaultError) as error:\n",
        "    except CredentialError as error:\n"
        "        raise RefusedError(str(error)) from error\n"
        "    except (InvalidConfigurationError, VaultError) as error:\n",
        "a request of an issuer that is Ready was thought not to meet a missing Secret, unless somebody made a mistake",
        Edit(
            "signing.py",
            '    return bool(ready.get("observedGeneration") == issuer["metadata"]["generation"])\n',
            "    return True\n",
        ),
        also=("VI-REQUEST-013",),
    ),
    defect(
        "changed-secrets-are-read-when-needed",
        "VI-ROTATION-004",
        "issuers.py",
        '            metadata = (new or old or {})["metadata"]\n',
        "            if old is not None and new is not None:\n"
        "                return\n"
        '            metadata = (new or old or {})["metadata"]\n',
        "a Secret that is there was thought to be good",
        also=("VI-ROTATION-002",),
    ),
    defect(
        "secrets-of-authorities-are-read-when-needed",
        "VI-ROTATION-004",
        "configuration.py",
        '        vault.get("caBundleSecretRef"),\n',
        "",
        "credentials were thought of, and not what the connection needs",
        also=("VI-TLS-015",),
    ),
)
