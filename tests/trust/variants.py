"""Right variants of the sample controller that differ in what the requirements leave open."""

from __future__ import annotations

from .mutants import Edit, Mutant

#: What leaves Vault to find out the same in another form.
OTHER_FORMS = Mutant(
    "other-forms",
    (
        Edit(
            "issuers.py",
            "            vault.check_health()\n            obtain_token(self._cluster, issuer, vault)\n",
            "            obtain_token(self._cluster, issuer, vault)\n            vault.check_health()\n",
        ),
        Edit("csr.py", "    return {\n", "    everything = {\n"),
        Edit(
            "csr.py",
            '",".join(str(address) for address in names.get_values_for_type(x509.IPAddress)),\n',
            "[str(address) for address in names.get_values_for_type(x509.IPAddress)],\n",
        ),
        Edit(
            "csr.py",
            '",".join(names.get_values_for_type(x509.UniformResourceIdentifier)),\n',
            "list(names.get_values_for_type(x509.UniformResourceIdentifier)),\n",
        ),
        Edit("csr.py", '        "ttl": duration or DEFAULT_DURATION,\n', '        "ttl": _seconds(duration),\n'),
        Edit(
            "csr.py",
            '        "exclude_cn_from_sans": "true",\n    }\n',
            '        "exclude_cn_from_sans": True,\n    }\n'
            "    return {field: value for field, value in everything.items() if value}\n\n\n"
            "def _seconds(duration: str | None) -> int:\n"
            '    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}\n'
            '    parts = re.findall(r"([0-9.]+)(h|ms|m|s)", duration or DEFAULT_DURATION)\n'
            "    return int(sum(float(number) * units[unit] for number, unit in parts))\n",
        ),
        Edit("csr.py", "from datetime import", "import re\nfrom datetime import"),
        Edit(
            "credentials.py",
            '[*(reference.get("audiences") or []), issuer.audience, issuer.server]',
            '[issuer.server, issuer.audience, *reversed(reference.get("audiences") or [])]',
        ),
        Edit("vault.py", '{"X-Vault-Request": "true"} | (headers or {})', "dict(headers or {})"),
        Edit("vault.py", 'self._call("POST", path, body=credentials', 'self._call("PUT", path, body=credentials'),
    ),
    "health after the login; seconds, a boolean and lists instead of strings; nothing that is empty; PUT for a login; "
    "the audiences the other way round",
)

SLOW_AND_WATCHFUL = Mutant(
    "slow-and-watchful",
    (
        Edit("work_queue.py", "FIRST_DELAY = 0.5\n", "FIRST_DELAY = 3.0\n"),
        Edit(
            "issuers.py",
            '            self._write(resource, item, "True", "VaultVerified", "Vault verified")\n',
            '            self._write(resource, item, "True", "VaultVerified", "Vault verified")\n'
            "            self.queue.add(key, delay=2.0)\n",
        ),
        Edit("vault.py", '"/v1/sys/health")', '"/v1/sys/health?standbyok=true&perfstandbyok=true")'),
        Edit("vault.py", "quote(path)", 'quote(path, safe="/?=&")'),
        Edit(
            "signing.py",
            '    return bool(ready.get("observedGeneration") == issuer["metadata"]["generation"])\n',
            "    return True\n",
        ),
    ),
    "the next attempt after seconds; Ready issuers are looked at again; standbys answer like active nodes; "
    "a request goes by the condition alone",
)

OTHER_WORDS = Mutant(
    "other-words",
    (
        Edit("issuers.py", '"VaultVerified"', '"Ok"'),
        Edit("issuers.py", '"InvalidConfiguration"', '"Misconfigured"'),
        Edit("issuers.py", '"VaultError"', '"NoVault"'),
        Edit(
            "issuers.py",
            'record(self._cluster, resource, item, "Warning", reason, message)',
            'record(self._cluster, resource, item, "Warning", "NotReady", f"This issuer cannot sign: {message}")',
        ),
        Edit(
            "certificate_requests.py",
            "        record(self._cluster, CERTIFICATE_REQUESTS, request, kind, reason, message)\n",
            '        if reason != "Pending":\n'
            '            record(self._cluster, CERTIFICATE_REQUESTS, request, kind, f"Request{reason}", message)\n',
        ),
        Edit("certificate_requests.py", '"The request was denied"', '"denied by its approver"'),
        Edit("conditions.py", "LONGEST_MESSAGE = 1024\n", "LONGEST_MESSAGE = 256\n"),
        Edit(
            "configuration.py",
            '    _check_server(issuer.server)\n    _require(issuer.path, "path is empty")\n',
            '    _require(issuer.path, "path is empty")\n    _check_server(issuer.server)\n',
        ),
    ),
    "reasons and events of its own, no event while a request waits, shorter messages, checks in another order",
)

CACHED_AND_HASTY = Mutant(
    "cached-and-hasty",
    (
        Edit(
            "cluster.py",
            'SECRETS = Resource("", "v1", "Secret", "secrets", metadata_only=True)',
            'SECRETS = Resource("", "v1", "Secret", "secrets")',
        ),
        Edit(
            "secret_values.py",
            "    secret = cluster.find(SECRETS, namespace, name)\n",
            "    secret = WATCHED[0].get((namespace, name))\n",
        ),
        Edit(
            "secret_values.py",
            "from .cluster import SECRETS, Cluster\n",
            "from .cluster import Cluster\nfrom .watching import Watcher\n",
        ),
        Edit(
            "secret_values.py",
            "class CredentialError(Exception):",
            "#: The watcher of Secrets.\nWATCHED: list[Watcher] = []\n\n\nclass CredentialError(Exception):",
        ),
        Edit(
            "watching.py",
            "    def _run(self)",
            "    def get(self, key: Key) -> Object | None:\n"
            "        with self._lock:\n"
            "            return self._items.get(key)\n\n"
            "    def _run(self)",
        ),
        Edit(
            "__main__.py",
            "    secrets = Watcher(cluster, SECRETS)\n",
            "    secrets = Watcher(cluster, SECRETS)\n    WATCHED.append(secrets)\n",
        ),
        Edit(
            "__main__.py",
            "from .issuers import IssuerController\n",
            "from .issuers import IssuerController\nfrom .secret_values import WATCHED\n",
        ),
        Edit("work_queue.py", "FIRST_DELAY = 0.5\n", "FIRST_DELAY = 0.1\n"),
        Edit("work_queue.py", "LONGEST_DELAY = 5.0\n", "LONGEST_DELAY = 1.0\n"),
        Edit(
            "chain.py",
            "    intermediates = [",
            "    if not set(authorities) <= {leaf, *above}:\n"
            '        raise ChainError("Vault sent certificates that are no part of the chain")\n'
            "    intermediates = [",
        ),
    ),
    "Secrets are read from what the watch told, not from the API server; the next attempt comes at once; "
    "an answer with certificates that do not belong there is refused",
)

RIGHT_ISSUERS = (
    Mutant("right", (), "the sample controller as it is"),
    OTHER_FORMS,
    SLOW_AND_WATCHFUL,
    OTHER_WORDS,
    CACHED_AND_HASTY,
)
