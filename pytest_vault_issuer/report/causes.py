"""Groups failures by cause, from the messages of the tests alone.

A cause is the first line of a message without the parts that differ between tests: names, numbers, addresses, times.
All waits for the first answer of the controller about a kind of object have the same cause, because without an answer
the messages show nothing else. If a message states a probable cause, the rest of it does not matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..errors import BarrierUnmet
from ..requirements.catalogue import LEVELS
from ..sandbox.advice import MARK
from ..text import one_line
from .outcomes import TO_EXPLAIN, Outcome, RequirementResult, failed_at_barrier, headline

Item = TypeVar("Item")

#: The text about a requirement whose only failure is that of a barrier.
AT_BARRIER = "at a barrier: the requirement was neither violated nor proved"
#: Outcomes whose messages have a cause, in the order of the reports.
EXPLAINED = (Outcome.ERROR, Outcome.FAILED, Outcome.KNOWN_FAILURE, Outcome.NOT_RUN)
#: Characters of a cause, and of the text in which it is looked for; longer ones are cut.
_LONGEST, _READ = 300, 2000
#: The first words of the cause of a wait.
_WAITED = "waited for "
#: What a message advises to check.
_ADVISED = re.compile(rf"; {re.escape(MARK)}([^;]+)")
#: Python's own words for a failed comparison: equal ones say nothing about the cause.
_COMPARISON = re.compile(r"assert\b|seen == expected|AssertionError\b")
#: A wait that failed: what it expected, and what it saw. Reports of earlier versions have the second form.
_WAIT = re.compile(
    r"expected (?P<awaited>.*?) within [\d.e+-]+ s(?: \([^()]*\))?(?P<seen>[;,].*)"
    r"|waited [\d.e+-]+ s(?:, [^,]* while [^,]*,)? for (?P<earlier>.+)"
)
#: Object and expectation in the message of a wait, as Handle.wait writes it.
_AWAITED = re.compile(r"(?P<kind>[A-Z]\w*) \S+ (?P<what>to .*)")
_CONDITION = re.compile(r"\b(\w+)=(True|False|Unknown) (\S*?): ('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
#: Conditions by which others decide on a request.
_DECISIONS = {"Approved": "approved", "Denied": "denied", "InvalidRequest": "invalid"}
_NAMED = re.compile(r"\b([A-Z]\w*Issuer|Issuer|Certificate(?:Signing)?(?:Request)?|Secret|ServiceAccount) "
                    r"(?=\S*[\d/-])[a-z0-9][\w./-]*")  # fmt: skip
_DETAIL = re.compile(r" \([^()]*\)$")
#: With a digit, a number, a random name, an address or a time.
_WORD = re.compile(r"[\w./:@%+=~#?&\[\]-]+")
#: Words with a digit that mean the same in every test, and the status of an HTTP response.
_KEPT = re.compile(r"x509|base64|[1-5]\d\d")


@dataclass(frozen=True)
class Group(Generic[Item]):
    """Requirements whose failures share a cause, MUST before SHOULD; a failure without company is alone in its group.

    :ivar cause: '' if its messages do not name any.
    :ivar number: how many there are, if a list shows only the first members; 0 otherwise.
    """

    cause: str
    members: list[Item]
    number: int = 0

    def title(self, outcome: Outcome) -> str:
        """Return the sentence that introduces the members."""
        number = f"{self.number or len(self.members)} requirements"
        if self.cause.startswith(_WAITED):
            return f"{number} wait for the same thing: {self.cause.removeprefix(_WAITED)}"
        if outcome is Outcome.NOT_RUN:
            return f"{number} have the same reason: {self.cause}"
        return f"{number} share a cause: {self.cause}"


def cause(message: str) -> str:
    """Return the cause in the message of a test, in one line; '' if it has no words of its own."""
    lines = message.removeprefix(BarrierUnmet.PREFIX).strip().splitlines()
    text = one_line(lines[0][:_READ]).strip() if lines else ""
    if not text or _COMPARISON.match(text):
        return ""
    if advised := _ADVISED.search(text):
        return advised[1].strip()[:_LONGEST]
    wait = _WAIT.match(text)
    found = _WAITED + _awaited(wait["earlier"] or wait["awaited"] + wait["seen"]) if wait else _plain(text)
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}…"


def _awaited(text: str) -> str:
    """Return what a wait expected, and what it saw."""
    awaited, _, state = text.partition("; ")
    wanted = _AWAITED.fullmatch(awaited)
    conditions = {kind: (status, reason, said) for kind, status, reason, said in _CONDITION.findall(state)}
    status, reason, said = conditions.get("Ready", ("", "", ""))
    if wanted and status in ("", "Unknown") and ("conditions" in state or conditions):
        decisions = [word for name, word in _DECISIONS.items() if conditions.get(name, ("",))[0] == "True"]
        of = " ".join([*decisions, _kind(wanted["kind"])])
        return f"the first answer of the controller about {_article(of)} {of}"
    shown = _plain(_DETAIL.sub("", awaited))
    if status:
        return f"{shown}; Ready={status} {_plain(f'{reason}: {said}')}"
    return f"{shown}; {_plain(state)}" if state and wanted else shown


def _plain(text: str) -> str:
    """Return a text without what differs from test to test."""
    text = _NAMED.sub(lambda found: f"{_kind(found[1])} …", text)
    return " ".join(_WORD.sub(_constant, text).split())


def _constant(found: re.Match[str]) -> str:
    word = found[0].rstrip(".:")
    random = any(map(str.isdigit, word)) and not _KEPT.fullmatch(word)
    return found[0] if not random else f"…{found[0][len(word) :]}"


def _kind(kind: str) -> str:
    return "issuer object" if kind.endswith("Issuer") else kind


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def grouped(
    items: Iterable[Item], level: Callable[[Item], str], messages: Callable[[Item], Sequence[str]]
) -> list[Group[Item]]:
    """Return requirements of one outcome by cause: groups with a MUST first, and MUST before SHOULD in each.

    A requirement whose tests failed for several causes is in the group of the cause that most requirements share.

    :param level: returns the level of a requirement.
    :param messages: returns the messages of those of its tests that decided its outcome.
    """
    listed = list(items)
    causes = [list(dict.fromkeys(filter(None, map(cause, messages(item))))) for item in listed]
    shared = Counter(name for names in causes for name in names)
    members: dict[Any, list[Item]] = {}
    for number, (item, names) in enumerate(zip(listed, causes, strict=True)):
        name = max(names, key=lambda name: shared[name], default="")
        members.setdefault(name or number, []).append(item)
    groups = [
        Group(name if isinstance(name, str) else "", sorted(found, key=lambda item: LEVELS.index(level(item))))
        for name, found in members.items()
    ]
    return sorted(groups, key=lambda group: LEVELS.index(level(group.members[0])))


def by_level(levels: Iterable[str]) -> str:
    """Return how many requirements there are of each level: ``2 MUST, 1 SHOULD``."""
    counted = Counter(levels)
    return ", ".join(f"{counted[level]} {level}" for level in LEVELS if counted[level])


def deciding(entry: dict[str, Any]) -> list[str]:
    """Return the messages of those tests of an entry of a report that have the entry's outcome."""
    return [test["message"] for test in entry["tests"] if test["message"] and test["outcome"] == entry["outcome"]]


