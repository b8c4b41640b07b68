"""Doors for other programs: an OpenAI-compatible server on this machine, and an MCP server on standard streams.

They read; nothing that comes in through them is stored, but for claims that a program proposes, which wait for the
person. Twin does one thing at a time, so whatever comes in goes through one worker (worker.py).
"""
from __future__ import annotations
