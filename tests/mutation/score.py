"""The score of mutants by rule: ``python -m mutation.score FILE`` prints that of a file of results.

Run it in ``tests/``. MUTATION_SCORE names the file, which contains one JSON object per line.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

#: A requirement failed.
CAUGHT = "caught"
#: The mutant ended at once, or no requirement could be judged.
NOT_STARTED = "did not start"
#: All requirements whose tests run the line passed.
SURVIVED = "survived"
#: No test runs the line.
UNCOVERED = "not run by any test"
#: The session was stopped before it finished; it does not count.
UNFINISHED = "not finished"
#: `equivalent.toml` states why no requirement can fail; it was not judged again.
EQUIVALENT = "equivalent"


def summary(entries: list[dict[str, Any]]) -> list[str]:
    """Return the score in Markdown: the caught share of all that are not equivalent, by rule, and the survivors by
    module."""
    finished = [entry for entry in entries if entry["result"] != UNFINISHED]
    equivalent = [
        entry for entry in finished if entry["equivalent"] and entry["result"] in (SURVIVED, UNCOVERED, EQUIVALENT)
    ]
    counted = [entry for entry in finished if entry not in equivalent]
    caught = [entry for entry in counted if entry["result"] in (CAUGHT, NOT_STARTED)]
    share = f"{100 * len(caught) / len(counted):.1f} %" if counted else "-"
    lines = [
        f"mutants by rule: {len(caught)} of {len(counted)} caught ({share}), {len(equivalent)} equivalent, "
        f"{len(entries) - len(finished)} not finished",
        "",
        "| rule | caught | did not start | survived | not run by any test |",
        "|---|---|---|---|---|",
    ]
    for rule in sorted({entry["rule"] for entry in counted}):
        results = Counter(entry["result"] for entry in counted if entry["rule"] == rule)
        cells = [str(results[result]) for result in (CAUGHT, NOT_STARTED, SURVIVED, UNCOVERED)]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    survivors = [entry for entry in counted if entry not in caught]
    if survivors:
        lines += ["", "| survivor | line | result |", "|---|---|---|"]
    for entry in sorted(survivors, key=lambda entry: (entry["module"], entry["line"], entry["key"])):
        lines.append(f"| `{entry['key'].replace('|', chr(92) + '|')}` | {entry['line']} | {entry['result']} |")
    return lines


if __name__ == "__main__":
    print("\n".join(summary([json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()])))
