"""Miners: what is wrong with a role map, found by counting in what the person did. No models, no chance."""
