"""``vault-issuer bench``: measures what controllers cost, side by side."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..bench import Load, Result, compare, excesses, measure, plot
from ..bench.result import PERCENTILES, Phase
from ..errors import ConfigurationError
from ..options import Settings
from ..sandbox import FEATURES
from ..session.session import Session, SessionKey
from . import session_options
from .output import add_command, add_format, markdown_table, positive, show, table
from .progress import Progress

_DATA, _PLOT = "bench.json", "bench.svg"
_HEADERS = ("implementation", "what", "count", *(f"p{p} ms" for p in PERCENTILES), "max ms", "per s", "to Vault each")
#: Fields of the settings that the command has options for.
_FIELDS = ("timeout_scale",)


def add_parser(commands: Any) -> None:
    """Add the command to those of ``vault-issuer``."""
    parser = add_command(
        commands,
        "bench",
        "measure what controllers cost: latencies, throughput, requests to Vault",
        "Measure the time from the creation of an Issuer until it is Ready, and of a CertificateRequest until it is\n"
        "issued; how many are issued per second; and how many requests reach Vault for each. Every controller gets a\n"
        "stack of its own. The controllers take turns in each round, so that a machine that slows down affects all of\n"
        "them. All of them talk to Vault through the proxy that counts the requests. Compare only numbers of the same\n"
        "command. Exit status 1: a controller costs more than --fail-above allows.",
        """
vault-issuer bench cert-manager@1.18 cert-manager@1.21 --rounds 3 --output bench
vault-issuer bench ./my-issuer.toml cert-manager --issuers 1000 --requests 1000 --concurrency 50
vault-issuer bench ./my-issuer.toml --auth approle --format json           # a login for each signature
vault-issuer bench cert-manager@1.20 cert-manager@1.21 --fail-above 1.5    # before an upgrade, in CI
""",
    )
    parser.add_argument(
        "implementations",
        nargs="+",
        metavar="IMPLEMENTATION",
        help="cert-manager, cert-manager@VERSION, sample-controller, a TOML file, or package.module:factory",
    )
    parser.add_argument(
        "--issuers", type=positive, default=20, metavar="N", help="number of Issuers (default: %(default)s)"
    )
    parser.add_argument(
        "--requests", type=positive, default=200, metavar="N", help="number of requests (default: %(default)s)"
    )
    parser.add_argument(
        "--concurrency",
        type=positive,
        default=10,
        metavar="N",
        help="number of objects in progress at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=positive, default=1, metavar="N", help="number of measurements of each (default: %(default)s)"
    )
    parser.add_argument(
        "--auth",
        default=FEATURES[0],
        choices=FEATURES,
        metavar="FEATURE",
        help=f"auth method of the Issuers: {', '.join(FEATURES)} (default: %(default)s, which needs no login)",
    )
    parser.add_argument(
        "--fail-above",
        type=_ratio,
        metavar="RATIO",
        help="exit with 1 if a median latency or the requests to Vault of another implementation are more than RATIO "
        "times those of the first",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"directory for {_DATA}, with every single value, and {_PLOT}, a plot",
    )
    session_options.add_options(parser, *_FIELDS)
    add_format(parser)
    parser.set_defaults(run=_run)


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text}")
    return value


def _run(options: argparse.Namespace) -> int:
    load = Load(options.issuers, options.requests, options.concurrency, options.auth)
    names: list[str] = options.implementations
    if options.fail_above and len(names) < 2:
        raise ConfigurationError(
            "--fail-above needs two implementations to compare", hint="name a second implementation"
        )
    if len(set(names)) < len(names):
        raise ConfigurationError("an implementation is named twice", hint="use --rounds to measure it several times")
    given = session_options.given(options, *_FIELDS)
    settings = [Settings.of_command(implementation=name, stack="process", **given) for name in names]
    measured: dict[str, Result] = {}
    with Progress() as progress:
        for _ in range(options.rounds):
            for name, chosen in zip(names, settings, strict=True):
                result = measure(Session(chosen, SessionKey.new(), progress), load, progress)
                measured[name] = measured[name].merged(result) if name in measured else result
    results = list(measured.values())
    data: dict[str, Any] = {
        "load": {**vars(load), "rounds": options.rounds},
        "results": [result.as_dict() for result in results],
        "comparison": compare(results[0], results[1:]),
    }
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / _DATA).write_text(json.dumps(data, indent=2) + "\n")
        (options.output / _PLOT).write_text(plot.render(results), encoding="utf-8")
    written = [f"written: {options.output / _DATA}, {options.output / _PLOT}"] if options.output else []
    show(
        options.format,
        data,
        markdown(results),
        [*table(_HEADERS, _rows(results)), *_sentences(data["comparison"]), *written],
    )
    exceeded = excesses(data["comparison"], options.fail_above) if options.fail_above else []
    for sentence in exceeded:
        print(sentence, file=sys.stderr)
    return 1 if exceeded else 0


def markdown(results: Sequence[Result]) -> list[str]:
    """Return the lines of a Markdown table of the results."""
    return markdown_table(_HEADERS, _rows(results))


def _rows(results: Sequence[Result]) -> list[list[str]]:
    return [
        _row(result.name, what, phase)
        for result in results
        for what, phase in (("Issuer Ready", result.ready), ("request issued", result.signed))
    ]


def _row(name: str, what: str, phase: Phase) -> list[str]:
    latencies = [*(phase.percentile(percent) for percent in PERCENTILES), phase.seconds[-1]]
    asked = ", ".join(f"{count / len(phase.seconds):.2f} {route}" for route, count in sorted(phase.asked.items()))
    return [
        name,
        what,
        str(len(phase.seconds)),
        *(f"{seconds * 1000:.0f}" for seconds in latencies),
        f"{phase.rate:.1f}",
        asked or "none",
    ]


def _sentences(comparison: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{entry['implementation']} against {entry['against']}: Issuer Ready {entry['issuer_ready_p50']:.2f} times as "
        f"long, request issued {entry['request_signed_p50']:.2f} times as long (medians), "
        f"{entry['requests_per_second']:.2f} times the throughput, "
        f"{entry['vault_requests_per_request']:.2f} times the requests to Vault"
        for entry in comparison
    ]
