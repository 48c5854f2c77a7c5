"""States of an issuer object that count as the controller's answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_vault_issuer.errors import ConfigurationError, NotRunnable, Unmet, UnsupportedError, at_barrier
from pytest_vault_issuer.kube.client import ApiError, Resource
from pytest_vault_issuer.sandbox.csr import SigningRequest
from pytest_vault_issuer.sandbox.handles import (
    CertificateRequest,
    Handle,
    Issuer,
    IssuerType,
    RefusedError,
    UncalledWebhookError,
    current_status,
)
from pytest_vault_issuer.sandbox.shapes import BlockShape
from pytest_vault_issuer.timeouts import Timeouts


def issuer_with(*conditions: dict[str, Any], generation: int = 2) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "status": {"conditions": list(conditions)}}


def ready(status: str, generation: int | None = None) -> dict[str, Any]:
    observed = {} if generation is None else {"observedGeneration": generation}
    return {"type": "Ready", "status": status} | observed


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], ""),
        ([ready("Unknown", 2)], ""),
        ([ready("Unknown")], ""),
        ([ready("False", 1)], ""),
        ([ready("True", 1)], ""),
        ([ready("False", 2)], "False"),
        ([ready("True", 2)], "True"),
        ([ready("False")], "False"),
        ([{"type": "Other", "status": "True"}], ""),
    ],
)
def test_only_a_current_true_or_false_is_an_answer(conditions: list[dict[str, Any]], expected: str) -> None:
    assert current_status(issuer_with(*conditions)) == expected


def stuck(item: dict[str, Any]) -> Issuer:
    """Return an issuer object that does not change before any bound."""
    cluster: Any = SimpleNamespace(
        wait=lambda resource, name, namespace, until, timeout: (until(item), item),
        find=lambda *_: item,
        get=lambda *_: item,
    )
    kind: Any = SimpleNamespace(resource=None, kind="Issuer", ready_condition="Ready", cluster_scoped=False)
    return Issuer(cluster, Timeouts(), kind, "mine", "here", home="here", vault={}, labels={})


@pytest.mark.parametrize("item", [issuer_with(), issuer_with(ready("Unknown", 2)), issuer_with(ready("False", 1))])
def test_issuer_without_an_answer_until_the_bound_is_not_ready(item: dict[str, Any]) -> None:
    assert stuck(item).wait_not_ready() is item


@pytest.mark.parametrize("item", [issuer_with(ready("True", 2)), issuer_with(ready("True", 1))])
def test_issuer_that_stays_ready_is_not_taken_as_not_ready(item: dict[str, Any]) -> None:
    with pytest.raises(Unmet, match="to be not Ready"):
        stuck(item).wait_not_ready()


def test_unknown_is_no_answer() -> None:
    assert stuck(issuer_with(ready("Unknown", 2))).wait_answer() == ""
    assert stuck(issuer_with(ready("False", 2))).wait_answer() == "False"


def test_webhook_that_does_not_answer_is_named() -> None:
    error = UncalledWebhookError(ApiError("POST /issuers", 500, {"message": 'failed calling webhook "mine"'}))
    assert str(error).startswith("expected the controller's webhook to answer the API server: POST /issuers: 500")


REQUIRED = 'VaultIssuer.example.test "issuer-3fa2" is invalid: spec.ca: Required value'
DENIED = 'admission webhook "mine" denied the request: spec.ca is missing'


class Refusing:
    """A cluster whose API server refuses every change of an issuer object."""

    def __init__(self, code: int, message: str) -> None:
        self.error = ApiError("PATCH /apis/example.test/v1/vaultissuers/issuer-3fa2", code, {"message": message})

    def patch(self, *_: Any, **__: Any) -> None:
        raise self.error

    create = get = patch


def refused(code: int, message: str) -> Issuer:
    type_ = IssuerType("VaultIssuer", Resource("example.test", "v1", "vaultissuers"), BlockShape(("spec",)), False)
    cluster: Any = Refusing(code, message)
    return Issuer(cluster, Timeouts(), type_, "issuer-3fa2", "here", home="here", vault={"server": "x"}, labels={})


CHANGES: list[Callable[[Issuer], object]] = [
    lambda issuer: issuer.create(),
    lambda issuer: issuer.change(lambda vault: vault.update(server="y")),
    lambda issuer: issuer.touch(),
    lambda issuer: issuer.write_conditions([{"type": "Audited", "status": "True"}]),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("code", "message", "said"), [(422, REQUIRED, "spec.ca: Required value"), (403, DENIED, DENIED)]
)
def test_test_is_not_run_if_the_api_of_the_controller_refuses_its_issuer_object(
    code: int, message: str, said: str, change: Callable[[Issuer], object]
) -> None:
    with (
        pytest.raises(
            NotRunnable, match=r"the API of the controller refuses an issuer object of this test: "
        ) as caught,
        at_barrier(),
    ):
        change(refused(code, message))
    assert not isinstance(caught.value, AssertionError | UnsupportedError)
    assert caught.value.message.endswith(said)
    assert "3fa2" not in caught.value.message, "expected no name that differs from test to test"


ABSENT = 'Ready=False: failed to get the credentials: secrets "secret-3fa2" not found'


def unfound(scope: str, secret: int | None, message: str = ABSENT) -> Issuer:
    """Return an issuer object of version 10 that is never Ready, and whose Secret has this version, None for absent."""
    item = issuer_with(ready("False") | {"message": message})
    found = secret and {"metadata": {"resourceVersion": str(secret)}}
    cluster: Any = SimpleNamespace(
        create=lambda *_: {"metadata": {"resourceVersion": "10"}},
        wait=lambda *_, **__: (False, item),
        find=lambda resource, name, namespace: found if (name, namespace) == ("secret-3fa2", "home") else None,
    )
    kind = IssuerType("X", Resource("e.test", "v1", "x"), BlockShape(("spec",)), cluster_scoped=scope == "cluster")
    vault = {"auth": {"appRole": {"secretRef": {"name": "secret-3fa2", "key": "id"}}}}
    issuer = Issuer(cluster, Timeouts(), kind, "mine", None, home="home", vault=vault, labels={})
    issuer.create()
    return issuer


FORBIDDEN = 'User "u" cannot get resource "secrets" in API group "" in the namespace "{}"'
ADVICE = {
    "its Secret exists": (("cluster", 9), "check [run] cluster_resource_namespace"),
    "the Secret of a namespaced one exists": (("namespace", 9), "check where it reads them, and [issuer.shape]"),
    "its Secret does not exist": (("cluster", None), ""),
    "its Secret was created later": (("cluster", 11), ""),
    "another reason": (("cluster", 9, "Vault: 404 route entry not found"), ""),
    "it looks elsewhere": (("cluster", 9, FORBIDDEN.format("default")), "check [run] cluster_resource_namespace"),
    "it lacks a permission": (("cluster", 9, FORBIDDEN.format("home")), "may not get secrets: check [run] rbac"),
}


@pytest.mark.parametrize(("situation", "advised"), ADVICE.values(), ids=ADVICE)
def test_failure_that_a_wrong_implementation_file_explains_says_so(situation: tuple[Any, ...], advised: str) -> None:
    with pytest.raises(Unmet) as caught:
        unfound(*situation).wait_ready()
    expected, _, rest = str(caught.value).partition("; ")
    assert expected.startswith("expected X mine to be Ready within")
    assert rest.startswith("probable cause: the ") == bool(advised)
    assert f"{advised}; its conditions: " in f"; {rest}" if advised else "check" not in rest


def test_conditions_cannot_be_written_without_a_status_subresource() -> None:
    with pytest.raises(RefusedError, match="could not find the requested resource"):
        refused(404, "the server could not find the requested resource").write_conditions([])


def test_kind_without_a_signer_name_makes_its_tests_unsupported() -> None:
    unused: Any = None
    with pytest.raises(UnsupportedError, match="serves no CertificateSigningRequests for the kind MyIssuer"):
        IssuerType("MyIssuer", unused, unused, cluster_scoped=False, signer_name="").signer_of("mine", "here")


def pending(message: str) -> dict[str, Any]:
    return issuer_with(ready("False") | {"reason": "Pending", "message": message})


@pytest.mark.parametrize("message", ["signing failed, will retry", "Retrying in 2m0s", "backoff: vault: 503"])
def test_failure_of_a_request_that_is_retried_names_the_key_for_slow_retries(message: str) -> None:
    cluster: Any = SimpleNamespace(wait=lambda *_, **__: (False, pending(message)))
    request = CertificateRequest(cluster, Timeouts(retry=7), "mine", "here", cast(SigningRequest, None))
    with pytest.raises(Unmet, match=r"only after more than 7 s, set retry in \[timing\]"):
        request.wait_failed()


def test_failure_of_a_request_that_is_not_retried_does_not_name_it() -> None:
    cluster: Any = SimpleNamespace(wait=lambda *_, **__: (False, pending("waiting for the administrator")))
    request = CertificateRequest(cluster, Timeouts(), "mine", "here", cast(SigningRequest, None))
    with pytest.raises(Unmet) as caught:
        request.wait_failed()
    assert "[timing]" not in str(caught.value)


class LateWatch:
    """A cluster whose watch reports a state only after another thread has read it."""

    def __init__(self, *states: dict[str, Any] | None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = [("MODIFIED", state) for state in states if state]
        self.events += [("DELETED", self.events[-1][1])] * (None in states)
        self.read = [threading.Event() for _ in states]
        self.unread = [*zip(states, self.read, strict=True)]

    def find(self, *_: Any) -> dict[str, Any] | None:
        state, read = self.unread.pop(0)
        read.set()
        return state

    def watch(self, *_: Any, **options: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for event, read in zip(self.events, self.read, strict=True):
            assert read.wait(timeout=30)
            yield event


def recorded(*states: dict[str, Any] | None) -> list[dict[str, Any]]:
    cluster: Any = LateWatch(*states)
    resource: Any = None
    with Handle(cluster, Timeouts(), resource, "Issuer", "mine", "here").recorded() as seen:
        pass
    return seen


def state(version: int) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}}


def test_states_are_recorded_from_the_first_to_the_last_of_the_block() -> None:
    assert recorded(state(9), state(10)) == [state(9), state(10)]


def test_deletion_is_recorded() -> None:
    assert recorded(state(9), None) == [state(9), state(9)]


def test_recording_without_the_last_state_is_an_error() -> None:
    cluster: Any = SimpleNamespace(find=lambda *_: state(10), watch=lambda *_, **__: [("MODIFIED", state(9))])
    resource: Any = None
    handle = Handle(cluster, Timeouts(event=0.01), resource, "Issuer", "mine", "here")
    with pytest.raises(Unmet, match="to report the last state of Issuer"), handle.recorded():
        pass


def probed(**stored: Any) -> None:
    """Probe an issuer object whose Vault configuration is at spec.vault, and of which the API server stores this."""
    cluster: Any = SimpleNamespace(create=lambda _, body: {key: body[key] for key in ("metadata",)} | stored)
    resource = Resource("example.test", "v1", "vaultissuers")
    type_ = IssuerType("VaultIssuer", resource, BlockShape(("spec", "vault")), cluster_scoped=False)
    vault = {"server": "https://127.0.0.1", "path": "pki/sign/probe"}
    Issuer(cluster, Timeouts(), type_, "mine", "here", home="here", vault=vault, labels={}).probe()


@pytest.mark.parametrize("stored", [{}, {"spec": {}}, {"spec": {"vault": {}}}, {"spec": {"other": "default"}}])
def test_dropped_configuration_is_a_mistake_of_the_implementation_file(stored: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"drops spec\.vault of a VaultIssuer") as caught:
        probed(**stored)
    assert "[issuer.shape]" in caught.value.hint


def test_configuration_that_is_stored_in_part_is_left_to_the_tests() -> None:
    probed(spec={"vault": {"server": "https://127.0.0.1"}, "more": "default"})
