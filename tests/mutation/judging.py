"""Judges builds on a stack that keeps running, each in a separate session."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vault_issuer.errors import VaultIssuerError
from pytest_vault_issuer.kube.client import CERTIFICATE_REQUESTS, CERTIFICATES, CSRS, Resource
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.requirements.catalogue import SUITE
from pytest_vault_issuer.requirements.features import PROFILES, RESILIENCE
from pytest_vault_issuer.session.session import Session, SessionKey

from .builds import PACKAGE, Build, Variant
from .forks import Forks
from .inner import DESCRIBED, NAME, ORDER, SOURCE, TIMES

#: Seconds after which the session of one build is stopped.
LIMIT = 1200
#: The share of the mutants that are judged, selected with the seed; all (1) by default.
SHARE = "MUTATION_SHARE"
#: The sample controller answers quickly, so that shorter timeouts are enough.
TIMEOUT_SCALE = 0.5
#: Sessions that share a stack: it becomes slower with the namespaces and mounts that tests leave in it.
SESSIONS_PER_STACK = 40
#: Objects that are deleted after each session, so that later controllers do not reconcile them.
RECONCILED = (
    CERTIFICATES,
    CERTIFICATE_REQUESTS,
    CSRS,
    Resource("cert-manager.io", "v1", "issuers"),
    Resource("cert-manager.io", "v1", "clusterissuers", namespaced=False),
)
#: The area whose tests stop the API server.
STOPS = "VI-OUTAGE-"


def share() -> float:
    """Return the share that is judged."""
    return float(os.environ.get(SHARE, "1"))


def environment_of_sessions() -> dict[str, str]:
    """Return the environment of sessions, without variables of the session that judges them."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "VAULT_ISSUER"))}
    kept |= {k: v for k, v in os.environ.items() if k == "VAULT_ISSUER_CACHE"}
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path}


@dataclass(frozen=True)
class Judgement:
    """The suite's judgement of a build.

    :ivar outcomes: of the judged requirements, by id.
    :ivar verdicts: by profile.
    :ivar output: the output of the session.
    """

    outcomes: dict[str, str]
    verdicts: dict[str, str]
    output: str

    def of(self, *outcomes: str) -> set[str]:
        """Return the requirements with one of these outcomes."""
        return {identifier for identifier, outcome in self.outcomes.items() if outcome in outcomes}


@dataclass(frozen=True)
class Conditions:
    """How a build is judged.

    :ivar described: the implementation that the build replaces: a file, or the name of a built-in one.
    :ivar first_failure: stop at the first failure.
    :ivar limit: seconds after which the session is stopped.
    :ivar times: a file for the times of the tests; None for none.
    :ivar processes: of pytest-xdist; 0 for none.
    """

    described: str = "sample-controller"
    profiles: tuple[str, ...] = PROFILES
    timeout_scale: float = TIMEOUT_SCALE
    first_failure: bool = False
    limit: float = LIMIT
    times: Path | None = None
    processes: int = 0


@dataclass
class Bench:
    """A stack and the sessions that use it; a new stack after a number of sessions."""

    _session: Session | None = field(default=None, init=False)
    _served: int = field(default=0, init=False)
    _forks: Forks | None = field(default=None, init=False)

    def judge(
        self, build: Build, directory: Path, selection: Iterable[str] = (), conditions: Conditions | None = None
    ) -> Judgement:
        """Run the suite on a build.

        :param directory: an empty one.
        :param selection: ids of requirements; () for all.
        :raises subprocess.TimeoutExpired: if the session exceeds the limit.
        :raises AssertionError: if the session writes no report; with its output.
        """
        conditions = conditions or Conditions()
        if isinstance(build, Variant) and build.file is not None:
            return self._run(str(build.file), directory, list(selection), conditions, {})
        source = build.write(directory)
        own_group = source / PACKAGE / "sample-controller.toml"
        implementation = str(own_group) if build.own_group else "mutation.inner:implementation"
        environment = {SOURCE: str(source), DESCRIBED: conditions.described, NAME: build.name}
        return self._run(implementation, directory, list(selection), conditions, environment)

    def _run(
        self,
        implementation: str,
        directory: Path,
        selection: list[str],
        conditions: Conditions,
        environment: dict[str, str],
    ) -> Judgement:
        command = ["--pyargs", SUITE, "-q"]
        command += ["-p", "no:cacheprovider", "-p", "mutation.inner", f"--vault-issuer={implementation}"]
        command += [self._stack_for(selection, conditions), f"--vault-issuer-report={directory / 'report'}"]
        command += [f"--vault-issuer-timeout-scale={conditions.timeout_scale}"]
        command += [f"--vault-issuer-profile={profile}" for profile in conditions.profiles]
        command += [f"--vault-issuer-select={part}" for part in selection]
        command += ["-x"] if conditions.first_failure else []
        command += ["-n", str(conditions.processes)] if conditions.processes else []
        environment = environment | {ORDER: json.dumps(selection)}
        environment |= {TIMES: str(conditions.times)} if conditions.times else {}
        if self._forks is None:
            self._forks = Forks(environment_of_sessions())
        try:
            output = self._forks.run(command, directory, environment, conditions.limit)
        finally:
            self._sweep()
        report = directory / "report" / "report.json"
        assert report.exists(), output
        content: dict[str, Any] = json.loads(report.read_text())
        outcomes = {entry["id"]: entry["outcome"] for entry in content["requirements"] if entry["tests"]}
        verdicts = {name: profile["verdict"] for name, profile in content["profiles"].items()}
        return Judgement(outcomes, verdicts, output)

    def _stack_for(self, selection: list[str], conditions: Conditions) -> str:
        """Return the option for the stack: the shared one, unless the session stops the API server."""
        stops = any(part.startswith(STOPS) for part in selection) or (
            not selection and RESILIENCE in conditions.profiles
        )
        return "--vault-issuer-stack=process" if stops else f"--vault-issuer-join={self._stack()}"

    def _stack(self) -> Path:
        if self._session is not None and self._served >= SESSIONS_PER_STACK:
            self._stop()
        if self._session is None:
            self._session, self._served = Session(Settings(stack="process"), SessionKey.new(), print), 0
            self._session.stack()
        self._served += 1
        return self._session.directory.path

    def _sweep(self) -> None:
        """Delete what the controller of the next session would reconcile."""
        assert self._session is not None
        cluster = self._session.cluster()
        for resource in RECONCILED:
            with contextlib.suppress(VaultIssuerError):  # such as an object that a controller has just deleted
                for item in cluster.list(resource):
                    cluster.delete(resource, item["metadata"]["name"], item["metadata"].get("namespace"))

    def close(self) -> None:
        """Stop the stack, and the process whose forks are sessions."""
        if self._forks is not None:
            self._forks.close()
            self._forks = None
        self._stop()

    def _stop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
