"""The process in which a trial happens: both ends of its pipe. A line of JSON goes in, a line of JSON comes out.

The child is bounded in memory (where /proc tells what is in use), processor time and disk, writes nothing but its
answers, and takes no card. Knows how to try one file; knows no verdict, no cache and no family.
"""
from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twin.engine import control, frame, library
from twin.engine.facts import facts
from twin.errors import ModelBroken, ModelError, TwinError

LONGEST_LINE = 4 << 20  # bytes of an answer; the longest template seen has 20,000
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from twin.engine.trial_child import work; work()"


# ---- the parent's side -------------------------------------------------------------------------------------------

class Died(Exception):
    """The child is gone; says how."""


class Late(Died):
    """The child was ended because its time was over; says after how long."""


class Desk:
    """Asks a child, and takes a new one when it has died. A file is blamed only if it kills a fresh child."""

    def __init__(self) -> None:
        self._child: _Child | None = None

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._child:
            self._child.end()
            self._child = None

    def ask(self, request: dict[str, Any], timeout_s: float) -> Any:
        request, fresh = {**request, "seconds": timeout_s}, self._child is None
        try:
            return self._ask(request, timeout_s)
        except Late:
            raise
        except Died:
            if fresh:
                raise
        return self._ask(request, timeout_s)

    def _ask(self, request: dict[str, Any], timeout_s: float) -> Any:
        self._child = self._child or _Child()
        try:
            return self._child.ask(request, timeout_s)
        except BaseException:
            self._child.end()
            self._child = None
            raise


class _Child:
    """A process that runs `work`: a line of JSON in, a line of JSON out."""

    def __init__(self) -> None:
        hidden = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "GGML_VK_VISIBLE_DEVICES": "",
                  "GGML_NO_BACKTRACE": "1"}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        try:
            self._process = subprocess.Popen([sys.executable, "-c", _PROGRAM, *sys.path],  # noqa: S603 - our own code
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                                             env={**os.environ, **hidden})
        except OSError as error:
            self._errors.close()
            raise ModelError(f"No process can be started to try the file ({error.strerror}).",
                             "Free some memory and ask again.") from error

    def ask(self, request: dict[str, Any], timeout_s: float) -> Any:
        assert self._process.stdin and self._process.stdout  # noqa: S101 - for the type checker
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        watch = threading.Timer(timeout_s, end)
        watch.daemon = True
        watch.start()
        line = b""
        try:
            with suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline(LONGEST_LINE)
        finally:
            watch.cancel()
            watch.join()
        if late.is_set():
            raise Late(f"{timeout_s:.0f} s")
        with suppress(ValueError, RecursionError):
            return json.loads(line)
        raise Died(self._how())

    def _how(self) -> str:
        """How the child ended, with the last assertion of ggml if there was one."""
        self._process.kill()
        code = self._process.wait()
        how = f"exit {code}"
        with suppress(ValueError):
            how = signal.Signals(-code).name
        self._errors.seek(0)
        found = re.findall(rb"[\w.-]+:\d+: \S.*", self._errors.read(1 << 16))
        return f"{how}, {found[-1].decode('utf-8', 'replace')[:120]}" if found else how

    def end(self) -> None:
        # Closes the pipes and waits; what a dead child never took out of its pipe cannot be flushed.
        with suppress(BrokenPipeError), self._process:
            self._process.kill()
        self._errors.close()


# ---- the child's side --------------------------------------------------------------------------------------------

def work() -> None:
    """Answer requests until the input ends. Standard output carries answers only: ggml's own words go nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with ExitStack() as bases:
        opened: dict[str, tuple[Any, Any]] = {}
        for line in sys.stdin:
            request = json.loads(line)
            _limit(request.pop("memory"), request.pop("seconds"))
            try:
                answer = _DO[request.pop("do")](bases, opened, **request)
            except TwinError as error:
                answer = {"ok": False, "reason": error.what}
            except Exception as error:  # MemoryError above all
                answer = {"ok": False, "reason": f"{type(error).__name__} {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def _limit(memory: int, seconds: float) -> None:
    """Bound what one request may take on top of what is in use: address space (where /proc tells), processor, disk."""
    if sys.platform == "win32":
        return
    import resource  # there is none on Windows

    def bound(which: int, soft: int) -> None:
        hard = resource.getrlimit(which)[1]
        with suppress(ValueError, OSError):
            resource.setrlimit(which, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    used = resource.getrusage(resource.RUSAGE_SELF)
    bound(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 2)  # an orphan does not run for ever
    bound(resource.RLIMIT_CORE, 0)
    bound(resource.RLIMIT_FSIZE, 1 << 20)
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        bound(resource.RLIMIT_AS, pages * resource.getpagesize() + memory)


@contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Any]]:
    """Model and a context of 64 tokens, on the processor; ModelBroken with the loader's reason."""
    lib = library.llama()
    library.forget_log()
    params = lib.llama_model_default_params()
    params.n_gpu_layers, no_cards = 0, (ctypes.c_void_p * 1)()  # a list of devices that ends at once
    params.devices = ctypes.cast(no_cards, ctypes.c_void_p)
    params.use_extra_bufts = False  # repacked weights would be a second copy
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise ModelBroken(library.reason())
    try:
        asked = lib.llama_context_default_params()
        asked.n_ctx = asked.n_batch = asked.n_ubatch = 64
        asked.n_threads = asked.n_threads_batch = 1
        context = lib.llama_init_from_model(model, asked)
        if not context:
            raise ModelBroken(f"no context can be made for it: {library.reason()}")
        try:
            yield model, context
        finally:
            lib.llama_free(context)
    finally:
        lib.llama_model_free(model)


