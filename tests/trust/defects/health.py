"""Mistakes with the state of Vault, and with what an issuer says of it."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

DEFECTS: tuple[Defect, ...] = (
    defect(
        "health-not-asked-where-there-is-a-login",
        "VI-HEALTH-001",
        "issuers.py",
        "            vault.check_health()\n",
        '            if issuer.auth.get("tokenSecretRef"):\n                vault.check_health()\n',
        "a login that works was thought to show that Vault is well, and to spare the query",
    ),
    defect(
        "health-of-one-port-is-that-of-the-host",
        "VI-HEALTH-001",
        "vault.py",
        '        status, answer = self._call("GET", "/v1/sys/health")\n        if 200 <= status < 300:\n',
        "        host = urlsplit(self._server).hostname\n"
        "        if host in _WELL:\n"
        "            return\n"
        '        status, answer = self._call("GET", "/v1/sys/health")\n'
        "        if 200 <= status < 300:\n"
        "            _WELL.add(host)\n",
        "many issuers share a Vault, and its health was to be asked once; two Vaults on one host were not thought of",
        Edit("vault.py", "REDIRECTS = (", "_WELL: set[str | None] = set()\nREDIRECTS = ("),
    ),
    defect(
        "verified-by-name",
        "VI-HEALTH-002",
        "issuers.py",
        "        try:\n            self._prove(resource, item)\n",
        '        verified = (key, item["metadata"]["generation"])\n'
        "        if verified in self._verified:\n"
        "            return\n"
        "        try:\n"
        "            self._prove(resource, item)\n",
        "what is Ready need not be verified again: an issuer created anew under its name seems to be",
        Edit(
            "issuers.py",
            '            self._write(resource, item, "True", "VaultVerified", "Vault verified")\n',
            '            self._write(resource, item, "True", "VaultVerified", "Vault verified")\n'
            "            self._verified.add(verified)\n",
        ),
        Edit(
            "issuers.py",
            "        self._watchers = {",
            "        self._verified: set[tuple[IssuerKey, int]] = set()\n        self._watchers = {",
        ),
        Edit(
            "issuers.py",
            '                    if metadata["name"] in names(vault):\n'
            "                        self.queue.add(_key(watcher.resource, item))\n",
            '                    if metadata["name"] in names(vault):\n'
            "                        key = _key(watcher.resource, item)\n"
            "                        self._verified = {entry for entry in self._verified if entry[0] != key}\n"
            "                        self.queue.add(key)\n",
        ),
    ),
    defect(
        "verified-in-other-words",
        "VI-HEALTH-003",
        "issuers.py",
        '"VaultVerified", "Vault verified")',
        '"VaultVerified", "Vault is initialized and unsealed")',
        "the words of the documentation were not thought to matter",
    ),
    defect(
        "message-of-the-failure-stays",
        "VI-HEALTH-003",
        "conditions.py",
        '"message": shorten(message)}',
        '"message": shorten(old.get("message") or message)}',
        "a default for the message was written the wrong way round: what was said first stays",
        also=("VI-HEALTH-012",),
    ),
    defect(
        "sealed-vault-is-initialized",
        "VI-HEALTH-004",
        "vault.py",
        "        if 200 <= status < 300:\n",
        '        if answer.get("initialized") is True and status == SEALED:\n            return\n'
        "        if 200 <= status < 300:\n",
        "the body of the answer was taken as more exact than its status, and `initialized` as all there is to it",
        also=("VI-HEALTH-012",),
    ),
    defect(
        "sealed-like-a-standby",
        "VI-HEALTH-004",
        "vault.py",
        '"/v1/sys/health")',
        '"/v1/sys/health?sealedcode=429")',
        "a sealed node was to be told like a standby, as for load balancers",
        Edit("vault.py", "quote(path)", 'quote(path, safe="/?=")'),
    ),
    defect(
        "health-remembered-of-a-server",
        "VI-HEALTH-005",
        "vault.py",
        '        status, answer = self._call("GET", "/v1/sys/health")\n        if 200 <= status < 300:\n',
        "        if self._server in _WELL:\n"
        "            return\n"
        '        status, answer = self._call("GET", "/v1/sys/health")\n'
        "        if 200 <= status < 300:\n"
        "            _WELL.add(self._server)\n",
        "a Vault that was well once is not asked again: many issuers share it",
        Edit("vault.py", "REDIRECTS = (", "_WELL: set[str] = set()\nREDIRECTS = ("),
    ),
    defect(
        "not-implemented-is-well",
        "VI-HEALTH-005",
        "vault.py",
        '        if status == NOT_INITIALIZED:\n            raise VaultError("Vault is not initialized")\n',
        "        if status == NOT_INITIALIZED:\n            return\n",
        "501 was read as HTTP means it: this Vault has no such endpoint",
    ),
    defect(
        "standby-by-its-own-word",
        "VI-HEALTH-006",
        "vault.py",
        "        if status in HEALTHY_STANDBYS:\n            return\n",
        '        if status in HEALTHY_STANDBYS and not answer.get("standby"):\n            return\n',
        "a Vault that says of itself that it is a standby was thought to be of no use for logins",
        also=("VI-HEALTH-009", "VI-HEALTH-015", "VI-HEALTH-016", "VI-HEALTH-017", "VI-HEALTH-020"),
    ),
    defect(
        "sealed-is-final",
        "VI-HEALTH-007",
        "vault.py",
        'raise VaultError("Vault is sealed")',
        'raise InvalidConfigurationError("Vault is sealed")',
        "only an operator unseals a Vault, who would surely touch the issuer then",
        Edit("vault.py", "import Issuer", "import InvalidConfigurationError, Issuer"),
    ),
    defect(
        "not-initialized-is-final",
        "VI-HEALTH-007",
        "vault.py",
        'raise VaultError("Vault is not initialized")',
        'raise InvalidConfigurationError("Vault is not initialized")',
        "a Vault that is not initialized was thought to be the wrong one",
        Edit("vault.py", "import Issuer", "import InvalidConfigurationError, Issuer"),
    ),
    defect(
        "unreachable-is-final",
        "VI-HEALTH-007",
        "vault.py",
        'raise VaultError(f"Vault cannot be reached: {_reason(error)}") from error',
        'raise InvalidConfigurationError(f"Vault cannot be reached: {_reason(error)}") from error',
        "an address where nothing answers was thought to be a wrong one",
        Edit("vault.py", "import Issuer", "import InvalidConfigurationError, Issuer"),
    ),
    defect(
        "other-health-is-final",
        "VI-HEALTH-007",
        "vault.py",
        'raise VaultError(f"the query of Vault\'s health was answered with status {status}")',
        'raise InvalidConfigurationError(f"the query of Vault\'s health was answered with status {status}")',
        "only the states that the documentation of Vault lists were thought to pass",
        Edit("vault.py", "import Issuer", "import InvalidConfigurationError, Issuer"),
    ),
    defect(
        "login-of-readiness-is-not-repeated",
        "VI-HEALTH-007",
        "issuers.py",
        "            raise TryAgainError(str(error)) from error\n",
        '            if not str(error).startswith("the login"):\n'
        "                raise TryAgainError(str(error)) from error\n",
        "a login that fails was thought to fail until its Secret changes, which is watched",
    ),
    defect(
        "three-attempts",
        "VI-HEALTH-007",
        "issuers.py",
        "            raise TryAgainError(str(error)) from error\n",
        "            if self.queue._failures.get(key, 0) < 2:\n"
        "                raise TryAgainError(str(error)) from error\n",
        "after three attempts an issuer was thought to be hopeless",
    ),
    defect(
        "next-attempt-after-an-hour",
        "VI-HEALTH-007",
        "issuers.py",
        "self.queue: WorkQueue[IssuerKey] = WorkQueue()",
        "self.queue: WorkQueue[IssuerKey] = WorkQueue(first_delay=3600.0, longest_delay=36000.0)",
        "Vault was to be spared, and the delay is in seconds, not in milliseconds",
    ),
    defect(
        "health-may-be-hidden",
        "VI-HEALTH-008",
        "vault.py",
        "        if status in HEALTHY_STANDBYS:\n",
        "        if status in (*HEALTHY_STANDBYS, 404):\n",
        "a gateway that hides sys/health was met once, and answers 404",
    ),
    defect(
        "any-answer-below-500-is-healthy",
        "VI-HEALTH-008",
        "vault.py",
        "        if status in HEALTHY_STANDBYS:\n",
        "        if 400 <= status < 500:\n",
        "standbys and secondaries answer 4xx, so 4xx was thought to mean a standby",
        also=("VI-HEALTH-010",),
    ),
    defect(
        "other-server-errors-are-healthy",
        "VI-HEALTH-008",
        "vault.py",
        '        raise VaultError(f"the query of Vault\'s health was answered with status {status}")\n',
        "        if status < 500:\n"
        '            raise VaultError(f"the query of Vault\'s health was answered with status {status}")\n',
        "501 and 503 are the states in which Vault does not serve; any other 5xx was thought to be a passing one",
    ),
    defect(
        "health-of-a-broken-connection",
        "VI-HEALTH-008",
        "issuers.py",
        "            vault.check_health()\n",
        "            try:\n"
        "                vault.check_health()\n"
        "            except VaultError as error:\n"
        '                if not str(error).startswith("Vault cannot be reached"):\n'
        "                    raise\n"
        '                log.info("%s: %s", item["metadata"]["name"], error)\n',
        "a connection that breaks says nothing of Vault's health, and the login was thought to tell",
    ),
    defect(
        "disaster-recovery-secondary-is-bad",
        "VI-HEALTH-009",
        "vault.py",
        "HEALTHY_STANDBYS = (429, 472, 473)",
        "HEALTHY_STANDBYS = (429, 473)",
        "a disaster recovery secondary was thought to be one whose primary is lost",
    ),
    defect(
        "performance-standby-is-unknown",
        "VI-HEALTH-009",
        "vault.py",
        "HEALTHY_STANDBYS = (429, 472, 473)",
        "HEALTHY_STANDBYS = (429, 472)",
        "the statuses are those of the Vault the author has, which has no performance standbys",
    ),
    defect(
        "lost-standby-is-a-standby",
        "VI-HEALTH-010",
        "vault.py",
        "HEALTHY_STANDBYS = (429, 472, 473)",
        "HEALTHY_STANDBYS = (429, 472, 473, 474)",
        "the statuses were copied from the list of Vault's documentation without reading what 474 is",
    ),
    defect(
        "removed-node-is-a-passing-error",
        "VI-HEALTH-010",
        "vault.py",
        "        if status in HEALTHY_STANDBYS:\n",
        "        if status in HEALTHY_STANDBYS or status >= 520:\n",
        "5xx beyond those of HTTP was thought to come from the load balancer, not from Vault",
    ),
    defect(
        "refused-login-is-told-when-signing",
        "VI-HEALTH-011",
        "issuers.py",
        "            obtain_token(self._cluster, issuer, vault)\n",
        "            try:\n"
        "                obtain_token(self._cluster, issuer, vault)\n"
        "            except VaultRefusalError as error:\n"
        '                log.warning("%s: %s", item["metadata"]["name"], error)\n',
        "whether the credentials are right was thought to be a matter of the requests, Vault itself being well",
        Edit("issuers.py", "import Vault, VaultError", "import Vault, VaultError, VaultRefusalError"),
    ),
    defect(
        "bad-request-is-no-refused-login",
        "VI-HEALTH-011",
        "issuers.py",
        "            obtain_token(self._cluster, issuer, vault)\n",
        "            try:\n"
        "                obtain_token(self._cluster, issuer, vault)\n"
        "            except VaultRefusalError as error:\n"
        '                if "status 403" in str(error):\n'
        "                    raise\n",
        "only 403 was thought to be a refusal; AppRole refuses with 400",
        Edit("issuers.py", "import Vault, VaultError", "import Vault, VaultError, VaultRefusalError"),
    ),
    defect(
        "every-bad-health-is-sealed",
        "VI-HEALTH-012",
        "vault.py",
        'raise VaultError(f"the query of Vault\'s health was answered with status {status}")',
        'raise VaultError("Vault is sealed or otherwise not healthy: it is sealed")',
        "whatever is not healthy is reported as sealed, as in cert-manager's early versions",
    ),
    defect(
        "sealed-and-not-initialized-mixed-up",
        "VI-HEALTH-012",
        "vault.py",
        "NOT_INITIALIZED = 501\nSEALED = 503\n",
        "NOT_INITIALIZED = 503\nSEALED = 501\n",
        "the two statuses were mixed up",
    ),
    defect(
        "first-problem-stays",
        "VI-HEALTH-012",
        "conditions.py",
        "    if _told(new) == _told(old):\n",
        '    if all(new.get(field) == old.get(field) for field in ("status", "reason", "observedGeneration")):\n',
        "a condition is written when its status or reason changes; that the message changed alone was forgotten",
    ),
    defect(
        "request-of-an-issuer-not-judged-yet",
        "VI-HEALTH-013",
        "signing.py",
        '    if ready.get("status") != "True":\n        return False\n    return bool(ready.get("observedGeneration")',
        '    if ready.get("status", "True") != "True":\n'
        '        return False\n    return bool(ready.get("observedGeneration", 1)',
        "only an issuer that was found not to be Ready holds requests up, not one that nobody has looked at yet",
    ),
    defect(
        "ready-is-not-looked-at",
        "VI-HEALTH-013",
        "certificate_requests.py",
        "        if not is_ready(issuer):\n",
        '        if not condition(issuer, "Ready"):\n',
        "there being a condition was thought to mean that it is True",
        also=("VI-REQUEST-011",),
    ),
    defect(
        "generation-left-out",
        "VI-HEALTH-014",
        "conditions.py",
        "    if generation is not None:\n",
        '    if generation is not None and status == "True":\n',
        "the generation was thought to matter for Ready issuers only",
    ),
    defect(
        "generation-of-the-first-failure",
        "VI-HEALTH-014",
        "conditions.py",
        '        new["lastTransitionTime"] = old.get("lastTransitionTime") or now()\n',
        '        new["lastTransitionTime"] = old.get("lastTransitionTime") or now()\n'
        '        if status == "False" and generation is not None:\n'
        '            new["observedGeneration"] = old.get("observedGeneration", generation)\n',
        "the generation goes with the transition: it stays as long as the status stays False",
    ),
    defect(
        "generation-of-the-write",
        "VI-HEALTH-014",
        "issuers.py",
        "lambda latest: set_ready(latest, status, reason, message, generation=generation)",
        'lambda latest: set_ready(latest, status, reason, message, generation=latest["metadata"]["generation"])',
        "when the object has changed meanwhile, the generation of the new one is told with the verdict on the old",
        Edit("issuers.py", '        generation = item["metadata"]["generation"]\n', ""),
    ),
    defect(
        "redirect-without-the-body",
        "VI-HEALTH-016",
        "vault.py",
        "            status, _, answer = self._request(method, url, headers, content)\n",
        '            status, _, answer = self._request("GET", url, headers, None)\n',
        "redirects were followed as browsers follow 302: with GET and without a body",
    ),
    defect(
        "redirect-without-the-token",
        "VI-HEALTH-016",
        "vault.py",
        "            self._check_redirect(url)\n",
        "            self._check_redirect(url)\n"
        "            if urlsplit(url).netloc != urlsplit(self._server).netloc:\n"
        '                headers.pop("X-Vault-Token", None)\n',
        "credentials are not sent to another host, as with Authorization; here the other host is the active node",
    ),
    defect(
        "internal-errors-of-signing-are-final",
        "VI-HEALTH-018",
        "vault.py",
        "    if 400 <= status < 500 and status not in TEMPORARY_REFUSALS:\n",
        "    if 400 <= status <= 500 and status not in TEMPORARY_REFUSALS:\n",
        "500 was thought to be Vault's verdict on the request; it is also that of a node without a leader",
        also=("VI-HEALTH-019",),
    ),
    defect(
        "signing-is-not-tried-again",
        "VI-HEALTH-020",
        "certificate_requests.py",
        "            raise TryAgainError(str(error)) from error\n",
        '            if not str(error).startswith("the signing"):\n'
        "                raise TryAgainError(str(error)) from error\n",
        "a request that could not be signed waits for a change that never comes; only logins are repeated",
        also=("VI-HEALTH-018", "VI-HEALTH-019"),
    ),
    defect(
        "logins-of-one-method-are-tried-again",
        "VI-HEALTH-007",
        "vault.py",
        '            raise _refusal("the login", status, answer)\n',
        '            if "jwt" in credentials:\n'
        '                raise InvalidConfigurationError("the login was refused")\n'
        '            raise _refusal("the login", status, answer)\n',
        "a refused JWT was thought to be the configuration's fault, whatever the answer",
        Edit(
            "vault.py",
            "from .configuration import Issuer\n",
            "from .configuration import InvalidConfigurationError, Issuer\n",
        ),
        also=("VI-ROTATION-002", "VI-HEALTH-014", "VI-LEAK-003", "VI-LEAK-004", "VI-REQUEST-016"),
    ),
    defect(
        "transition-time-of-every-judgement",
        "VI-HEALTH-022",
        "conditions.py",
        '    if old.get("status") == status:\n',
        '    if old.get("status") == status and generation is None:\n',
        "the time of the last look was taken for that of the last change",
    ),
    defect(
        "transition-time-of-the-first-judgement",
        "VI-HEALTH-022",
        "conditions.py",
        '    if old.get("status") == status:\n',
        '    if old.get("status") == status or (old and generation is not None):\n',
        "a condition that is there already keeps its time",
    ),
    defect(
        "reason-is-the-message",
        "VI-HEALTH-023",
        "issuers.py",
        '"True", "VaultVerified", "Vault verified"',
        '"True", "Vault verified", "Vault verified"',
        "the text was written twice, since it says all there is to say",
    ),
    defect(
        "reason-of-the-failure-stays",
        "VI-HEALTH-023",
        "issuers.py",
        '"True", "VaultVerified", "Vault verified"',
        '"True", "VaultError", "Vault verified"',
        "the line was copied from the one for failures, and only its message was changed",
    ),
    defect(
        "no-pause-between-attempts",
        "VI-HEALTH-024",
        "work_queue.py",
        "FIRST_DELAY = 0.5\n",
        "FIRST_DELAY = 0.0005\n",
        "the delays are in seconds, and were thought to be in milliseconds",
        Edit("work_queue.py", "LONGEST_DELAY = 5.0\n", "LONGEST_DELAY = 0.005\n"),
    ),
)
