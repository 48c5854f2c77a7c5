"""The configuration of a Vault or OpenBao server, as a process or in a container."""

from __future__ import annotations

import json
from collections.abc import Sequence

#: Fast elections and promotions. By default, a standby notices the loss of the active node after 5 s or more, and
#: promotions happen every 10 s. With a multiplier of 1, an active node steps down if a busy machine delays it by 0.5 s.
_RAFT = {"performance_multiplier": "2", "autopilot_reconcile_interval": "500ms", "autopilot_update_interval": "250ms"}


def configuration(
    name: str,
    storage: str,
    directory: str,
    *,
    host: str,
    listen: str,
    ports: Sequence[int],
    certificates: str,
    advertised: str,
) -> str:
    """Return the configuration of a Vault that serves with TLS, as JSON.

    :param storage: ``inmem`` or ``raft``.
    :param directory: for the files of ``raft``.
    :param host: host name or address for clients and other nodes.
    :param listen: address to listen on.
    :param ports: the port for clients, and the port for other nodes.
    :param certificates: directory with ``vault.pem`` and ``vault-key.pem``.
    :param advertised: URL to which other nodes redirect its clients; '' for its own URL.
    """
    settings = {"path": directory, "node_id": name} | _RAFT if storage == "raft" else {}
    listener = {
        "address": f"{listen}:{ports[0]}",
        "cluster_address": f"{listen}:{ports[1]}",
        "tls_cert_file": f"{certificates}/vault.pem",
        "tls_key_file": f"{certificates}/vault-key.pem",
    }
    config = {
        "storage": {storage: settings},
        "listener": [{"tcp": listener}],
        "api_addr": advertised or f"https://{host}:{ports[0]}",
        "cluster_addr": f"https://{host}:{ports[1]}",
        "disable_mlock": True,
        # A standby must forward requests. A standby of OpenBao would answer logins itself, and deny those of
        # Kubernetes at mounts that are newer than itself. Vault logs that it does not know this key.
        "disable_standby_reads": True,
        "log_level": "info",
    }
    return json.dumps(config)
