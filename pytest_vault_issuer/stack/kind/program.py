"""Runs pytest-kind's ``KindCluster`` in a separate process.

``KindCluster`` prints to the terminal, creates a folder in its working directory, and cannot be interrupted. In a
process of the session, none of this reaches the user. Its license is the GPL: no other module imports it.

Run as ``python -m pytest_vault_issuer.stack.kind.program KIND KUBECONFIG NAME IMAGE CONFIG``.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(kind: str, kubeconfig: str, name: str, image: str, config: str) -> None:
    """Create the cluster.

    :param image: image of the nodes; '' for the default of kind.
    :param config: path of kind's configuration file.
    """
    from pytest_kind import KindCluster

    KindCluster(name, kubeconfig=Path(kubeconfig), image=image, kind_path=Path(kind)).create(config_file=config)


if __name__ == "__main__":
    main(*sys.argv[1:])
