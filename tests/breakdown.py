"""llama.cpp's own account of a core's memory, device by device, without allocating any: plans are compared with it."""
from __future__ import annotations

import ctypes
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from twin.buffers import Context, Load
from twin.engine import devices, library
from twin.placement import Placement


@dataclass(frozen=True)
class Account:
    """Bytes by device ('CPU', 'RPC0'...), and the device of each layer, the output layer last."""

    loads: dict[str, Load]
    layers: tuple[str, ...]

    @property
    def total(self) -> int:
        return sum(load.total for load in self.loads.values())


@lru_cache(maxsize=1)
def _shim() -> Any:
    source = Path(__file__).with_suffix(".cpp")
    folder = Path(tempfile.mkdtemp())
    subprocess.run(["g++", "-shared", "-fPIC", "-O1", "-std=c++17", "-o", folder / "breakdown.so", source], check=True)
    return ctypes.CDLL(str(folder / "breakdown.so"))


@contextmanager
def _logged() -> Iterator[list[str]]:
    lib, lines = library.llama(), list[str]()
    callback = lib.llama_log_callback(lambda _level, line, _data: lines.append(line.decode("utf-8", "replace")))
    lib.llama_log_set(callback, ctypes.c_void_p(0))
    try:
        yield lines
    finally:
        lib.llama_log_set(library._log_callback, ctypes.c_void_p(0))


def accounts(path: Path, contexts: Sequence[Context], placement: Placement | None = None) -> list[Account]:
    """One account for each context, made as the engine makes its own."""
    lib, placement = library.llama(), placement or Placement(n_gpu_layers=0)
    with _logged() as lines:
        params = lib.llama_model_default_params()
        alive = devices.apply(placement, params, None)
        params.no_alloc, params.load_mode = True, 0
        model = lib.llama_model_load_from_file(os.fsencode(path), params)
        assert model, "".join(lines)[-2000:]
        layers = tuple(re.findall(r"layer +\d+ assigned to device (\w+)", "".join(lines)))
        try:
            return [Account(_account(lib, model, context, lines), layers) for context in contexts]
        finally:
            lib.llama_model_free(model)
            del alive


def _account(lib: Any, model: Any, asked: Context, lines: list[str]) -> dict[str, Load]:
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = (asked.n_ctx, asked.n_ubatch, asked.n_ubatch,
                                                                       asked.n_seq)
    params.kv_unified, params.swa_full = True, not asked.windows
    params.flash_attn_type = int(asked.flash)
    params.type_k = params.type_v = getattr(lib, f"GGML_TYPE_{asked.kv.upper()}")
    del lines[:]
    context = lib.llama_init_from_model(model, params)
    assert context, "".join(lines)[-2000:]
    found, text = dict[str, Load](), ctypes.create_string_buffer(1 << 16)
    of = lib.llama_cpp._lib._Z26llama_get_memory_breakdownPK13llama_context
    _shim().breakdown(ctypes.cast(of, ctypes.c_void_p), ctypes.cast(library.ggml().ggml_backend_buft_name,
                                                                    ctypes.c_void_p),
                      ctypes.c_void_p(context), text, len(text))
    lib.llama_free(context)
    for line in text.value.decode().splitlines():
        name, *numbers = line.split()
        name = "CPU" if name.startswith("CPU") else name  # repacked weights lie in the same memory
        before = found.get(name, Load())
        weights, kv, compute = map(int, numbers)
        found[name] = Load(before.weights + weights, before.kv + kv, before.compute + compute)
    output = re.search(r"CPU +output buffer size = +([\d.]+) MiB", "".join(lines))  # in the log, not in the breakdown
    assert output
    cpu = found["CPU"]
    return {**found, "CPU": Load(cpu.weights, cpu.kv, cpu.compute + round(float(output[1]) * 2**20))}
