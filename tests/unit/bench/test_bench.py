"""Results of the bench, computed from given measurements. tests/e2e tests the measurements."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pytest_vault_issuer.bench import Load, Result, compare, excesses, plot
from pytest_vault_issuer.bench.result import Phase
from pytest_vault_issuer.cli import bench
from pytest_vault_issuer.cli.main import main
from pytest_vault_issuer.session.session import Session


def phase(*milliseconds: int, elapsed: float = 1.0, **asked: int) -> Phase:
    return Phase(sorted(value / 1000 for value in milliseconds), elapsed, asked)


FAST = Result("fast <1>", phase(10, 20, 30, 40, login=4, health=4), phase(*range(1, 101), login=100, sign=100))
SLOW = Result("slow", phase(20, 40, 60, 80, login=8), phase(*range(2, 202, 2), elapsed=2.0, login=100, sign=300))


@pytest.mark.parametrize(("percent", "milliseconds"), [(0, 1), (1, 1), (50, 50), (95, 95), (99, 99), (100, 100)])
def test_percentiles_are_values_that_were_measured(percent: int, milliseconds: int) -> None:
    assert FAST.signed.percentile(percent) == milliseconds / 1000


def test_a_percentile_between_two_values_is_the_higher() -> None:
    assert FAST.ready.percentile(90) == 0.04
    assert FAST.ready.percentile(51) == 0.03


def test_percentile_of_one_value() -> None:
    assert {phase(7).percentile(percent) for percent in (0, 50, 99, 100)} == {0.007}


def test_comparison() -> None:
    (entry,) = compare(FAST, [SLOW])
    assert entry == {
        "implementation": "slow",
        "against": "fast <1>",
        "issuer_ready_p50": 2,
        "request_signed_p50": 2,
        "requests_per_second": 0.5,
        "vault_requests_per_request": 2,
    }


def test_excessive_costs_are_named() -> None:
    (compared,) = compare(FAST, [SLOW])
    assert excesses([compared], 2) == [], "not more than twice as much"
    assert len(excesses([compared], 1.99)) == 3, "twice the throughput would be no cost"
    only_vault = compared | {"issuer_ready_p50": 1, "request_signed_p50": 1}
    assert excesses([only_vault], 1.5) == [
        "slow: the requests to Vault for a request: 2.00 times that of fast <1>, the limit is 1.5"
    ]


def test_written_result_can_be_read_again() -> None:
    assert Result.from_dict(json.loads(json.dumps(SLOW.as_dict()))) == SLOW


def test_rounds_are_one_measurement() -> None:
    both = FAST.ready.merged(SLOW.ready)
    assert both.seconds == [0.01, 0.02, 0.02, 0.03, 0.04, 0.04, 0.06, 0.08]
    assert both.elapsed == 2
    assert both.rate == 4
    assert both.asked == {"login": 12, "health": 4}


def test_plot_is_a_picture_of_every_result() -> None:
    picture = ElementTree.fromstring(plot.render([FAST, SLOW]))
    space = "{http://www.w3.org/2000/svg}"
    curves = picture.findall(f"{space}polyline")
    assert len(curves) == 4
    texts = " ".join(text.text or "" for text in picture.iter(f"{space}text"))
    assert "fast <1>: 100.0 requests/s, 2.00 requests to Vault each" in texts
    points = [tuple(map(float, pair.split(","))) for pair in (curves[0].get("points") or "").split()]
    assert points == sorted(points, key=lambda point: (point[0], -point[1])), "it never falls"
    _, _, width, height = map(float, (picture.get("viewBox") or "").split())
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


@pytest.mark.parametrize("largest", [1, 9.9, 10, 11, 123, 4567])
def test_the_axis_holds_the_largest_value(largest: float) -> None:
    assert largest <= plot._nice(largest) <= 2.5 * largest


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Load]]:
    """Return measurements in a given order."""
    seen = []

    def measure(run: Session, load: Load, progress: object) -> Result:
        seen.append((run.settings.implementation, load))
        return {"a": FAST, "b": SLOW}[run.settings.implementation]

    monkeypatch.setattr(bench, "measure", measure)
    return seen


def test_rounds_take_turns(measured: list[tuple[str, Load]], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["a", "b", "--rounds=2", "--issuers=4", "--requests=100", "--concurrency=3"]
    assert main(["bench", *words]) == 0
    assert [name for name, _ in measured] == ["a", "b", "a", "b"]
    assert {load for _, load in measured} == {Load(4, 100, 3, "token")}
    lines = capsys.readouterr().out.splitlines()
    row = " ".join(lines[1].split())
    assert row == "fast <1> Issuer Ready 8 20 40 40 40 40 4.0 1.00 health, 1.00 login"
    assert lines[-1] == (
        "slow against fast <1>: Issuer Ready 2.00 times as long, request issued 2.00 times as long (medians), "
        "0.50 times the throughput, 2.00 times the requests to Vault"
    )


@pytest.mark.usefixtures("measured")
def test_files_and_other_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "a", "--format=json", "--output", str(tmp_path / "new")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "new/bench.json").read_text())
    assert printed["results"][0]["requests"]["p95_s"] == 0.095
    assert len(printed["results"][0]["requests"]["seconds"]) == 100
    assert printed["comparison"] == []
    assert "<svg" in (tmp_path / "new/bench.svg").read_text()
    assert main(["bench", "a", "b", "--format=markdown"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 4


def test_a_way_of_authenticating_is_chosen(measured: list[tuple[str, Load]]) -> None:
    assert main(["bench", "a", "--auth=kubernetes-secretless"]) == 0
    assert [load.auth for _, load in measured] == ["kubernetes-secretless"]


def test_a_way_of_authenticating_that_is_not_claimed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[implementation]\nname = "mine"\nversion = "1"\n[run]\ncommand = ["x"]\n'
        '[features]\nsupported = ["issuer", "certificate-request", "approle"]\n'
    )
    assert main(["bench", str(file)]) == 2
    assert "mine 1 does not claim token" in capsys.readouterr().err


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("ratio", "status"), [("1.9", 1), ("2", 0), ("2.5", 0)])
def test_excessive_cost_fails_the_command(ratio: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "a", "b", f"--fail-above={ratio}", "--format=json"]) == status
    said = capsys.readouterr()
    assert json.loads(said.out)["comparison"], "it is printed all the same"
    assert len(said.err.splitlines()) == 3 * status
    assert main(["bench", "b", "a", f"--fail-above={ratio}"]) == 0, "the other way round it is cheaper"


@pytest.mark.usefixtures("measured")
def test_single_implementation_is_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "a", "--fail-above=2"]) == 2
    assert "name a second implementation" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--issuers=0", "a"], ["--rounds=x", "a"], ["--fail-above=0", "a", "b"], ["--auth=jwt", "a"], []]
)
def test_wrong_numbers_are_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["bench", *words])
    assert left.value.code == 2


def test_one_implementation_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "a", "a"]) == 2
    assert "--rounds" in capsys.readouterr().err
