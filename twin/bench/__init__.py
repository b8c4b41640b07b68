"""Bench: what this machine does with a core - reading, writing, changing roles, a council, memory - as figures that are
stored, compared with a prediction, and exchanged as field reports."""
from twin.bench.measuring import FULL, QUICK, Sizes, run
from twin.bench.report import Figure, Predicted, Report
from twin.bench.shelf import Kept, Shelf, bench

__all__ = ["FULL", "QUICK", "Figure", "Kept", "Predicted", "Report", "Shelf", "Sizes", "bench", "run"]
