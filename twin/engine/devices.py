"""Devices: what is alive now, and a placement carried out in llama.cpp's parameters. ctypes on libggml.

The library aborts the process on a worker that does not answer, so every worker is asked over a plain socket first.
Knows nothing of models; what a placement means is in `twin.placement`.
"""
from __future__ import annotations

import ctypes
import socket
import struct
from functools import cache
from typing import Any

from twin.engine import library
from twin.errors import UsageError
from twin.placement import Device, Placement

CONNECT_S = 1.0
HELLO_S = 5.0  # a worker that has just lost its client first finishes the graph it computes
# ggml-rpc.cpp: command 14 (it "must be always 14"), size of the request, 24 bytes of wishes for the transport: none.
HELLO = b"\x0e" + struct.pack("<Q", 24) + bytes(24)
KINDS = ("cpu", "gpu", "igpu", "accel", "meta")  # enum ggml_backend_dev_type
_workers: dict[str, list[int]] = {}  # endpoint -> pointers of its devices; the library keeps them for good, so do we


@cache
def _ggml() -> Any:
    ggml = library.ggml()
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name, result, *arguments in (
        ("dev_count", size), ("dev_get", pointer, size), ("reg_dev_count", size, pointer),
        ("reg_dev_get", pointer, pointer, size), ("dev_name", ctypes.c_char_p, pointer),
        ("dev_description", ctypes.c_char_p, pointer), ("dev_type", ctypes.c_int, pointer),
        ("dev_memory", None, pointer, ctypes.POINTER(size), ctypes.POINTER(size)),
    ):
        function = getattr(ggml, f"ggml_backend_{name}")
        function.restype, function.argtypes = result, arguments
    return ggml


def answers(server: str, *, hello: bool = False) -> bool:
    """Whether something listens at host:port; with `hello`, whether it is a worker that is free to serve us now."""
    host, _, port = server.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_S) as connection:
            if not hello:
                return True
            connection.settimeout(HELLO_S)
            connection.sendall(HELLO)
            return bool(connection.recv(1))
    except OSError:
        return False


def _worker(server: str) -> list[int]:
    """Pointers of a worker's devices; [] when it does not answer.

    It serves one client at a time: where this process holds the line already, a second hello would wait for ever.
    """
    rpc = library.ggml()
    if not hasattr(rpc, "ggml_backend_rpc_add_server"):
        raise UsageError(f"The worker {server} was asked for, but the engine was built without RPC.",
                         "Run `make clean setup CMAKE_ARGS=-DGGML_RPC=ON`, or leave out `servers`.")
    if not answers(server, hello=server not in _workers):
        return []
    if server not in _workers:
        rpc.ggml_backend_rpc_add_server.restype = ctypes.c_void_p
        rpc.ggml_backend_rpc_add_server.argtypes = [ctypes.c_char_p]
        registry, ggml = rpc.ggml_backend_rpc_add_server(server.encode()), _ggml()
        count = ggml.ggml_backend_reg_dev_count(registry) if registry else 0
        _workers[server] = [ggml.ggml_backend_reg_dev_get(registry, i) for i in range(count)]
    return _workers[server]


def _names(placement: Placement, server: str, count: int) -> list[str]:
    """Names that stay the same when other workers are lost; the library numbers only those it has met."""
    first = f"RPC{placement.servers.index(server)}"
    return [first if i == 0 else f"{first}.{i}" for i in range(count)]


def _own() -> dict[str, int]:
    """This machine's devices: name -> pointer. Workers are never registered globally, so none is among them: another
    model that asks for `whatever is found` must not land on them."""
    ggml = _ggml()
    pointers = [ggml.ggml_backend_dev_get(i) for i in range(ggml.ggml_backend_dev_count())]
    return {ggml.ggml_backend_dev_name(pointer).decode(): pointer for pointer in pointers}


def live(placement: Placement) -> list[Device]:
    """The devices that answer now: this machine's, then those of the placement's workers. Bytes as they report them.

    Waits at most CONNECT_S for a dead worker, HELLO_S for a busy one. Raises UsageError where RPC was not built in.
    """
    found = [_device(name, pointer, "") for name, pointer in _own().items()]
    for server in placement.servers:
        pointers = _worker(server)
        names = _names(placement, server, len(pointers))
        found += [_device(name, pointer, server) for name, pointer in zip(names, pointers, strict=True)]
    return found


def _device(name: str, pointer: int, server: str) -> Device:
    ggml = _ggml()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ggml.ggml_backend_dev_memory(pointer, ctypes.byref(free), ctypes.byref(total))
    description = ggml.ggml_backend_dev_description(pointer).decode("utf-8", "replace")
    kind: Any = KINDS[ggml.ggml_backend_dev_type(pointer)]
    return Device(name, description, kind, free.value, total.value, server)


def pointers(placement: Placement) -> Any:
    """The NULL-terminated array for llama_model_params.devices; None leaves the choice to the library.

    Without layers on devices the array is empty: then nothing but the processor computes. Asks no worker that `live`
    has met. Raises UsageError for a device that is not there.
    """
    if not placement.devices and placement.n_gpu_layers != 0:
        return None
    known = _own()
    for server in placement.servers:
        of_worker = _workers.get(server) or (_worker(server) if placement.devices else [])
        known.update(zip(_names(placement, server, len(of_worker)), of_worker, strict=True))
    for name in placement.devices:
        if name not in known:
            raise UsageError(f"There is no device {name}.", f"Choose from {', '.join(sorted(known))}.")
    return (ctypes.c_void_p * (len(placement.devices) + 1))(*(known[name] for name in placement.devices), None)


def apply(placement: Placement, model_params: Any, context_params: Any) -> list[Any]:
    """Set a fitted placement in llama_model_params and llama_context_params; either may be None.

    Returns what must be kept alive as long as the parameters are used.
    """
    llama, alive = library.llama(), []
    if model_params is not None:
        model_params.n_gpu_layers = placement.n_gpu_layers
        model_params.split_mode = getattr(llama, f"LLAMA_SPLIT_MODE_{placement.split_mode.upper()}")
        model_params.main_gpu = placement.main_gpu
        if (devices := pointers(placement)) is not None:
            model_params.devices = ctypes.cast(devices, ctypes.c_void_p)
            alive.append(devices)
        if placement.tensor_split:
            split = (ctypes.c_float * int(llama.llama_max_devices()))(*placement.tensor_split)
            model_params.tensor_split = ctypes.cast(split, ctypes.POINTER(ctypes.c_float))
            alive.append(split)
    if context_params is not None:
        context_params.flash_attn_type = {"auto": -1, "off": 0, "on": 1}[placement.flash_attention]
        context_params.type_k = context_params.type_v = getattr(llama, f"GGML_TYPE_{placement.kv_type.upper()}")
    return alive
