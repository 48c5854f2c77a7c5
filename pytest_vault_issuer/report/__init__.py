"""From test reports to outcomes, verdicts and files."""
