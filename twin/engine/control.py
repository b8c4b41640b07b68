"""Control vectors: GGUF files with one direction a layer, added to the hidden states of that layer.

The format is llama.cpp's: architecture `controlvector`, F32 tensors `direction.1`, `direction.2`, ... of n_embd values.
Read by ggml's own reader. Knows no model.
"""
from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.engine import library
from twin.errors import ModelBroken

_F32 = 0  # GGML_TYPE_F32


class _Init(ctypes.Structure):
    """struct gguf_init_params."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.POINTER(ctypes.c_void_p)))


def _base() -> Any:
    lib = library.ggml()
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
            ("gguf_init_from_file", pointer, [text, _Init]), ("gguf_free", None, [pointer]),
            ("ggml_free", None, [pointer]), ("gguf_get_n_tensors", ctypes.c_int64, [pointer]),
            ("gguf_get_tensor_name", text, [pointer, ctypes.c_int64]),
            ("gguf_get_tensor_type", ctypes.c_int, [pointer, ctypes.c_int64]),
            ("ggml_get_tensor", pointer, [pointer, text]), ("ggml_nelements", ctypes.c_int64, [pointer]),
            ("ggml_get_data_f32", ctypes.POINTER(ctypes.c_float), [pointer]),
            ("gguf_find_key", ctypes.c_int64, [pointer, text]),
            ("gguf_get_kv_type", ctypes.c_int, [pointer, ctypes.c_int64]),
            ("gguf_get_val_str", text, [pointer, ctypes.c_int64])):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def is_control(path: Path) -> bool:
    """Whether a GGUF says that it is a control vector. False for what cannot be read."""
    lib = _base()
    file = lib.gguf_init_from_file(os.fsencode(path), _Init(True, None))
    if not file:
        return False
    try:
        key = lib.gguf_find_key(file, b"general.architecture")
        return bool(key >= 0 and lib.gguf_get_kv_type(file, key) == 8 and  # 8: GGUF_TYPE_STRING
                    lib.gguf_get_val_str(file, key) == b"controlvector")
    finally:
        lib.gguf_free(file)


def read(path: Path, n_embd: int, n_layer: int) -> NDArray[np.float32]:
    """Directions as (n_layer - 1) * n_embd values from layer 1 on, zero where the file names none.

    Raises ModelBroken for a file that is no control vector of this width.
    """
    lib = _base()
    tensors = ctypes.c_void_p()
    file = lib.gguf_init_from_file(os.fsencode(path), _Init(False, ctypes.pointer(tensors)))
    if not file:
        raise ModelBroken(f"{path.name} cannot be read as a control vector.", "Make it anew for this core.")
    rows = np.zeros((max(n_layer - 1, 1), n_embd), dtype=np.float32)
    try:
        for i in range(lib.gguf_get_n_tensors(file)):
            name = lib.gguf_get_tensor_name(file, i)
            layer = name.removeprefix(b"direction.")
            tensor = lib.ggml_get_tensor(tensors, name)
            if not layer.isdigit() or lib.gguf_get_tensor_type(file, i) != _F32 or not tensor \
                    or lib.ggml_nelements(tensor) != n_embd or not 1 <= int(layer) <= len(rows):
                raise ModelBroken(f"{path.name} holds {name.decode('utf-8', 'replace')!r}, which is no direction of "
                                  f"{n_embd} values for a core of {n_layer} layers.", "Make it anew for this core.")
            rows[int(layer) - 1] = np.ctypeslib.as_array(lib.ggml_get_data_f32(tensor), (n_embd,))
    finally:
        lib.gguf_free(file)
        lib.ggml_free(tensors)
    return rows.reshape(-1)
