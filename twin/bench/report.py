"""A report of what a core did on a machine: its form in memory and as JSON (`twin-field-report/1`), read without trust.

It names the core, the devices, the versions and the figures; it has no place for the name of a machine or a person, for
a path or for what anybody wrote, but for a note of one line that its owner adds. Knows no engine and no home.
"""
from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from twin.errors import BrokenFile, InputError, UnknownFormat, UsageError
from twin.text import one_line

FORMAT = "twin-field-report/1"
LARGEST = 256 * 1024       # bytes of a file; a real one has about 4,000
MOST = 64                  # figures, devices and lines of any kind
FIRST_DAY = date(2023, 1, 1)   # before llama.cpp there was nothing to report

Metric: TypeAlias = Literal["prefill", "decode", "switch", "anew", "council", "serial", "council time", "serial time",
                            "memory", "buffers"]
Unit: TypeAlias = Literal["tok/s", "s", "bytes"]
UNITS: Mapping[Metric, Unit] = {
    "prefill": "tok/s", "decode": "tok/s", "switch": "s", "anew": "s", "council": "tok/s", "serial": "tok/s",
    "council time": "s", "serial time": "s", "memory": "bytes", "buffers": "bytes"}
# A million tokens a second, eleven days and a pebibyte are no single machine's.
HIGHEST: Mapping[Unit, float] = {"tok/s": 1e6, "s": 1e6, "bytes": 2.0**50}


def line(text: str) -> str:
    """A text as one printable line of at most 200 characters."""
    return one_line(one_line(text)[:200])


def _printable(text: str) -> str:
    if one_line(text) != text:
        raise ValueError("not one printable line")
    return text


