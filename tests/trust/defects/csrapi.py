"""Mistakes with CertificateSigningRequests of Kubernetes."""

from __future__ import annotations

from ..mutants import RBAC, Defect, Edit, defect

FILE = "certificate_signing_requests.py"

DEFECTS: tuple[Defect, ...] = (
    defect(
        "authority-for-the-certificate",
        "VI-CSRAPI-001",
        FILE,
        "base64.b64encode(to_pem(chain.certificates)).decode()",
        "base64.b64encode(to_pem([chain.ca] if chain.ca else chain.certificates)).decode()",
        "status.ca is missing in this API, and the CA was put into the one field there is",
        also=(
            "VI-CSRAPI-005",
            "VI-CSRAPI-006",
            "VI-CSRAPI-007",
            "VI-CSRAPI-008",
        ),
    ),
    defect(
        "signer-with-the-name-first",
        "VI-CSRAPI-001",
        FILE,
        '        namespace, _, name = path.partition(".")\n',
        '        name, _, namespace = path.partition(".")\n',
        "namespace and name of the signer were taken in the order of host names",
        also=(
            "VI-CSRAPI-002",
            "VI-CSRAPI-003",
            "VI-CSRAPI-004",
            "VI-CSRAPI-005",
            "VI-CSRAPI-006",
            "VI-CSRAPI-007",
            "VI-CSRAPI-008",
            "VI-CSRAPI-009",
            "VI-CSRAPI-010",
            "VI-CSRAPI-011",
            "VI-CSRAPI-012",
            "VI-CSRAPI-013",
            "VI-CSRAPI-014",
            "VI-CSRAPI-015",
        ),
    ),
    defect(
        "approval-is-others-business",
        "VI-CSRAPI-002",
        FILE,
        '        if not is_true(request, "Approved"):\n            return\n',
        "",
        "Kubernetes was thought to hand only approved requests to signers",
    ),
    defect(
        "no-denial-is-approval",
        "VI-CSRAPI-003",
        FILE,
        '        if is_true(request, "Denied"):\n            return\n'
        '        if not is_true(request, "Approved"):\n            return\n',
        '        if not (request.get("status", {}).get("conditions") or []):\n            return\n',
        "a request with a condition was thought to be decided about, and for the better",
    ),
    defect(
        "leaf-alone",
        "VI-CSRAPI-005",
        FILE,
        "to_pem(chain.certificates)",
        "to_pem(chain.certificates[:1])",
        "what kubelets get from Kubernetes has no intermediates either",
    ),
    defect(
        "chain-with-its-authority",
        "VI-CSRAPI-006",
        FILE,
        "to_pem(chain.certificates)",
        "to_pem([*chain.certificates, *([chain.ca] if chain.ca else [])])",
        "there is no other field for the CA",
        also=("VI-CSRAPI-005",),
    ),
    defect(
        "expiration-not-looked-at",
        "VI-CSRAPI-007",
        FILE,
        '    return f"{seconds}s" if seconds else None\n',
        '    return f"{max(seconds, 3600)}s" if seconds and seconds % 3600 == 0 else None\n',
        "expirationSeconds was thought to be of whole hours",
    ),
    defect(
        "expiration-in-minutes",
        "VI-CSRAPI-007",
        FILE,
        '    return f"{seconds}s" if seconds else None\n',
        '    return f"{seconds // 60}m" if seconds else "1h"\n',
        "the default is that of the author's clusters",
    ),
    defect(
        "annotation-of-seconds",
        "VI-CSRAPI-008",
        FILE,
        "    if annotation:\n        return annotation\n",
        "    if annotation and annotation.isdigit():\n        return annotation\n",
        "the annotation was thought to hold seconds, as the field does",
    ),
    defect(
        "annotation-of-another-name",
        "VI-CSRAPI-008",
        FILE,
        '"experimental.cert-manager.io/request-duration"',
        '"cert-manager.io/request-duration"',
        "the name was written from memory",
    ),
    defect(
        "failure-is-no-condition",
        "VI-CSRAPI-009",
        FILE,
        'lambda latest: set_condition(latest, "Failed", "True", reason, message),',
        'lambda latest: set_condition(latest, "Failed", "False", reason, message),',
        "Failed was thought to be like Ready: False when it failed",
    ),
    defect(
        "failed-is-tried-again",
        "VI-CSRAPI-009",
        FILE,
        '    return bool(request.get("status", {}).get("certificate")) or is_true(request, "Failed")\n',
        '    return bool(request.get("status", {}).get("certificate"))\n',
        "a request without a certificate was thought to be waiting for one",
    ),
    defect(
        "absent-issuer-fails-at-once",
        "VI-CSRAPI-010",
        FILE,
        "        if issuer is None or vault_of(issuer) is None:\n            return\n",
        "        if issuer is None:\n"
        '            self._fail(request, "IssuerNotFound", "the issuer does not exist")\n'
        "            return\n"
        "        if vault_of(issuer) is None:\n            return\n",
        "a request for an issuer that does not exist was thought to be a mistake",
    ),
    defect(
        "issuer-not-waited-for",
        "VI-CSRAPI-010",
        FILE,
        "        for watcher in issuers:\n            watcher.on_change(self._issuer_changed)\n",
        "",
        "only requests are watched: what becomes of their issuers wakes nobody",
    ),
    defect(
        "delay-is-failure",
        "VI-CSRAPI-011",
        FILE,
        "            raise TryAgainError(str(error)) from error\n",
        '            self._fail(request, "Error", str(error))\n',
        "there is no Pending in this API, so whatever goes wrong is a failure",
    ),
    defect(
        "delay-without-another-attempt",
        "VI-CSRAPI-011",
        FILE,
        "            raise TryAgainError(str(error)) from error\n",
        '            log.warning("%s: %s", request["metadata"]["name"], error)\n',
        "the watch was thought to bring the request again",
    ),
    defect(
        "signer-by-the-plural",
        "VI-CSRAPI-012",
        FILE,
        "        resource = self._signers.get(signer)\n",
        '        plural = signer.partition(".")[0]\n'
        "        resource = next((r for r in self._signers.values() if r.plural == plural), None)\n",
        "issuers of another group were thought to have other names",
    ),
    defect(
        "approves-what-its-signer-is-asked",
        "VI-CSRAPI-004",
        FILE,
        """        if not is_true(request, "Approved"):
            return
        resource, key = found
""",
        """        if not is_true(request, "Approved"):
            set_condition(request, "Approved", "True", "Signer", "it is for an issuer of ours")
            self._cluster._json("PUT", CERTIFICATE_SIGNING_REQUESTS.path("", name, "approval"), body=request)
            return
        resource, key = found
""",
        "nobody approved, so that the issuer was given the rights to do so",
        Edit(
            RBAC,
            """  - apiGroups: ["certificates.k8s.io"]
    resources: ["certificatesigningrequests/status"]
    verbs: ["update"]
""",
            """  - apiGroups: ["certificates.k8s.io"]
    resources: ["certificatesigningrequests/status", "certificatesigningrequests/approval"]
    verbs: ["update"]
  - apiGroups: ["certificates.k8s.io"]
    resources: ["signers"]
    resourceNames: ["issuers.cert-manager.io/*", "clusterissuers.cert-manager.io/*"]
    verbs: ["approve"]
""",
        ),
        also=("VI-CSRAPI-002", "VI-CSRAPI-003"),
    ),
    defect(
        "anybody-may-refer",
        "VI-CSRAPI-013",
        FILE,
        "        if resource.namespaced and not self._may_refer(request, resource, key):\n",
        "        if resource.namespaced and not key[0]:\n",
        "whoever may create a request was thought to be allowed to name any issuer",
    ),
    defect(
        "answer-of-the-review-is-not-read",
        "VI-CSRAPI-013",
        FILE,
        '        return bool(answer["status"]["allowed"])\n',
        '        return not answer["status"].get("denied")\n',
        "a review says `denied` only where somebody denies; not to be allowed is something else",
    ),
    defect(
        "signed-when-looked-at",
        "VI-CSRAPI-014",
        FILE,
        '    return bool(request.get("status", {}).get("certificate")) or is_true(request, "Failed")\n',
        '    return is_true(request, "Failed")\n',
        "a request that is looked at again is signed again",
    ),
    defect(
        "certificate-is-not-checked",
        "VI-CSRAPI-015",
        "signing.py",
        "        check_fits(chain.certificates[0], csr)\n",
        "",
        "that Vault's answer belongs to the request was taken for granted",
        also=(
            "VI-SIGN-018",
            "VI-SIGN-019",
        ),
    ),
)