def group_results(results: Iterable[RequirementResult]) -> list[Group[RequirementResult]]:
    """Return :func:`grouped` results."""
    return grouped(results, lambda result: result.requirement.level, lambda result: result.messages)


def group_entries(entries: Iterable[dict[str, Any]]) -> list[Group[dict[str, Any]]]:
    """Return :func:`grouped` entries of a report."""
    return grouped(entries, lambda entry: str(entry["level"]), deciding)


def member_lines(group: Group[dict[str, Any]], entry: dict[str, Any]) -> list[str]:
    """Return a line for each message that a list shows for a member: in a shared group only what the title lacks."""
    return message_lines(group, deciding(entry))


def message_lines(group: Group[Any], messages: Sequence[str]) -> list[str]:
    """Return the lines for the messages of a member: all of them, or for a shared cause only what its title lacks."""
    if (group.number or len(group.members)) == 1:
        return list(dict.fromkeys(map(headline, messages)))
    at_barrier = [AT_BARRIER] if messages and all(map(failed_at_barrier, messages)) else []
    return at_barrier + list(dict.fromkeys(headline(m) for m in messages if cause(m) != group.cause))


def complete(report: dict[str, Any]) -> None:
    """Write into a report what its messages say: ``barrier``, ``cause``, ``group``, and ``groups``.

    These keys are computed whenever a report is built, read or merged. A report of an earlier version has none.
    """
    entries, groups = report["requirements"], []
    for entry in entries:
        for test in entry["tests"]:
            explained = test["outcome"] in EXPLAINED
            test["barrier"] = test["outcome"] in TO_EXPLAIN and failed_at_barrier(test["message"])
            test["cause"] = cause(test["message"]) if explained else ""
        entry.update(cause="", group=None)
    for outcome in EXPLAINED:
        for group in group_entries(e for e in entries if e["outcome"] == outcome and e["tests"]):
            if len(group.members) > 1:
                ids = [entry["id"] for entry in group.members]
                groups.append({"outcome": outcome.value, "cause": group.cause, "requirements": ids})
            for entry in group.members:
                entry.update(cause=group.cause, group=len(groups) if len(group.members) > 1 else None)
    report["groups"] = groups
