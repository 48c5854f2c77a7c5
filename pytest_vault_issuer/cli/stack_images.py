"""``vault-issuer stack images``: which container images a run on the provider ``kind`` takes, and from where."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ..options import OPTIONS, Settings
from ..session.session import Session, SessionKey
from ..stack.kind.provider import NODES
from ..toolchain.images import mirrored
from .output import add_command, add_format, markdown_table, print_json, table

#: In the place of a format: the names to pull, one a line.
NAMES = "names"
#: Fields of the settings that decide on it; their options have the same names here, without prefix.
_DECIDING = ("vault_image", "node_image", "kind_config", "kind_cluster", "image", "kubectl_binary", "registry_mirror")
_HEADERS = ("IMAGE", "PULLED AS", "FOR")


def add_parser(actions: Any) -> None:
    """Add the action to those of ``vault-issuer stack``."""
    images = add_command(
        actions,
        "images",
        "list the container images that a run on kind takes",
        "List the images that a run with --vault-issuer-stack=kind and these options has the container engine pull\n"
        "where it has them not, by their names in the mirror. Nothing is pulled, and no engine is needed. The options\n"
        "are those of a run, without --vault-issuer; what is not given is taken from the environment, as a run does.",
        """
vault-issuer stack images --node-image kindest/node:v1.36.3
vault-issuer stack images --implementation ./my-issuer.toml --node-image kindest/node:v1.36.3 \\
    --registry-mirror registry.example.com/hub --format names | xargs -n1 docker pull
""",
    )
    images.add_argument(
        "--implementation", default="", metavar="ISSUER", help="the issuer under test (default: cert-manager)"
    )
    for option in OPTIONS:
        if option.field in _DECIDING:
            images.add_argument(f"--{_short(option.name)}", default="", metavar=option.metavar, help=option.help)
    add_format(images, NAMES)
    images.set_defaults(run=_run)


def _short(name: str) -> str:
    return name.removeprefix("vault-issuer-")


def _run(options: argparse.Namespace) -> int:
    given = {
        option.name: getattr(options, _short(option.name).replace("-", "_"))
        for option in OPTIONS
        if option.field in _DECIDING
    }
    issuer = options.implementation or os.environ.get("VAULT_ISSUER") or "cert-manager"
    # A run that joins another pulls for its issuer alone; here all is listed.
    environment = {key: value for key, value in os.environ.items() if key != "VAULT_ISSUER_JOIN"}
    chosen = {**given, "vault-issuer": issuer, "vault-issuer-stack": "kind"}
    settings = Settings.collect(chosen.get, lambda _: "", environment)
    needed = Session(settings, SessionKey.new(), print).images()
    rows = [[each.image, mirrored(each.image, settings.registry_mirror), each.purpose] for each in needed]
    if options.format == "json":
        print_json([dict(zip(("image", "pulled_as", "purpose"), row, strict=True)) for row in rows])
    elif options.format == "markdown":
        print("\n".join(markdown_table([header.lower() for header in _HEADERS], rows)))
    elif options.format == NAMES:
        print("\n".join(pulled for _, pulled, _ in rows))
    else:
        print("\n".join(table(_HEADERS, rows)))
        if not settings.kind_cluster and not any(each.purpose == NODES for each in needed):
            print("the image of the nodes is kind's own, pulled by kind: name one in --node-image to have it listed")
    return 0
