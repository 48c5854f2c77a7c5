"""Mistakes with a Vault that has standbys, and with what is no Vault at all."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

DEFECTS: tuple[Defect, ...] = (
    defect(
        "standby-taken-for-a-rate-limit",
        "VI-HEALTH-006",
        "vault.py",
        "HEALTHY_STANDBYS = (429, 472, 473)",
        "HEALTHY_STANDBYS = (472, 473)",
        "429 means Too Many Requests everywhere else",
        also=("VI-HEALTH-015", "VI-HEALTH-016", "VI-HEALTH-017", "VI-HEALTH-020"),
    ),
    defect(
        "login-at-the-active-node-only",
        "VI-HEALTH-015",
        "vault.py",
        '        status, answer = self._call("POST", path, body=credentials, headers=self._namespace_header())\n',
        '        if self._call("GET", "/v1/sys/health")[0] == 429:\n'
        '            raise VaultError("a standby lets nobody in")\n'
        '        status, answer = self._call("POST", path, body=credentials, headers=self._namespace_header())\n',
        "that a standby forwards what it cannot do is not known",
        also=("VI-HEALTH-016", "VI-HEALTH-017", "VI-HEALTH-020"),
    ),
    defect(
        "redirect-not-followed",
        "VI-HEALTH-016",
        "vault.py",
        "REDIRECTS = (301, 302, 303, 307, 308)",
        "REDIRECTS = (301, 302)",
        "the list of redirects is that of the oldest HTTP",
    ),
    defect(
        "demotion-taken-for-a-rate-limit",
        "VI-HEALTH-017",
        "vault.py",
        "        if status in HEALTHY_STANDBYS:\n            return\n",
        "        if status == 429 and self._server in _SEEN_ACTIVE:\n"
        '            raise VaultError("Vault limits the rate of requests")\n'
        "        if status in HEALTHY_STANDBYS:\n            return\n",
        "429 is believed of a node that was a standby all along, not of one that was active before",
        Edit(
            "vault.py",
            "class VaultError(Exception):",
            "_SEEN_ACTIVE: set[str] = set()\n\n\nclass VaultError(Exception):",
        ),
        Edit(
            "vault.py",
            "        if 200 <= status < 300:\n",
            "        if 200 <= status < 300:\n            _SEEN_ACTIVE.add(self._server)\n",
        ),
    ),
    defect(
        "vaults-own-trouble-is-final",
        "VI-HEALTH-018",
        "vault.py",
        "    if 400 <= status < 500 and status not in TEMPORARY_REFUSALS:",
        "    if status >= 400 and status not in TEMPORARY_REFUSALS:",
        "every answer of Vault with errors is taken for its last word",
        also=("VI-HEALTH-019",),
    ),
    defect(
        "lost-connection-is-final",
        "VI-HEALTH-019",
        "vault.py",
        '            raise VaultError(f"Vault cannot be reached: {_reason(error)}") from error',
        '            raise VaultRefusalError(f"Vault cannot be reached: {_reason(error)}") from error',
        "whatever goes wrong while a request is signed is its end",
    ),
    defect(
        "outage-waited-out-by-nobody",
        "VI-HEALTH-020",
        "certificate_requests.py",
        "            self._wait(request, str(error))\n            raise TryAgainError(str(error)) from error\n",
        "            self._wait(request, str(error))\n",
        "Pending is written down, and taken for something that others bring to an end",
        Edit(
            "certificate_requests.py",
            "from .work_queue import TryAgainError, WorkQueue",
            "from .work_queue import WorkQueue",
        ),
        also=("VI-HEALTH-018", "VI-HEALTH-019", "VI-REQUEST-013"),
    ),
    defect(
        "any-page-is-a-vault",
        "VI-HEALTH-021",
        "vault.py",
        '            if answer.get("initialized") is not True or answer.get("sealed") is not False:\n'
        '                raise VaultError("the query of Vault\'s health was not answered by a Vault that is ready")\n',
        "",
        "200 says that all is well, and the answer is not read",
    ),
)
