"""Mistakes with Certificates and the Secrets that hold them."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

FILE = "certificates.py"

DEFECTS: tuple[Defect, ...] = (
    defect(
        "request-is-approved-by-its-maker",
        "VI-CERTIFICATE-001",
        FILE,
        "        return self._cluster.create(CERTIFICATE_REQUESTS, namespace, body)\n",
        "        made = self._cluster.create(CERTIFICATE_REQUESTS, namespace, body)\n"
        '        set_condition(made, "Approved", "True", "OwnRequest", "made for a Certificate")\n'
        "        return self._cluster.replace_status(CERTIFICATE_REQUESTS, made)\n",
        "a request that the issuer makes itself was thought to need nobody's approval",
    ),
    defect(
        "key-of-the-secret-of-before",
        "VI-CERTIFICATE-002",
        FILE,
        '            "tls.key": base64.b64encode(key_to_pem(key, spec)).decode(),\n            "tls.crt"',
        '            "tls.key": base64.b64encode(key_to_pem(generate_key(spec), spec)).decode(),\n'
        '            "tls.crt"',
        "the key is made where it is stored, and again",
        Edit(FILE, "        if pair is None or not pair.fits:\n", "        if pair is None:\n"),
        also=(
            "VI-CERTIFICATE-011",
            "VI-CERTIFICATE-012",
            "VI-CERTIFICATE-013",
            "VI-CERTIFICATE-014",
            "VI-CERTIFICATE-015",
            "VI-CERTIFICATE-016",
            "VI-CERTIFICATE-023",
            "VI-CERTIFICATE-024",
        ),
    ),
    defect(
        "secret-without-a-type",
        "VI-CERTIFICATE-003",
        FILE,
        '                "type": "kubernetes.io/tls",\n',
        "",
        "Kubernetes was thought to find out the type by the keys",
    ),
    defect(
        "first-block-of-the-chain",
        "VI-CERTIFICATE-004",
        FILE,
        '            "tls.crt": request["status"]["certificate"],\n',
        '            "tls.crt": base64.b64encode(\n'
        '                base64.b64decode(request["status"]["certificate"]).partition(b"-----END")[0]\n'
        '                + b"-----END CERTIFICATE-----\\n"\n'
        "            ).decode(),\n",
        "the intermediates were thought to belong to ca.crt",
    ),
    defect(
        "certificate-with-its-authority",
        "VI-CERTIFICATE-005",
        FILE,
        '            "tls.crt": request["status"]["certificate"],\n',
        '            "tls.crt": base64.b64encode(\n'
        '                base64.b64decode(request["status"]["certificate"])\n'
        '                + base64.b64decode(request["status"].get("ca") or "")\n'
        "            ).decode(),\n",
        "a full chain was thought to reach up to the root",
        also=("VI-CERTIFICATE-004",),
    ),
    defect(
        "chain-for-the-authority",
        "VI-CERTIFICATE-006",
        FILE,
        '            "ca.crt": request["status"].get("ca"),\n',
        '            "ca.crt": request["status"].get("ca") or request["status"]["certificate"],\n',
        "ca.crt was thought to have to be there",
    ),
    defect(
        "authority-forgotten",
        "VI-CERTIFICATE-006",
        FILE,
        '            "ca.crt": request["status"].get("ca"),\n',
        "",
        "clients were thought to know the CA",
    ),
    defect(
        "names-of-dns-alone",
        "VI-CERTIFICATE-007",
        "key_pairs.py",
        '    names += [x509.UniformResourceIdentifier(uri) for uri in spec.get("uris") or []]\n',
        "",
        "URIs were left for later",
    ),
    defect(
        "field-of-a-former-version",
        "VI-CERTIFICATE-007",
        "key_pairs.py",
        'spec.get("ipAddresses")',
        'spec.get("ips")',
        "the field was named from memory",
    ),
    defect(
        "duration-of-the-certificate-is-dropped",
        "VI-CERTIFICATE-008",
        FILE,
        '            "duration": spec.get("duration"),\n',
        "",
        "the duration was thought to be for renewing only",
        also=("VI-CERTIFICATE-011",),
    ),
    defect(
        "ready-with-the-key",
        "VI-CERTIFICATE-009",
        FILE,
        '        return set_ready(certificate, "False", reason, "There is no certificate as it is specified")\n',
        '        ready = "True" if reason == "DoesNotExist" else "False"\n'
        '        return set_ready(certificate, ready, reason, "There is no certificate as it is specified")\n',
        "a Certificate that is being issued for the first time was thought to be all right",
        also=(
            "VI-CERTIFICATE-016",
            "VI-CERTIFICATE-017",
            "VI-CERTIFICATE-019",
        ),
    ),
    defect(
        "end-of-life-is-the-renewal",
        "VI-CERTIFICATE-010",
        FILE,
        '        "notAfter": _time(pair.leaf.not_valid_after_utc),\n',
        '        "notAfter": _time(renewal_time(certificate, pair)),\n',
        "for those who use it a certificate was thought to end when it is renewed",
    ),
    defect(
        "renewed-before-the-beginning",
        "VI-CERTIFICATE-011",
        FILE,
        "    return end - timedelta(seconds=left)\n",
        "    return end - timedelta(seconds=min(left, life / 2))\n",
        "renewing early was thought to be no use while half of the life is left",
    ),
    defect(
        "renewal-is-not-waited-for",
        "VI-CERTIFICATE-011",
        FILE,
        "            self.queue.add(key, delay=max(0.0, due.total_seconds()))\n",
        "            self.queue.add(key, delay=max(600.0, due.total_seconds()))\n",
        "looking at a Certificate every ten minutes was thought to do",
    ),
    defect(
        "key-is-always-new",
        "VI-CERTIFICATE-012",
        FILE,
        '        if spec.get("rotationPolicy") == "Never" and present is not None:\n',
        '        if spec.get("rotationPolicy") == "never" and present is not None:\n',
        "the policy was compared in another spelling",
    ),
    defect(
        "key-is-kept",
        "VI-CERTIFICATE-012",
        FILE,
        '        if spec.get("rotationPolicy") == "Never" and present is not None:\n',
        '        if spec.get("rotationPolicy") and present is not None:\n',
        "having a policy was thought to mean Never, since Always is the default",
    ),
    defect(
        "change-of-the-issuer-has-no-consequence",
        "VI-CERTIFICATE-013",
        FILE,
        'WITHOUT_CONSEQUENCE = ("secretName",',
        'WITHOUT_CONSEQUENCE = ("issuerRef", "secretName",',
        "a good certificate was thought to stay good, whoever is to issue the next",
    ),
    defect(
        "change-of-names-waits-for-the-renewal",
        "VI-CERTIFICATE-013",
        FILE,
        'WITHOUT_CONSEQUENCE = ("secretName",',
        'WITHOUT_CONSEQUENCE = ("dnsNames", "secretName",',
        "names were thought to be taken up with the next renewal",
        also=(
            "VI-CERTIFICATE-012",
            "VI-CERTIFICATE-016",
            "VI-CERTIFICATE-024",
        ),
    ),
    defect(
        "secrets-are-not-watched",
        "VI-CERTIFICATE-014",
        FILE,
        "        secrets.on_change(self._secret_changed)\n",
        "",
        "nobody but the issuer was thought to touch its Secrets",
    ),
    defect(
        "key-beside-is-not-looked-at",
        "VI-CERTIFICATE-014",
        FILE,
        '    if not pair.fits:\n        return "IncorrectKeyPair"\n',
        "",
        "a Secret was thought to hold what was put into it",
    ),
    defect(
        "renewing-by-hand-is-unknown",
        "VI-CERTIFICATE-015",
        FILE,
        '    if condition(certificate, "Issuing").get("status") == "True":\n        return "ManuallyTriggered"\n',
        "",
        "the condition Issuing was thought to be for showing only",
    ),
    defect(
        "stored-whatever-it-is-for",
        "VI-CERTIFICATE-016",
        FILE,
        "        if pair is None or not pair.fits:\n",
        "        if pair is None:\n",
        "the request was thought to have been checked by whoever signed it",
        Edit("signing.py", "        check_fits(chain.certificates[0], csr)\n", ""),
        also=(
            "VI-SIGN-018",
            "VI-SIGN-019",
        ),
    ),
    defect(
        "ready-with-an-expired-certificate",
        "VI-CERTIFICATE-017",
        FILE,
        '    if pair.leaf.not_valid_after_utc <= _now():\n        return "Expired"\n',
        "",
        "a certificate that has expired is to be renewed, and till then it is the one there is",
        Edit(FILE, "        if pair.leaf.not_valid_after_utc <= _now():\n", "        if pair.leaf is None:\n"),
        Edit("signing.py", "        check_fits(chain.certificates[0], csr)\n", ""),
        also=(
            "VI-CERTIFICATE-018",
            "VI-SIGN-018",
            "VI-SIGN-019",
        ),
    ),
    defect(
        "expired-is-renewed-at-once",
        "VI-CERTIFICATE-018",
        FILE,
        "        if pair.leaf.not_valid_after_utc <= _now():\n"
        '            self._failed(certificate, "the certificate has already expired")\n'
        "            return\n",
        "",
        "a certificate that has expired is due, and one is requested after the other",
        Edit(
            "csr.py",
            "    if certificate.not_valid_after_utc <= datetime.now(UTC):\n",
            "    if certificate.not_valid_after_utc <= certificate.not_valid_before_utc:\n",
        ),
        also=(
            "VI-CERTIFICATE-017",
            "VI-SIGN-019",
        ),
    ),
    defect(
        "failure-is-tried-again-at-once",
        "VI-CERTIFICATE-019",
        FILE,
        "FIRST_RETRY = 3600.0\n",
        "FIRST_RETRY = 1.0\n",
        "the pause was thought to be in hours",
    ),
    defect(
        "time-of-the-failure-is-not-told",
        "VI-CERTIFICATE-020",
        FILE,
        '    status["lastFailureTime"] = now()\n',
        '    status["failedAt"] = now()\n',
        "the field was named from memory, and is dropped by the API server",
        also=(
            "VI-CERTIFICATE-018",
            "VI-CERTIFICATE-019",
            "VI-CERTIFICATE-021",
        ),
    ),
    defect(
        "time-of-the-failure-stays",
        "VI-CERTIFICATE-020",
        FILE,
        '("lastFailureTime", "failedIssuanceAttempts", "nextPrivateKeySecretName")',
        '("failedIssuanceAttempts", "nextPrivateKeySecretName")',
        "when it failed last was thought to be worth keeping",
    ),
    defect(
        "failure-without-its-reason",
        "VI-CERTIFICATE-021",
        FILE,
        '    set_condition(certificate, "Issuing", "False", "Failed", message, generation=generation)\n',
        '    set_condition(certificate, "Issuing", "False", "Failed", "The request failed", generation=generation)\n',
        "the reason was thought to be found at the request",
    ),
    defect(
        "correction-waits-for-the-pause",
        "VI-CERTIFICATE-022",
        FILE,
        '    if issuing.get("observedGeneration") != certificate["metadata"]["generation"]:\n        return 0.0\n',
        "",
        "the pause after a failure goes on, whatever becomes of the Certificate",
        also=("VI-CERTIFICATE-020",),
    ),
    defect(
        "one-key-for-a-namespace",
        "VI-CERTIFICATE-023",
        FILE,
        "    return f\"{metadata['name'][:200]}-{metadata['uid'][:8]}-next\"\n",
        "    return f\"{metadata['name'][:11]}-next\"\n",
        "the name of the Secret was cut too short to tell one Certificate from another",
        also=("VI-CERTIFICATE-008",),
    ),
    defect(
        "failure-empties-the-secret",
        "VI-CERTIFICATE-024",
        FILE,
        "        if self._write(certificate, lambda latest: set_failed(latest, message)):\n",
        '        where = certificate["metadata"]["namespace"], certificate["spec"]["secretName"]\n'
        "        if self._cluster.find(SECRETS, *where) is not None:\n"
        "            self._cluster.delete(SECRETS, *where)\n"
        "        if self._write(certificate, lambda latest: set_failed(latest, message)):\n",
        "a certificate that is no more as specified was thought to be worse than none",
        also=("VI-CERTIFICATE-016",),
    ),
    defect(
        "new-key-is-stored-before-its-certificate",
        "VI-CERTIFICATE-024",
        FILE,
        "        self._cluster.create(SECRETS, namespace, body)\n        return key\n",
        "        self._cluster.create(SECRETS, namespace, body)\n"
        "        if secret is not None:\n"
        '            latest = self._cluster.find(SECRETS, namespace, secret["metadata"]["name"])\n'
        "            if latest is not None:\n"
        '                latest["data"] = (latest.get("data") or {}) | body["data"]\n'
        "                self._cluster.replace(SECRETS, latest)\n"
        "        return key\n",
        "the key of the next certificate was put where it will be used",
        also=("VI-CERTIFICATE-016",),
    ),
)
