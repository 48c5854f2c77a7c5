"""Mistakes with what becomes of a CertificateRequest."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

DEFECTS: tuple[Defect, ...] = (
    defect(
        "issued-before-the-certificate",
        "VI-REQUEST-001",
        "certificate_requests.py",
        "        if write_status(self._cluster, CERTIFICATE_REQUESTS, request, change):\n"
        '            self._tell(request, "Normal", "Issued", "Vault signed the certificate")\n',
        "        write_status(\n"
        "            self._cluster,\n"
        "            CERTIFICATE_REQUESTS,\n"
        "            request,\n"
        '            lambda latest: set_ready(latest, "True", "Issued", "Vault signed the certificate"),\n'
        "        )\n"
        "        latest = self._cluster.find(CERTIFICATE_REQUESTS, *key_of(request))\n"
        "        if latest and write_status(\n"
        "            self._cluster, CERTIFICATE_REQUESTS, latest, lambda item: change(item) or True\n"
        "        ):\n"
        '            self._tell(request, "Normal", "Issued", "Vault signed the certificate")\n',
        "the condition and the certificate are written one after the other",
    ),
    defect(
        "signed-with-the-intermediate-first",
        "VI-REQUEST-001",
        "certificate_requests.py",
        "base64.b64encode(to_pem(chain.certificates)).decode()",
        "base64.b64encode(to_pem(sorted(chain.certificates, key=lambda one: one.not_valid_before_utc))).decode()",
        "a chain was thought to be in order of age",
        also=("VI-REQUEST-015",),
    ),
    defect(
        "namespaced-issuers-need-no-approval",
        "VI-REQUEST-002",
        "certificate_requests.py",
        '        if not is_true(request, "Approved"):\n',
        '        if not resource.namespaced and not is_true(request, "Approved"):\n',
        "whoever may use the issuer of a namespace was thought to need no approval",
    ),
    defect(
        "approval-that-is-false",
        "VI-REQUEST-002",
        "certificate_requests.py",
        '        if not is_true(request, "Approved"):\n',
        '        if not condition(request, "Approved"):\n',
        "there being a condition Approved was thought to mean that it is True",
    ),
    defect(
        "decided-is-approved",
        "VI-REQUEST-003",
        "certificate_requests.py",
        '        if not is_true(request, "Approved"):\n',
        '        if not (is_true(request, "Approved") or condition(request, "Denied")):\n',
        "a request that has been decided about goes on, and a denial is told by its reason alone",
        Edit(
            "certificate_requests.py",
            '        if is_true(request, "Denied"):\n',
            '        if condition(request, "Denied").get("reason") == "Denied":\n',
        ),
        also=("VI-REQUEST-004", "VI-REQUEST-006", "VI-REQUEST-008"),
    ),
    defect(
        "denial-after-approval",
        "VI-REQUEST-004",
        "certificate_requests.py",
        '        if is_true(request, "Denied"):\n'
        '            self._fail(request, "Denied", "The request was denied")\n            return\n'
        '        if not is_true(request, "Approved"):\n            return\n',
        '        if not is_true(request, "Approved"):\n            return\n'
        '        if is_true(request, "Denied"):\n'
        '            self._fail(request, "Denied", "The request was denied")\n            return\n',
        "a request that is not approved is left alone, and with it one that is denied (as in issuer-lib 507)",
        also=("VI-REQUEST-006", "VI-REQUEST-008"),
    ),
    defect(
        "denied-is-failed",
        "VI-REQUEST-004",
        "certificate_requests.py",
        'self._fail(request, "Denied", "The request was denied")',
        'self._fail(request, "Failed", "The request was denied")',
        "a denied request was thought to be one that failed",
        also=("VI-REQUEST-006", "VI-REQUEST-008"),
    ),
    defect(
        "denied-once-the-issuer-is-ready",
        "VI-REQUEST-004",
        "certificate_requests.py",
        '        if is_true(request, "Denied"):\n',
        "        if issuer is not None and not is_ready(issuer):\n"
        '            self._wait(request, "the issuer is not Ready")\n'
        "            return\n"
        '        if is_true(request, "Denied"):\n',
        "whether the issuer is Ready is looked at first",
    ),
    defect(
        "short-lived-requests-are-approved",
        "VI-REQUEST-005",
        "certificate_requests.py",
        '        if not is_true(request, "Approved"):\n            return\n',
        '        if not is_true(request, "Approved"):\n'
        '            if request["spec"].get("duration") == "1h" and not condition(request, "Approved"):\n'
        "                self._approve(request)\n"
        "            return\n",
        "an approver was thought to be a burden for certificates that do not live long",
        Edit(
            "certificate_requests.py",
            "    def _sign(self, request",
            "    def _approve(self, request: Object) -> None:\n"
            '        entry = {"type": "Approved", "status": "True", "reason": "ShortLived", "message": "",'
            ' "lastTransitionTime": now()}\n'
            '        request.setdefault("status", {}).setdefault("conditions", []).append(entry)\n'
            "        self._cluster.replace_status(CERTIFICATE_REQUESTS, request)\n\n"
            "    def _sign(self, request",
        ),
        also=("VI-REQUEST-002", "VI-REQUEST-003", "VI-REQUEST-004", "VI-REQUEST-006", "VI-REQUEST-008"),
    ),
    defect(
        "denial-is-dropped",
        "VI-REQUEST-006",
        "conditions.py",
        'if entry["type"] != kind]',
        'if entry["type"] not in (kind, "Denied")]',
        "a request has either Denied or Ready: the one was thought to take the place of the other",
    ),
    defect(
        "approval-is-dropped-with-the-failure",
        "VI-REQUEST-006",
        "conditions.py",
        '    item.setdefault("status", {})["conditions"] = [*others, new]\n',
        '    item.setdefault("status", {})["conditions"] = [new] if reason == "Failed" else [*others, new]\n',
        "a request that failed was thought to be approved no more",
    ),
    defect(
        "times-of-conditions-are-written-anew",
        "VI-REQUEST-006",
        "conditions.py",
        '    item.setdefault("status", {})["conditions"] = [*others, new]\n',
        '    others = [entry | {"lastTransitionTime": now()} for entry in others]\n'
        '    item.setdefault("status", {})["conditions"] = [*others, new]\n',
        "every condition gets the time of the update",
    ),
    defect(
        "refusal-is-tried-again",
        "VI-REQUEST-007",
        "signing.py",
        "    except (UnreadableCsrError, VaultRefusalError, UnusableAnswerError,",
        "    except (UnreadableCsrError, UnusableAnswerError,",
        "a role of Vault may be changed, so a refused request was to be tried again",
        also=("VI-REQUEST-006", "VI-REQUEST-008", "VI-REQUEST-009", "VI-REQUEST-016"),
    ),
    defect(
        "failed-is-unknown",
        "VI-REQUEST-007",
        "certificate_requests.py",
        '            return set_ready(latest, "False", reason, message)\n',
        '            return set_ready(latest, "Unknown" if reason == "Failed" else "False", reason, message)\n',
        "whether a request that failed is Ready was thought to be unknown",
    ),
    defect(
        "failure-time-of-failures-alone",
        "VI-REQUEST-008",
        "certificate_requests.py",
        '            latest.setdefault("status", {}).setdefault("failureTime", now())\n',
        '            if reason == "Failed":\n'
        '                latest.setdefault("status", {}).setdefault("failureTime", now())\n',
        "a denial was thought to be no failure",
    ),
    defect(
        "failure-time-of-denials-alone",
        "VI-REQUEST-008",
        "certificate_requests.py",
        '            latest.setdefault("status", {}).setdefault("failureTime", now())\n',
        '            if reason == "Denied":\n'
        '                latest.setdefault("status", {}).setdefault("failureTime", now())\n',
        "the time of a failure was thought to be told by the condition",
    ),
    defect(
        "denied-again-with-a-new-time",
        "VI-REQUEST-008",
        "certificate_requests.py",
        '            latest.setdefault("status", {}).setdefault("failureTime", now())\n'
        '            return set_ready(latest, "False", reason, message)\n',
        '            latest.setdefault("status", {})["failureTime"] = now()\n'
        '            set_ready(latest, "False", reason, message)\n'
        "            return True\n",
        "Denied was forgotten among the final reasons, and the time of the failure is that of the last look",
        Edit("certificate_requests.py", 'FINAL = ("Issued", "Failed", "Denied")', 'FINAL = ("Issued", "Failed")'),
    ),
    defect(
        "failed-is-not-final",
        "VI-REQUEST-009",
        "certificate_requests.py",
        'FINAL = ("Issued", "Failed", "Denied")',
        'FINAL = ("Issued", "Denied")',
        "Failed was thought to be a state of the moment",
    ),
    defect(
        "failed-until-the-issuer-changes",
        "VI-REQUEST-009",
        "certificate_requests.py",
        "            if is_final(request):\n                continue\n",
        '            if is_final(request) and condition(request, "Ready")["reason"] != "Failed":\n'
        "                continue\n",
        "a failed request was to get another chance with another configuration of its issuer",
        Edit(
            "certificate_requests.py",
            "        if request is None or is_final(request):\n            return\n",
            '        if request is None or condition(request, "Ready").get("reason") in ("Issued", "Denied"):\n'
            "            return\n",
        ),
        Edit(
            "certificate_requests.py",
            "        if new is None or self._issuer_resource(new) is None:\n",
            "        if new is None or self._issuer_resource(new) is None or is_final(new):\n",
        ),
        Edit(
            "certificate_requests.py",
            "        if new is None:\n            return\n        for request",
            '        if new is None or (old and old["spec"] == new["spec"] and is_ready(old) == is_ready(new)):\n'
            "            return\n"
            "        for request",
        ),
    ),
    defect(
        "issued-is-not-final",
        "VI-REQUEST-010",
        "certificate_requests.py",
        'FINAL = ("Issued", "Failed", "Denied")',
        'FINAL = ("Failed", "Denied")',
        "a request that is looked at again is signed again",
    ),
    defect(
        "issued-again-by-a-new-configuration",
        "VI-REQUEST-010",
        "certificate_requests.py",
        "            if is_final(request):\n                continue\n",
        '            if is_final(request) and condition(request, "Ready")["reason"] != "Issued":\n'
        "                continue\n",
        "after a change of the issuer its certificates were to be those of the new configuration",
        Edit(
            "certificate_requests.py",
            "        if request is None or is_final(request):\n            return\n",
            '        if request is None or condition(request, "Ready").get("reason") in ("Failed", "Denied"):\n'
            "            return\n",
        ),
        Edit(
            "certificate_requests.py",
            "        if new is None or self._issuer_resource(new) is None:\n",
            "        if new is None or self._issuer_resource(new) is None or is_final(new):\n",
        ),
        Edit(
            "certificate_requests.py",
            "        if new is None:\n            return\n        for request",
            '        if new is None or (old and old["spec"] == new["spec"] and is_ready(old) == is_ready(new)):\n'
            "            return\n"
            "        for request",
        ),
    ),
    defect(
        "absent-issuer-is-final",
        "VI-REQUEST-011",
        "certificate_requests.py",
        '            self._wait(request, "the issuer does not exist")\n',
        '            self._fail(request, "Failed", "the issuer does not exist")\n',
        "a request for an issuer that does not exist was thought to be a mistake",
    ),
    defect(
        "issuer-that-is-not-ready-is-final",
        "VI-REQUEST-011",
        "certificate_requests.py",
        '            self._wait(request, "the issuer is not Ready")\n',
        '            self._fail(request, "Failed", "the issuer is not Ready")\n',
        "a request was to say at once that it cannot be served now",
        also=("VI-HEALTH-013", "VI-ROTATION-003"),
    ),
    defect(
        "changes-of-status-wake-nobody",
        "VI-REQUEST-011",
        "certificate_requests.py",
        "        if new is None:\n            return\n        for request",
        "        if new is None:\n            return\n"
        '        if old is not None and old["metadata"]["generation"] == new["metadata"]["generation"]:\n'
        "            return\n"
        "        for request",
        "changes of an issuer's status were filtered out, as is usual for an object's own controller",
        also=("VI-HEALTH-013", "VI-ROTATION-003"),
    ),
    defect(
        "deleted-issuer-is-remembered",
        "VI-REQUEST-012",
        "certificate_requests.py",
        "        issuer = self._cluster.find(resource, *_issuer_key(request, resource))\n",
        "        where = (resource.kind, *_issuer_key(request, resource))\n"
        "        issuer = self._cluster.find(resource, *where[1:]) or self._known.get(where)\n"
        "        if issuer is not None:\n"
        "            self._known[where] = issuer\n",
        "issuers are kept, for the case that the API server does not answer, and never let go of",
        Edit(
            "certificate_requests.py",
            "        self._kinds = [",
            "        self._known: dict[tuple[str, ...], Object] = {}\n        self._kinds = [",
        ),
    ),
    defect(
        "failed-login-is-final",
        "VI-REQUEST-013",
        "signing.py",
        "        # Also one that is refused: the next login may be let in, and it says nothing of the CSR.\n"
        "        raise DelayedError(",
        "        raise RefusedError(",
        "any error on the way to a signature was thought to be final",
        also=("VI-HEALTH-020",),
    ),
    defect(
        "refused-login-is-final",
        "VI-REQUEST-013",
        "signing.py",
        "        # Also one that is refused: the next login may be let in, and it says nothing of the CSR.\n",
        "        if isinstance(error, VaultRefusalError):\n            raise\n",
        "a refused login was taken for a refused request",
    ),
    defect(
        "broken-connection-is-final",
        "VI-REQUEST-013",
        "certificate_requests.py",
        "        except DelayedError as error:\n",
        "        except DelayedError as error:\n"
        '            if str(error).startswith("Vault cannot be reached"):\n'
        '                self._fail(request, "Failed", str(error))\n'
        "                return\n",
        "a Vault that cannot be reached was thought to be the wrong one",
        also=("VI-HEALTH-018", "VI-HEALTH-019", "VI-HEALTH-020"),
    ),
    defect(
        "login-is-not-tried-again",
        "VI-REQUEST-013",
        "certificate_requests.py",
        "            raise TryAgainError(str(error)) from error\n",
        '            if not str(error).startswith("the login"):\n'
        "                raise TryAgainError(str(error)) from error\n",
        "a request waits for a change after a failed login, and nothing changes",
        also=("VI-HEALTH-020",),
    ),
    defect(
        "group-not-looked-at",
        "VI-REQUEST-014",
        "issuer_references.py",
        "        if resource.kind == kind and resource.group == group:\n",
        "        if resource.kind == kind and group:\n",
        "the kind of issuer was thought to say it all",
    ),
    defect(
        "another-type-fails",
        "VI-REQUEST-014",
        "certificate_requests.py",
        "        if issuer is not None and vault_of(issuer) is None:\n            return\n",
        "        if issuer is not None and vault_of(issuer) is None:\n"
        '            self._fail(request, "Failed", "the issuer is none of Vault")\n'
        "            return\n",
        "a request for an issuer of another type was thought to be a mistake",
    ),
    defect(
        "csr-by-the-name-of-the-request",
        "VI-REQUEST-015",
        "certificate_requests.py",
        'issuer, spec["request"], spec',
        'issuer, self._csrs.setdefault(request["metadata"]["name"], spec["request"]), spec',
        "a CSR is read once for each request; that two namespaces may have requests of the same name was forgotten",
        Edit(
            "certificate_requests.py",
            "        self._kinds = [",
            "        self._csrs: dict[str, str] = {}\n        self._kinds = [",
        ),
    ),
    defect(
        "answer-by-the-names-asked-for",
        "VI-REQUEST-015",
        "vault.py",
        '        data = answer.get("data")\n',
        '        names = (self._server, path, parameters["common_name"], parameters["alt_names"])\n'
        '        data = answer.get("data")\n'
        '        if parameters["common_name"]:\n'
        "            data = _ANSWERS.setdefault(names, data)\n",
        "requests for the same names at the same time were thought to be the same one, tried again",
        Edit("vault.py", "REDIRECTS = (", "_ANSWERS: dict[tuple[str, ...], object] = {}\nREDIRECTS = ("),
    ),
    defect(
        "success-without-an-event",
        "VI-REQUEST-016",
        "certificate_requests.py",
        "        if write_status(self._cluster, CERTIFICATE_REQUESTS, request, change):\n"
        '            self._tell(request, "Normal", "Issued", "Vault signed the certificate")\n',
        "        write_status(self._cluster, CERTIFICATE_REQUESTS, request, change)\n",
        "events were thought to be for what goes wrong",
    ),
    defect(
        "failure-without-an-event",
        "VI-REQUEST-016",
        "certificate_requests.py",
        '            self._tell(request, "Warning", reason, message)\n',
        '            log.warning("%s: %s: %s", key_of(request), reason, message)\n',
        "the condition was thought to tell it all",
    ),
    defect(
        "warning-of-an-issuer-is-normal",
        "VI-REQUEST-016",
        "issuers.py",
        'record(self._cluster, resource, item, "Warning", reason, message)',
        'record(self._cluster, resource, item, "Normal", reason, message)',
        "every event got the same type",
    ),
    defect(
        "event-about-nobody",
        "VI-REQUEST-016",
        "events.py",
        '            "uid": metadata["uid"],\n',
        "",
        "kubectl lists events by uid: one without is recorded and not shown",
    ),
    defect(
        "event-in-another-namespace",
        "VI-REQUEST-016",
        "events.py",
        '    namespace = metadata.get("namespace") or DEFAULT_NAMESPACE\n',
        "    namespace = DEFAULT_NAMESPACE\n",
        "events go where those of cluster-scoped issuers go; the API server refuses the others",
    ),
    defect(
        "denial-that-is-false",
        "VI-REQUEST-002",
        "certificate_requests.py",
        '        if is_true(request, "Denied"):\n',
        '        if condition(request, "Denied"):\n',
        "a condition that is there was taken for one that is True",
    ),
    defect(
        "service-account-missing-is-final",
        "VI-REQUEST-013",
        "signing.py",
        "    except (InvalidConfigurationError, CredentialError, VaultError) as error:\n",
        "    except (InvalidConfigurationError, CredentialError, VaultError) as error:\n"
        '        if "serviceAccountRef" in (described.auth.get("kubernetes") or {}):\n'
        "            raise RefusedError(str(error)) from error\n",
        "a service account that cannot be used was thought to stay so",
        Edit("issuers.py", "        service_accounts.on_change(self._referenced_changed(service_account_names))\n", ""),
    ),
    defect(
        "failure-is-a-normal-event",
        "VI-REQUEST-016",
        "certificate_requests.py",
        '            self._tell(request, "Warning", reason, message)\n',
        '            self._tell(request, "Normal", reason, message)\n',
        "every event of a request is recorded in the same way",
    ),
    defect(
        "nothing-is-said-of-an-absent-issuer",
        "VI-REQUEST-017",
        "certificate_requests.py",
        '            self._wait(request, "the issuer does not exist")\n            return\n',
        "            return\n",
        "the issuer may come at any time, so there was thought to be nothing to say",
    ),
    defect(
        "waiting-in-other-words",
        "VI-REQUEST-017",
        "certificate_requests.py",
        'lambda latest: set_ready(latest, "False", "Pending", message),\n',
        'lambda latest: set_ready(latest, "False", "Waiting", message),\n',
        "the reasons were thought to be free",
    ),
    defect(
        "transition-time-of-the-first-condition",
        "VI-REQUEST-018",
        "conditions.py",
        '    if old.get("status") == status:\n',
        '    if old.get("status") == status or (old and generation is None):\n',
        "a condition that is there already keeps its time",
    ),
    defect(
        "requests-that-name-no-kind-are-not-woken",
        "VI-REQUEST-011",
        "certificate_requests.py",
        '        if resource is None or resource.kind != issuer["kind"]:\n',
        '        if resource is None or request["spec"]["issuerRef"].get("kind") != issuer["kind"]:\n',
        "the kind is looked up in the reference, which need not say it",
        also=("VI-SCOPE-005",),
    ),
)
