"""llama.cpp's own HTTP server, started on loopback for a bench, and asked with token ids.

Where to get it: build it from the source archive of llama-cpp-python, so that both sides run the same llama.cpp.
`make llama-server` does it; by hand, with X.Y.Z as `pip show llama-cpp-python` tells it:

    pip download --no-binary :all: --no-deps llama-cpp-python==X.Y.Z && tar xf llama_cpp_python-X.Y.Z.tar.gz
    cmake -S llama_cpp_python-X.Y.Z/vendor/llama.cpp -B build/llama-server -DCMAKE_BUILD_TYPE=Release \\
          -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF
    cmake --build build/llama-server --target llama-server -j      # then --server build/llama-server/bin/llama-server

Knows nothing of roles or prompts: ids in, ids out.
"""
from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What was written, the prompt tokens that were read for it, and the seconds until its first token."""

    ids: list[int]
    text: str
    read: int
    reading_s: float


class Server:
    """llama-server with a cache of `n_ctx` tokens for each slot, flash attention off and the cache in F16, as ours.

    batch: tokens a decode, 0 for the server's own 2048 (512 at once). Every slot has cells of its own: with a shared
    buffer (--kv-unified) an idle slot is emptied by default. The host-memory cache is off: a request that names its
    slot never looks there. Raises SystemExit with the end of the log when the server does not start.
    """

    def __init__(self, program: Path, model: Path, adapters: Sequence[Path], batch: int, *, slots: int, n_ctx: int,
                 threads: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        words = ["--model", model, "--host", "127.0.0.1", "--port", port, "--parallel", slots, "--no-kv-unified",
                 "--ctx-size", slots * n_ctx, "--threads", threads, "--threads-batch", threads, "--flash-attn", "off",
                 "--cache-ram", 0, "--offline", "--no-webui"]
        words += ["--batch-size", batch, "--ubatch-size", batch] if batch else []
        words += ["--lora", ",".join(map(str, adapters)), "--lora-init-without-apply"] if adapters else []
        self._adapters = len(adapters)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        self._process = subprocess.Popen([str(word) for word in (program, *words)], stdout=self._log,
                                         stderr=subprocess.STDOUT)
        self._http = HTTPConnection("127.0.0.1", port, timeout=3600)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> None:
        """Until the model is loaded: /health answers 503 before, and nobody listens at first."""
        until = time.monotonic() + 300
        while time.monotonic() < until:
            if self._process.poll() is not None:
                self._log.seek(0)
                raise SystemExit(f"llama-server ended with {self._process.returncode}:\n"
                                 + self._log.read()[-2000:].decode("utf-8", "replace"))
            try:
                self._http.request("GET", "/health")
                reply = self._http.getresponse()
                reply.read()
                if reply.status == 200:
                    return
            except (OSError, HTTPException):
                self._http.close()
            time.sleep(0.1)
        raise SystemExit("llama-server did not answer within 300 s.")

    def complete(self, ids: Sequence[int], n: int, *, slot: int = 0, adapter: int | None = None,
                 never: Sequence[int] = ()) -> Reply:
        """Exactly `n` greedy tokens after these, in a slot, with the adapter of this index alone; `never` these."""
        body: dict[str, Any] = {
            "prompt": list(ids), "n_predict": n, "id_slot": slot, "cache_prompt": True, "return_tokens": True,
            "temperature": 0.0, "samplers": ["top_k"], "top_k": 1, "ignore_eos": True,
            "logit_bias": [[token, False] for token in never]}
        if self._adapters:  # a list that names none leaves the server's default, so the base names all with scale 0
            body["lora"] = [{"id": i, "scale": float(i == adapter)} for i in range(self._adapters)]
        self._http.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        reply = self._http.getresponse()
        told = json.loads(reply.read())
        if reply.status != 200:
            raise SystemExit(f"llama-server refused a request: {told}")
        took = told["timings"]
        return Reply(told["tokens"], told["content"], int(took["prompt_n"]), took["prompt_ms"] / 1e3)

    def close(self) -> None:
        """End the server."""
        self._http.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def faster_batch(start: Callable[[int], Server], ids: Sequence[int], ours: int) -> tuple[int, str]:
    """`ours` or 0 (the server's own), whichever reads these tokens faster, and the two speeds in words."""
    speed = {}
    for batch in (ours, 0):
        with start(batch) as server:
            reply = server.complete(ids, 1)
            speed[batch] = reply.read / reply.reading_s
    best = max(speed, key=lambda batch: speed[batch])
    return best, f"reads {speed[ours]:.0f} tokens/s in batches of {ours}, {speed[0]:.0f} in its own; " \
                 f"{best or 'its own'} it is"
