"""The door to llama.cpp: the one place that imports llama_cpp, takes its log, and reaches the ggml below it.

Only the public low-level functions are used: the high-level class reads adapters unsafely and re-reads prompts.
Knows no model, no role and no prompt.
"""
from __future__ import annotations

import ctypes
import json
import os
import sys
from collections import deque
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from twin.errors import ModelMissing

_log: deque[str] = deque(maxlen=60)
_assigned: list[str] = []  # devices of layers, in the loader's own words
_log_callback: Any = None


@cache
def llama() -> Any:
    """The llama_cpp module, imported (0.4 s) on first use; its log goes to a ring buffer: stdout and stderr belong to
    faces. Raises ModelMissing where it is not installed or not compiled."""
    global _log_callback
    # OpenMP threads that wait spin, and beside another busy program that starves both. Read once, when it is loaded.
    # 2 cores, SmolLM2, default against 1000: alone reading 330/337 and writing 120/123 tokens a second; two at once
    # 95/150 and 26/26. (Passive waiting: alone 42 written; 20000: two at once 2.)
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import llama_cpp  # deferred: 0.4 s and a compiled library that may not be built yet
    except (ImportError, OSError) as error:
        raise ModelMissing(f"The engine (llama-cpp-python) is not installed or not compiled ({error}).",
                           "Run `pip install llama-cpp-python` with a C++ compiler and cmake present.") from error

    def collect(_level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace").strip()
        if " assigned to device " in line:
            _assigned.append(line.partition(" assigned to device ")[2].partition(",")[0])
        _log.append(line)

    _log_callback = llama_cpp.llama_log_callback(collect)  # kept: a callback that is collected crashes the process
    llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
    return llama_cpp


def forget_log() -> None:
    """Empty the ring buffer, so that `reason` and `assigned` speak of what comes next."""
    _log.clear()
    _assigned.clear()


def reason() -> str:
    """The first line of the log that tells of an error."""
    words = ("error", "failed", "invalid", "unable", "mismatch", "not found", "does not", "missing")
    return next((line for line in _log if any(word in line.casefold() for word in words)), "the loader gave no reason")


def assigned() -> tuple[str, ...]:
    """The device of each layer that was loaded last, the output layer at the end, by the names llama.cpp gives them (an
    RPC worker has the number of its meeting with this process). () where the loader told none."""
    return tuple(_assigned)


@cache
def ggml() -> ctypes.CDLL:
    """The ggml that llama.cpp itself runs on, as a library object of our own: backends, devices and files.

    The wheel holds several copies of each library, and one opened by its file name would be another instance, with
    other devices. A symbol that was not built is an AttributeError (`ggml_backend_rpc_add_server` without RPC).
    """
    library = llama().llama_cpp._lib
    if sys.platform == "win32":  # there a handle does not reach the libraries below it
        return ctypes.CDLL(str(Path(library._name).with_name("ggml.dll")))
    return ctypes.CDLL(library._name, handle=library._handle)


def grammar(schema: Mapping[str, Any]) -> bytes:
    """GBNF of a JSON schema, by llama.cpp's own converter."""
    llama()
    from llama_cpp import llama_grammar  # deferred with its package

    return str(llama_grammar.json_schema_to_gbnf(json.dumps(dict(schema)))).encode()
