"""Runs the sample controller: ``python -m pytest_vault_issuer.sample_controller --kubeconfig=…``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from traceback import format_tb

from . import shapes
from .certificate_requests import CertificateRequestController
from .certificate_signing_requests import CertificateSigningRequestController
from .certificates import CertificateController
from .cluster import (
    BURST,
    CERTIFICATE_REQUESTS,
    CERTIFICATE_SIGNING_REQUESTS,
    CERTIFICATES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Cluster,
    ClusterError,
)
from .connection import ConnectionSettingsError
from .habits import HABITS
from .issuers import IssuerController
from .leader_election import LeaderElection
from .watching import Watcher
from .work_queue import FIRST_DELAY, LONGEST_DELAY, set_guard, start_workers

#: Field of :class:`Habits` -> the help text of its option.
HABIT_OPTIONS = {
    "unknown_first": "set a new issuer to Ready=Unknown before the first check",
    "sign_paths_only": "refuse a path that is not a sign endpoint",
    "preflight": "before an issuer becomes Ready, ask Vault whether its token may sign",
    "keep_logins": "sign with one login per issuer until its token expires or is refused",
}

log = logging.getLogger("sample-controller")


def arguments(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="sample-controller", description="Issues certificates that Vault signs.")
    parser.add_argument("--kubeconfig", default="", help="path of the kubeconfig; default: the pod's service account")
    parser.add_argument(
        "--cluster-resource-namespace",
        default="sample-controller",
        help="namespace of the Secrets and service accounts of cluster-scoped issuers",
    )
    parser.add_argument("--api-version", default="cert-manager.io/v1", help="group and version of the issuers")
    parser.add_argument("--issuer-kind", default="Issuer", help="the namespaced kind of issuer, '' for none")
    parser.add_argument(
        "--cluster-issuer-kind", default="ClusterIssuer", help="the cluster-scoped kind of issuer, '' for none"
    )
    parser.add_argument("--no-certificate-requests", action="store_true", help="serve CertificateSigningRequests only")
    parser.add_argument(
        "--certificates", action="store_true", help="serve Certificates too, where cert-manager does not"
    )
    parser.add_argument("--shape", choices=shapes.NAMES, help="how issuers are written, if not as spec.vault")
    parser.add_argument("--workers", type=int, default=20, help="issuers, and requests, that are reconciled at once")
    parser.add_argument(
        "--qps",
        type=float,
        default=0.0,
        help=f"calls to the API server per second after a burst of {BURST}; 0: no limit",
    )
    parser.add_argument("--first-retry", type=float, default=FIRST_DELAY, help="seconds before the first retry")
    parser.add_argument("--max-retry", type=float, default=LONGEST_DELAY, help="the most seconds between two retries")
    parser.add_argument("--leader-elect", action="store_true", help="of several replicas, let one work")
    parser.add_argument("--lease-duration", type=float, default=15.0, help="seconds until another replica takes over")
    for habit, text in HABIT_OPTIONS.items():
        parser.add_argument(f"--{habit.replace('_', '-')}", action="store_true", help=text)
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Run until a signal says to stop; return the exit status."""
    options = arguments(words)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    for habit in HABIT_OPTIONS:
        setattr(HABITS, habit, getattr(options, habit))
    names = [kind for kind in (options.issuer_kind, options.cluster_issuer_kind) if kind]
    try:
        if options.shape:
            cluster: Cluster = shapes.ShapedCluster(options.kubeconfig, options.shape, rate=options.qps)
        else:
            cluster = Cluster(options.kubeconfig, rate=options.qps)
        kinds = [cluster.discover(options.api_version, kind) for kind in names]
        if isinstance(cluster, shapes.ShapedCluster):
            cluster.translate(kinds, options.cluster_resource_namespace)
    except (ClusterError, ConnectionSettingsError) as error:
        log.error("%s", error)
        return 1

    issuers = [Watcher(cluster, kind) for kind in kinds]
    requests = Watcher(cluster, CERTIFICATE_REQUESTS)
    signing_requests = Watcher(cluster, CERTIFICATE_SIGNING_REQUESTS)
    secrets = Watcher(cluster, SECRETS)
    service_accounts = Watcher(cluster, SERVICE_ACCOUNTS)
    namespace = options.cluster_resource_namespace
    issuer_controller = IssuerController(cluster, namespace, issuers, secrets, service_accounts)
    request_controller = CertificateRequestController(cluster, namespace, requests, issuers)
    signing_controller = CertificateSigningRequestController(cluster, namespace, signing_requests, issuers)

    for queue in (issuer_controller.queue, request_controller.queue, signing_controller.queue):
        queue.set_delays(options.first_retry, options.max_retry)

    stop = threading.Event()
    broken: list[str] = []

    def end(failure: threading.ExceptHookArgs) -> None:
        """End the process if one of its threads fails: without that thread, changes would go unnoticed."""
        broken.append(failure.thread.name if failure.thread else "")
        log.critical("%s in %s\n%s", failure.exc_type.__name__, broken, "".join(format_tb(failure.exc_traceback)))
        stop.set()

    threading.excepthook = end
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if options.leader_elect:
        # Its calls are not limited: a replica that is busy must not lose its lease.
        election = LeaderElection(Cluster(options.kubeconfig), namespace, options.lease_duration)
        log.info("waiting for the lease")
        election.acquire(stop)
        election.keep(lambda: os._exit(1))  # without a last word to Vault or the API server: another replica works
        set_guard(lambda: election.leads)
    start_workers(issuer_controller.queue, issuer_controller.reconcile, options.workers)
    watchers = [*issuers, signing_requests, secrets, service_accounts]
    if not options.no_certificate_requests:
        start_workers(request_controller.queue, request_controller.reconcile, options.workers)
        watchers.append(requests)
    start_workers(signing_controller.queue, signing_controller.reconcile, options.workers)
    if options.certificates:
        certificates = Watcher(cluster, CERTIFICATES)
        certificate_controller = CertificateController(cluster, certificates, requests, secrets, issuers)
        start_workers(certificate_controller.queue, certificate_controller.reconcile, options.workers)
        watchers.append(certificates)
    if isinstance(cluster, shapes.ShapedCluster):
        watchers += cluster.watch_references(issuers)
    for watcher in watchers:
        watcher.start()
    log.info("watching %s", ", ".join(kind.plural for kind in kinds))
    stop.wait()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
