"""What tests.bench.likeness asks of a core, answered by torch on a card: python -m tests.bench.on_card CORE FOLDER.

For a machine that is lent for minutes, with a card and torch and no llama.cpp: it trains the adapters, scores and
continues what FOLDER/ask.json.gz holds in token ids (elsewhere.py wrote it), and puts FOLDER/answers.json.gz beside it.
The first person's adapter goes the product's whole way, through its file; the others through the same loop over the
core that is loaded already. What was cut off goes on from there. Replies are drawn as sampler.py draws, but that
repetition counts in the reply alone.
"""
from __future__ import annotations

import gzip
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twin import training
from twin.training import adapter_file, batches, lora, steps
from twin.training.base import Base
from twin.training.tokens import Encoded

TOGETHER = 32     # samples scored, or replies written, at once
KEPT = 30 << 30   # bytes of prefixes kept on the card


def said(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def encoded(plain: Sequence[Any]) -> Encoded:
    prefix, tail, learned, characters = plain
    return Encoded(tuple(prefix), tuple(tail), tuple(map(bool, learned)), characters)


def work(core: Path, folder: Path) -> dict[str, Any]:
    """Everything that is asked. -> what elsewhere.Elsewhere reads."""
    ask = json.loads(gzip.decompress((folder / "ask.json.gz").read_bytes()))
    shape = lora.Shape(**{**ask["shape"], "targets": tuple(ask["shape"]["targets"])})
    batches.KEPT = KEPT
    made, facts = trained(core, folder, shape, ask["people"])
    with steps.own_torch(0, 0):
        base = Base.load(core)
        model = lora.put_in(base, shape, 0)
    prefixes = ask["prefixes"]
    scored = {job["key"]: Encoded(tuple(prefixes[job["prefix"]]), (*job["tail"], *job["ids"]),
                                  (False,) * len(job["tail"]) + (True,) * len(job["ids"]), 0) for job in ask["scores"]}
    written = {job["key"]: Encoded(tuple(prefixes[job["prefix"]]), tuple(job["tail"]), (False,) * len(job["tail"]), 0)
               for job in ask["replies"]}
    losses = batches.Losses(model, "alora", list(scored.values()))
    kept = folder / "under-way.json"  # a machine that is lent goes back when its time is up
    bits, replies = json.loads(kept.read_text("utf-8")) if kept.is_file() else ({}, {})
    for name in (None, *ask["people"]):
        began = time.monotonic()
        switch(model, made.get(name))
        bits |= scores(losses, [(job["key"], scored[job["key"]]) for job in ask["scores"]
                                if job["adapter"] == name and job["key"] not in bits])
        said(f"{name}: {len(bits)} scored, {time.monotonic() - began:.0f} s")
        mine = [job for job in ask["replies"] if job["adapter"] == name and job["key"] not in replies]
        for start in range(0, len(mine), TOGETHER):
            some = mine[start:start + TOGETHER]
            drawn = continued(losses, [written[job["key"]] for job in some], some[0], set(ask["ends"]))
            replies |= {job["key"]: ids for job, ids in zip(some, drawn, strict=True)}
        said(f"{name}: {len(replies)} replies, {time.monotonic() - began:.0f} s")
        kept.write_text(json.dumps([bits, replies]), "utf-8")
    return {"facts": facts, "bits": bits, "replies": replies}


def trained(core: Path, folder: Path, shape: lora.Shape,
            people: Mapping[str, Any]) -> tuple[dict[str | None, lora.Matrices], dict[str, Any]]:
    """An adapter of each person's words."""
    made: dict[str | None, lora.Matrices] = {}
    facts: dict[str, Any] = {}
    base = None
    for name, own in people.items():
        learn, look = ([encoded(one) for one in own[side]] for side in ("learn", "look"))
        how = steps.Settings(**own["settings"])
        if base is None:  # the whole way, and what the plan told of it
            planned = training.plan(core, learn, look, shape=shape, settings=how)
            said(f"{name}: {planned}")
            done = training.train(planned, folder / name)
            made[name] = adapter_file.read_gguf(done.adapter).matrices
            facts[name] = {**done.manifest, "planned": str(planned)}
            base = Base.load(core)
        else:
            model = lora.put_in(base, shape, how.seed)
            run = steps.Run(model, shape, learn, look, how, folder / f".{name}", identity={})
            for _ in run:
                pass
            run.keep_best()
            made[name] = lora.matrices(model)
            lora.take_out(model)
            facts[name] = {"before": run.before, "after": run.best[1], "best_step": run.best[0], "taken": run.step,
                           "samples": len(run.learn), "seconds": run.seconds, "dtype": base.dtype,
                           "skipped": run.skipped}
        said(f"{name}: {facts[name]['before']:.3f} -> {facts[name]['after']:.3f} bits a character, "
             f"{facts[name]['taken']} steps in {facts[name]['seconds']:.1f} s")
    return made, facts


def switch(model: Any, matrices: lora.Matrices | None) -> None:
    """These matrices into the model's adapter; None: one that changes nothing."""
    if matrices is not None:
        lora.load_into(model, matrices)
        return
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.zero_()


def scores(losses: batches.Losses, jobs: Sequence[tuple[str, Encoded]]) -> Iterator[tuple[str, float]]:
    """Key and bits of each, batched by length."""
    import torch

    key_of = {id(one): key for key, one in jobs}
    with torch.no_grad():
        for group in batches.by_length([one for _, one in jobs], TOGETHER):
            for one, nats in zip(group, losses.each(group).tolist(), strict=True):
                yield key_of[id(one)], nats / math.log(2)


def continued(losses: batches.Losses, prompts: Sequence[Encoded], how: Mapping[str, Any],
              ends: set[int]) -> list[list[int]]:
    """Token ids drawn after each prompt, without the end."""
    import torch

    device, start = losses.device, len(losses.common)
    rests = [one.prefix[start:] for one in prompts]
    width = max(map(len, rests))
    losses.model.base_model.disable_adapter_layers()
    with torch.no_grad():
        cache = losses._joined(losses.prefixes(rests), width)
    losses.model.base_model.enable_adapter_layers()
    lengths = torch.tensor([[len(rest)] for rest in rests], device=device)
    tails = losses._padded([one.tail for one in prompts])
    told = torch.tensor([[len(one.tail)] for one in prompts], device=device)
    seen = torch.cat([torch.ones(len(prompts), start, device=device, dtype=torch.long),
                      (torch.arange(width, device=device)[None] < lengths).long(),
                      (torch.arange(tails.shape[1], device=device)[None] < told).long()], dim=1)
    place = start + lengths + torch.arange(tails.shape[1], device=device)[None]
    chance = torch.Generator(device=device).manual_seed(how["seed"])
    found: list[list[int]] = [[] for _ in prompts]
    open_ = set(range(len(prompts)))
    with torch.no_grad():
        hidden = losses._hidden(tails, cache, attention_mask=seen, position_ids=place)
        last = hidden[torch.arange(len(prompts), device=device), told[:, 0] - 1]
        for turn in range(how["max_tokens"]):
            tokens = drawn(losses.head(last).float(), found, how, chance)
            for row, token in enumerate(tokens.tolist()):
                if row in open_ and token in ends:
                    open_.discard(row)
                elif row in open_:
                    found[row].append(token)
            if not open_:
                break
            seen = torch.cat([seen, torch.ones(len(prompts), 1, device=device, dtype=torch.long)], dim=1)
            last = losses._hidden(tokens[:, None], cache, attention_mask=seen,
                                  position_ids=start + lengths + told + turn)[:, -1]
    return found


def drawn(logits: Any, before: Sequence[Sequence[int]], how: Mapping[str, Any], chance: Any) -> Any:
    """One token a row: penalty, top_k, top_p, min_p, temperature."""
    import torch

    for row, ids in enumerate(before):
        if ids:
            met = torch.tensor(sorted(set(ids)), device=logits.device)
            value = logits[row, met]
            logits[row, met] = torch.where(value > 0, value / how["repeat_penalty"], value * how["repeat_penalty"])
    best, places = logits.topk(how["top_k"], dim=-1)
    share = best.softmax(-1)
    out = (share.cumsum(-1) - share >= how["top_p"]) | (share < how["min_p"] * share[:, :1])
    share = (best.masked_fill(out, float("-inf")) / how["temperature"]).softmax(-1)
    return places.gather(1, torch.multinomial(share, 1, generator=chance))[:, 0]


def main(core: str, folder: str) -> None:
    """See the module."""
    import torch

    began, place = time.monotonic(), Path(folder)
    found = work(Path(core), place)
    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no card"
    found |= {"device": card, "seconds": round(time.monotonic() - began, 1), "peak": training.peak_bytes()}
    (place / "answers.json.gz").write_bytes(gzip.compress(json.dumps(found).encode()))
    said(f"done on {card} in {found['seconds']} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