Line = Annotated[str, StringConstraints(max_length=200), AfterValidator(_printable)]
Count = Annotated[int, Field(ge=0, le=2**50)]
Number = Annotated[float, Field(ge=0, le=2.0**50)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Core(_Part):
    """What was measured. What is not known is '' or 0; `parameters` counts weights, `bytes` those of its tensors."""

    name: Annotated[Line, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{64})?$")] = ""
    architecture: Line = ""
    parameters: Count = 0
    quantisation: Line = ""
    bytes: Count = 0


class Device(_Part):
    """Where it ran. `remote`: in an RPC worker or behind a server, whose address is not told."""

    name: Line
    description: Line = ""
    kind: Literal["cpu", "gpu", "igpu", "accel", "meta", "server"]
    memory_bytes: Count = 0
    remote: bool = False


class Where(_Part):
    """How it lay there; see twin.placement.Placement. `layers`: on devices, -1 for all. `threads` 0: not known."""

    devices: Annotated[tuple[Device, ...], Field(max_length=MOST)] = ()
    layers: Annotated[int, Field(ge=-1, le=10_000)] = 0
    split_mode: Literal["none", "layer", "row"] = "layer"
    tensor_split: Annotated[tuple[Number, ...], Field(max_length=MOST)] = ()
    kv_type: Line = ""
    flash_attention: Line = ""
    threads: Annotated[int, Field(ge=0, le=10_000)] = 0
    n_ctx: Annotated[int, Field(ge=0, le=2**31)] = 0


class Method(_Part):
    """How it was measured: tokens of the shared history, of an answer, roles, members of a council, repeats."""

    shared: Annotated[int, Field(ge=0, le=2**31)]
    decode: Annotated[int, Field(ge=1, le=2**31)]
    roles: Annotated[int, Field(ge=0, le=10_000)]
    council: Annotated[int, Field(ge=0, le=10_000)]
    repeats: Annotated[int, Field(ge=1, le=1_000_000)]


class Figure(_Part):
    """The median of `n` readings and its 95 % interval (`memory` and `buffers`: one exact reading).

    `at` is the length of the prompt in tokens (prefill, decode), of the history that is shared (switch: until the first
    token when another role answers; anew: when nothing was read before), the members of a council (together, and
    `serial`: one after the other), or the tokens of the context (memory, buffers).
    """

    metric: Metric
    unit: Unit
    value: Number
    low: Number
    high: Number
    n: Annotated[int, Field(ge=1, le=1_000_000)]
    at: Annotated[int, Field(ge=0, le=2**31)]

    @model_validator(mode="after")
    def _makes_sense(self) -> Figure:
        if self.unit != UNITS[self.metric]:
            raise ValueError("another unit than its metric has")
        _inside(self.low, self.value, self.high)
        if self.high > HIGHEST[self.unit]:
            raise ValueError("more than any machine does")
        return self


class Predicted(_Part):
    """What was expected of one metric before it was measured, in its unit."""

    metric: Literal["prefill", "decode", "memory"]
    value: Number
    low: Number
    high: Number

    @model_validator(mode="after")
    def _makes_sense(self) -> Predicted:
        _inside(self.low, self.value, self.high)
        return self


def _inside(low: float, value: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError("a value outside its own interval")


class Report(_Part):
    """One run. `left_out` says in words what could not be measured; `note` is the owner's own line."""

    format: Literal["twin-field-report/1"] = "twin-field-report/1"
    when: date
    core: Core
    placement: Where
    build: Annotated[dict[Line, Line], Field(max_length=MOST)]
    method: Method
    figures: Annotated[tuple[Figure, ...], Field(min_length=1, max_length=MOST)]
    prediction: Annotated[tuple[Predicted, ...], Field(max_length=3)] = ()
    left_out: Annotated[tuple[Line, ...], Field(max_length=MOST)] = ()
    note: Annotated[Line, Field(repr=False)] = ""

    @model_validator(mode="after")
    def _makes_sense(self) -> Report:
        if not FIRST_DAY <= self.when <= datetime.now(UTC).date() + timedelta(days=1):
            raise ValueError("a day on which it cannot have been measured")
        for said in ([(one.metric, one.at) for one in self.figures], [one.metric for one in self.prediction]):
            if len(set(said)) < len(said):
                raise ValueError("the same thing told twice")
        return self

    def headline(self, metric: Metric) -> Figure | None:
        """The figure of a metric that a prediction speaks of: prefill of the middle length, decode after the shortest
        prompt, the memory of the core. None where it was not measured."""
        found = sorted((one for one in self.figures if one.metric == metric), key=lambda one: one.at)
        return found[middle(len(found)) if metric == "prefill" else 0] if found else None

    def compared(self) -> tuple[tuple[Predicted, Figure | None, bool | None], ...]:
        """Each prediction, what was measured, and whether its interval holds the measured value."""
        pairs = [(one, self.headline(one.metric)) for one in self.prediction]
        return tuple((one, found, one.low <= found.value <= one.high if found else None) for one, found in pairs)

    def to_json(self) -> str:
        """The file others can import."""
        return self.model_dump_json(indent=1) + "\n"


def middle(n: int) -> int:
    """The place of the middle one of n."""
    return n // 2


def predicted(prediction: Mapping[str, tuple[float, float, float]] | None) -> tuple[Predicted, ...]:
    """Predictions from metric -> (low, value, high). Raises UsageError for a metric nobody predicts and for an interval
    that does not hold its value."""
    try:
        return tuple(Predicted.model_validate({"metric": metric, "low": float(low), "value": float(value),
                                               "high": float(high)})
                     for metric, (low, value, high) in (prediction or {}).items())
    except ValidationError as error:
        raise UsageError(f"This is no prediction: {_reason(error)}.",
                         "Give prefill, decode or memory, each as low <= value <= high.") from error


# ---- reading -------------------------------------------------------------------------------------------------------

def load(path: Path) -> tuple[bytes, Report]:
    """The bytes of a file and the report in them. Raises InputError where it cannot be read or is too long, and what
    `parse` raises."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe that nobody writes to would be waited for
            raise InputError(f"{path.name} is no regular file.", "Name a field report.")
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(f"{path.name} cannot be read ({reason}).", "Name a field report.") from error
    if len(data) > LARGEST:
        raise InputError(f"{path.name} has more than {LARGEST // 1024} KiB: no field report.", "Name a field report.")
    return data, parse(data, path.name)


def parse(data: bytes, name: str) -> Report:
    """The report in these bytes; `name` is for the error. Raises UnknownFormat for another kind or version of file,
    BrokenFile for one that does not follow its form: not JSON, a field too many or missing, of another type, outside
    its bounds, not finite."""
    try:
        read = json.loads(data.decode("utf-8"), parse_constant=_not_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BrokenFile(f"{name} is no field report: it cannot be read as JSON.", _AGAIN) from error
    told = read.get("format") if isinstance(read, dict) else None
    if told != FORMAT:
        said = one_line(str(told))[:40]
        raise UnknownFormat(f"{name} is no field report that is known here (its format: {said}).",
                            f"`twin bench export` writes {FORMAT}; a newer one needs a newer twin.")
    try:
        return Report.model_validate_json(data)
    except ValidationError as error:
        raise BrokenFile(f"{name} is no field report: {_reason(error)}.", _AGAIN) from error


_AGAIN = "Ask whoever made it for another copy."


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of two the readers of this file would not all take the same."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key that stands there twice")
    return made


def _reason(error: ValidationError) -> str:
    """Where the first mistake stands, and what kind it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = one_line(".".join(str(part)[:40] for part in ("report", *first["loc"][:4])))
    kind = str(first.get("ctx", {}).get("error", first["type"])).replace("_", " ")
    return f"{where} ({kind})"
