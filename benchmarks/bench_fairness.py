"""Measures how long a request of a working Issuer takes beside many other Issuers, and beside broken ones.

python benchmarks/bench_fairness.py [--vault-issuer NAME] [--issuers 300] [--requests 20]

For each load, it prints the median, the minimum and the maximum in seconds of consecutive requests of one Issuer, and
the ratio of the median to that of the Issuer alone. It asserts nothing. A ratio of about 1 is fair. If failures delay
other Issuers, the ratio grows with their number.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable

from pytest_vault_issuer import Issuer, Sandbox, retry_later
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.toolchain import to_stderr


def latencies(sandbox: Sandbox, issuer: Issuer, count: int) -> list[float]:
    """Return the seconds from the creation of each request until it is issued."""
    times = []
    for _ in range(count):
        signing = sandbox.new_signing()
        began = time.perf_counter()
        sandbox.issued(issuer, signing)
        times.append(time.perf_counter() - began)
    return times


def working(sandbox: Sandbox, kind: str, count: int) -> None:
    """Create Issuers of the working Vault and wait until they are Ready."""
    auth = sandbox.default_authentication(kind)
    for issuer in [sandbox.issuer(kind, auth) for _ in range(count)]:
        issuer.wait_ready()


def broken(sandbox: Sandbox, kind: str, count: int) -> None:
    """Create Issuers whose Vault is overloaded and wait until they are not Ready."""
    proxy = sandbox.new_proxy()
    proxy.inject(None, retry_later(503))
    auth = sandbox.default_authentication(kind)
    for issuer in [sandbox.issuer(kind, auth, proxy=proxy) for _ in range(count)]:
        issuer.wait_not_ready("its Vault is overloaded")


def main() -> None:
    """Measure one controller and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vault-issuer", default="sample-controller", dest="implementation")
    parser.add_argument("--issuers", type=int, default=300)
    parser.add_argument("--broken", type=int, default=20)
    parser.add_argument("--requests", type=int, default=20)
    options = parser.parse_args()
    given = {"vault-issuer": options.implementation, "stack": "process"}
    settings = Settings.collect(lambda name: given.get(name.removeprefix("vault-issuer-")), lambda _: "")
    session = Session(settings, SessionKey.new(), to_stderr)
    loads: dict[str, Callable[[Sandbox, str], object]] = {
        "alone": lambda *_: None,
        "beside one broken": lambda sandbox, kind: broken(sandbox, kind, 1),
        f"beside {options.broken} more broken": lambda sandbox, kind: broken(sandbox, kind, options.broken),
        f"and {options.issuers} working": lambda sandbox, kind: working(sandbox, kind, options.issuers),
    }
    try:
        session.build()
        with contextlib.closing(Sandbox(session.environment())) as sandbox:
            kind = next(iter(sandbox.environment.kinds))
            issuer = sandbox.ready_issuer(kind)
            latencies(sandbox, issuer, 3)  # the first ones fill caches
            base = 0.0
            print(f"| {options.implementation} | median | min | max | ratio |\n|---|---|---|---|---|", flush=True)
            for name, prepare in loads.items():
                prepare(sandbox, kind)
                times = latencies(sandbox, issuer, options.requests)
                median = statistics.median(times)
                base = base or median
                row = f"| {name} | {median:.3f} | {min(times):.3f} | {max(times):.3f} | {median / base:.2f} |"
                print(row, flush=True)
    finally:
        session.close()


if __name__ == "__main__":
    main()
