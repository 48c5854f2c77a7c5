"""pytest-kind's ``KindCluster``, in a process of its own.

It talks to the terminal, makes a folder in the working directory and cannot be interrupted in between: here all of
that is the run's. It is under the GPL, too: nothing else here imports it.

Run as ``python -m pytest_vault_issuer.stack.kind_program KIND KUBECONFIG NAME create IMAGE CONFIG``, or
``… load IMAGE``.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(kind: str, kubeconfig: str, name: str, action: str, *arguments: str) -> None:
    """Create the cluster (with an image, '' for kind's own, and a config file), or load an image into it."""
    from pytest_kind import KindCluster

    image = arguments[0]
    cluster = KindCluster(name, kubeconfig=Path(kubeconfig), image=image, kind_path=Path(kind))
    if action == "create":
        cluster.create(config_file=arguments[1])
    else:
        cluster.load_docker_image(image)


if __name__ == "__main__":
    main(*sys.argv[1:])
