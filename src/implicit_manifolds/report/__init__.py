"""One page about a fitted model: what was learned, how well, and with which settings."""

from .page import report as report