def _think(model: Any, context: Any, encoder: bool = False) -> None:
    """Spell, read and foresee a few tokens. ModelBroken where that fails or gives no numbers."""
    import numpy as np  # deferred: the parent does not need it here

    lib = library.llama()
    vocab, words = lib.llama_model_get_vocab(model), "Hi, мир <|im_end|> 12".encode()
    n_vocab = int(lib.llama_vocab_n_tokens(vocab))
    ids = (lib.llama_token * 60)()
    n = lib.llama_tokenize(vocab, words, len(words), ids, 60, True, True) if n_vocab else 0
    if n <= 0:
        raise ModelBroken("its vocabulary spells nothing")
    for token in ids[:n]:
        lib.llama_token_to_piece(vocab, token, ctypes.create_string_buffer(64), 64, 0, True)
    for length in (n,) if encoder else (n, 1):  # one token takes another way through ggml than several
        batch = lib.llama_batch_get_one(ids, length)
        status = lib.llama_encode(context, batch) if encoder else lib.llama_decode(context, batch)
        if status:
            raise ModelBroken(f"it loads and cannot be computed: {library.reason()}")
    if not encoder and np.isnan(np.ctypeslib.as_array(lib.llama_get_logits_ith(context, -1), (n_vocab,))).any():
        raise ModelBroken("it loads, and what it computes are no numbers")


def _core(_bases: ExitStack, _open: dict[str, tuple[Any, Any]], path: str) -> dict[str, Any]:
    with _opened(path) as (model, context):
        told = facts(model)
        _think(model, context, told.encoder)
    return {"ok": True, "reason": "", "facts": asdict(told)}


def _adapter(bases: ExitStack, opened: dict[str, tuple[Any, Any]], path: str, base: str) -> dict[str, Any]:
    """An adapter over its base, which stays loaded for the next one."""
    lib = library.llama()
    if base not in opened:
        try:
            opened[base] = bases.enter_context(_opened(base))
        except ModelBroken as error:
            raise ModelBroken(f"its base {Path(base).name} cannot be loaded: {error.what}") from error
    model, context = opened[base]
    library.forget_log()
    lib.llama_memory_clear(lib.llama_get_memory(context), True)
    if control.is_control(Path(path)):
        n_embd, n_layer = int(lib.llama_model_n_embd(model)), int(lib.llama_model_n_layer(model))
        values = control.read(Path(path), n_embd, n_layer)
        pointer = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        undo: Callable[[], Any] = lambda: lib.llama_set_adapter_cvec(context, None, 0, 0, 0, 0)  # noqa: E731
        failed = lib.llama_set_adapter_cvec(context, pointer, values.size, n_embd, 1, n_layer)
    else:
        handle = lib.llama_adapter_lora_init(model, os.fsencode(path))
        if not handle:  # a NULL pointer object is not None
            raise ModelBroken(library.reason())

        def undo() -> None:
            lib.llama_set_adapters_lora(context, None, 0, None)
            lib.llama_adapter_lora_free(handle)

        failed = lib.llama_set_adapters_lora(context, (lib.llama_adapter_lora_p_ctypes * 1)(handle), 1,
                                             (ctypes.c_float * 1)(1.0))
    try:
        if failed:
            raise ModelBroken(f"it cannot be switched on: {library.reason()}")
        _think(model, context)
    finally:
        undo()
    return {"ok": True, "reason": ""}


def _template(_bases: ExitStack, _open: dict[str, tuple[Any, Any]], **own: str) -> dict[str, Any]:
    return {"ok": True, "reason": "", "family": asdict(frame.learn(own.pop("template"), **own))}


_DO: dict[str, Callable[..., dict[str, Any]]] = {"core": _core, "adapter": _adapter, "template": _template}
