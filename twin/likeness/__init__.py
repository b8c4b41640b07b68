"""Whose words these are like, by measures that know nothing of each other, and a gate that can say no to an adapter."""
from twin.likeness.compression import gain as compression_gain
from twin.likeness.conditions import Condition, Scored, bits, general, measure, standard
from twin.likeness.copying import Corpus, Reply, copies
from twin.likeness.intervals import Estimate, clusters, interval, paired, pooled
from twin.likeness.next_question import Item, Picks, items, made_by, pick
from twin.likeness.report import Gate, Table, gate
from twin.likeness.style import Manner, attribute, delta, hits, manner, pieces, profiles, surprise, usage

__all__ = ["Condition", "Corpus", "Estimate", "Gate", "Item", "Manner", "Picks", "Reply", "Scored", "Table",
           "attribute", "bits", "clusters", "compression_gain", "copies", "delta", "gate", "general", "hits",
           "interval", "items", "made_by", "manner", "measure", "paired", "pick", "pieces", "pooled", "profiles",
           "standard", "surprise", "usage"]
