"""pytest-kind's ``KindCluster``, in a process of its own.

It talks to the terminal, makes a folder in the working directory and cannot be interrupted in between: here all of
that is the run's. It is under the GPL, too: nothing else here imports it.

Run as ``python -m pytest_vault_issuer.stack.kind.program KIND KUBECONFIG NAME IMAGE CONFIG``.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(kind: str, kubeconfig: str, name: str, image: str, config: str) -> None:
    """Create the cluster.

    :param image: of its nodes, '' for kind's own.
    :param config: kind's configuration, a file.
    """
    from pytest_kind import KindCluster

    KindCluster(name, kubeconfig=Path(kubeconfig), image=image, kind_path=Path(kind)).create(config_file=config)


if __name__ == "__main__":
    main(*sys.argv[1:])
