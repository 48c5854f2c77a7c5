"""What a Vault is told that is started not initialised, be it a process or in a container, Vault's own or OpenBao."""

from __future__ import annotations

import json
from collections.abc import Sequence

#: Elections and promotions early: by default a lost active node is missed after five seconds or more, and who may be
#: elected is looked at every ten. With 1, an active node would give up where a busy machine keeps it half a second.
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

    :param storage: ``inmem`` or ``raft``, the latter with its files in `directory`.
    :param host: by which others reach it.
    :param listen: address to listen on.
    :param ports: for clients, and for other nodes.
    :param certificates: directory with ``vault.pem`` and ``vault-key.pem``.
    :param advertised: URL to which other nodes redirect its clients; '' for its own.
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
        # A standby hands on what it is asked. One of OpenBao would answer logins by itself, and deny those of
        # Kubernetes by mounts younger than it is. Vault does not know the key, and says so in its log.
        "disable_standby_reads": True,
        "log_level": "info",
    }
    return json.dumps(config)
