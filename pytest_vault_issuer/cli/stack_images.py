"""``vault-issuer stack images``: the container images that a session on the provider ``kind`` needs."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ..options import Settings
from ..session.session import Session, SessionKey
from ..stack.kind.provider import NODES
from ..toolchain.images import mirrored
from . import session_options
from .output import add_command, add_format, markdown_table, show, table

#: A further format: the names to pull, one per line.
NAMES = "names"
#: Fields of the settings that decide which images a session needs.
_FIELDS = (
    "vault_image",
    "node_image",
    "kind_config",
    "kind_cluster",
    "image",
    "kubectl_binary",
    "helm_binary",
    "registry_mirror",
)
_HEADERS = ("IMAGE", "PULLED AS", "FOR")


def add_parser(actions: Any) -> None:
    """Add the action to those of ``vault-issuer stack``."""
    images = add_command(
        actions,
        "images",
        "list the container images that a session on kind needs",
        "List the images that a session with --vault-issuer-stack=kind and these options needs, and the names under\n"
        "which the container engine pulls them. The command pulls nothing and needs no engine. The options are those\n"
        "of a session, without --vault-issuer. Values that you do not give come from the environment, as in a session.",
        """
vault-issuer stack images --node-image kindest/node:v1.36.3
vault-issuer stack images --implementation ./my-issuer.toml --node-image kindest/node:v1.36.3 \\
    --registry-mirror registry.example.com/hub --format names | xargs -n1 docker pull
""",
    )
    images.add_argument(
        "--implementation", metavar="IMPLEMENTATION", help="implementation to judge (default: cert-manager)"
    )
    session_options.add_options(images, *_FIELDS)
    add_format(images, NAMES)
    images.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = Settings.of_command(
        implementation=options.implementation or os.environ.get("VAULT_ISSUER") or "cert-manager",
        stack="kind",
        **session_options.given(options, *_FIELDS),
    )
    needed = Session(settings, SessionKey.new(), print).images()
    rows = [[each.image, mirrored(each.image, settings.registry_mirror), each.purpose] for each in needed]
    if options.format == NAMES:
        print("\n".join(pulled for _, pulled, _ in rows))
        return 0
    pretty = table(_HEADERS, rows)
    if not settings.kind_cluster and not any(each.purpose == NODES for each in needed):
        pretty.append("kind chooses and pulls the image of the nodes: give --node-image to list it")
    entries = [dict(zip(("image", "pulled_as", "purpose"), row, strict=True)) for row in rows]
    show(options.format, entries, markdown_table([header.lower() for header in _HEADERS], rows), pretty)
    return 0
