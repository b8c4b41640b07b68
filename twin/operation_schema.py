"""The operations on a role map that can be asked for, each with its hard limits; there are no others.

What is not a field here cannot be changed by any of them: the evaluator and its data, the margins, the filter, the
approval, the audit, the tools, these limits. Memory tags, ids and texts are checked as they come in, so an operation
that exists is one that may be asked for; whether it fits a map is `operation_apply`'s to say.

There is no `set_route_threshold`: the router has no threshold, its probabilities are calibrated. What would be
`set_control_vector` is `set_adapter` of the kind 'control'.
"""
from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from twin import text as plain
from twin.operation_text import refusal
from twin.role_file import SECTIONS
from twin.role_parts import Bilingual, Frozen, Sections, Text
from twin.roles import CouncilPolicy
from twin.types import Sampling

EXAMPLE, SECTION, RULE, CLAIM = 300, 600, 160, 300  # characters
INSTRUCTIONS = 2400  # characters of all sections of a role, in both languages together
EXAMPLES = 40  # of a role in Russian, and as many in other languages: the seed roles have 20 and 20
FEWEST = 3     # examples of a role that is made, as many as the turns that a proposal has to name
RULES = 12     # sentences of a section
ROLES = 24
GROWTH, GROWTH_CHARACTERS = 0.15, 120  # an operation changes a role's instructions in a language by one of them at most
RANGES: dict[str, tuple[float, float]] = {"temperature": (0, 1.3), "top_p": (0.5, 1), "min_p": (0, 0.2),
                                          "repeat_penalty": (1, 1.2), "max_tokens": (16, 4096)}

Language = Literal["en", "ru"]
Section = Literal["stance", "method", "do", "dont", "format"]
SamplingField = Literal["temperature", "top_p", "min_p", "repeat_penalty", "max_tokens"]


def clean(text: str) -> str:
    """The text, or ValueError with the reason why it is not taken."""
    if (reason := refusal(text)) is not None:
        raise ValueError(reason)
    return text


def _on_one_line(text: str) -> str:
    if "\n" in text:
        raise ValueError("it stands on one line")
    return text


def _one_sentence(text: str) -> str:
    if "\n" in text or len(plain.sentences(text)) != 1:
        raise ValueError("a rule is one sentence on one line")
    return text


def _length(most: int, least: int = 1) -> AfterValidator:
    """So many characters of a text."""
    def check(text: str) -> str:
        if not least <= len(text) <= most:
            raise ValueError(f"it has {len(text)} characters; from {least} to {most} are possible")
        return text
    return AfterValidator(check)


def _some(most: int, least: int = 1) -> AfterValidator:
    """So many entries of a list, each another."""
    def check(entries: tuple[str, ...]) -> tuple[str, ...]:
        if not least <= len(entries) <= most:
            raise ValueError(f"it has {len(entries)} entries; from {least} to {most} are possible")
        if len(set(entries)) < len(entries):
            raise ValueError("an entry stands there twice")
        return entries
    return AfterValidator(check)


def _short(limit: int) -> AfterValidator:
    """So many characters of a text in each language, on one line."""
    def check(both: Bilingual) -> Bilingual:
        for text in (both.en, both.ru):
            if len(text) > limit or "\n" in text:
                raise ValueError(f"at most {limit} characters on one line")
            clean(text)
        return both
    return AfterValidator(check)


def _instructions(sections: Sections) -> Sections:
    texts = [getattr(part, key) for part in (sections.en, sections.ru) for key in SECTIONS]
    if max(map(len, texts)) > SECTION:
        raise ValueError(f"a section has at most {SECTION} characters")
    if sum(map(len, texts)) > INSTRUCTIONS:
        raise ValueError(f"the instructions of a role have at most {INSTRUCTIONS} characters")
    for text in texts:
        clean(text)
    return sections


RoleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
Standing = Annotated[Text, _length(4000)]  # what the map holds already
Example = Annotated[Text, _length(EXAMPLE), AfterValidator(clean)]
Rule = Annotated[Text, _length(RULE), AfterValidator(_one_sentence), AfterValidator(clean)]
Tag = Annotated[Text, _length(60), AfterValidator(_on_one_line), AfterValidator(clean)]
Tags = Annotated[tuple[Tag, ...], _some(16)]
Title = Annotated[Bilingual, _short(60)]
Purpose = Annotated[Bilingual, _short(EXAMPLE)]
Written = Annotated[Sections, AfterValidator(_instructions)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Op(Frozen):
    """What all operations share. Two of equal content are equal."""

    model_config = ConfigDict(hide_input_in_errors=True)
    op: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self, 'role', '')})"

    __str__ = __repr__


class AddRoutingExample(Op):
    """A message that is for this role."""

    op: Literal["add_routing_example"] = "add_routing_example"
    role: RoleId
    text: Example


class RemoveRoutingExample(Op):
    """One of its examples is not for this role."""

    op: Literal["remove_routing_example"] = "remove_routing_example"
    role: RoleId
    text: Standing


class RelabelRoutingExample(Op):
    """One of its examples is for another role."""

    op: Literal["relabel_routing_example"] = "relabel_routing_example"
    role: RoleId
    to: RoleId
    text: Standing


class EditPromptSection(Op):
    """A section of the instructions says this now; '' takes it away."""

    op: Literal["edit_prompt_section"] = "edit_prompt_section"
    role: RoleId
    language: Language
    section: Section
    text: Annotated[Text, _length(SECTION, 0), AfterValidator(clean)]


class AddPromptRule(Op):
    """A section gets one sentence more."""

    op: Literal["add_prompt_rule"] = "add_prompt_rule"
    role: RoleId
    language: Language
    section: Section
    text: Rule


class RemovePromptRule(Op):
    """A section loses one sentence, word for word as it stands."""

    op: Literal["remove_prompt_rule"] = "remove_prompt_rule"
    role: RoleId
    language: Language
    section: Section
    text: Standing


class SetSampling(Op):
    """One number of how the role's words are drawn."""

    op: Literal["set_sampling"] = "set_sampling"
    role: RoleId
    field: SamplingField
    value: Annotated[float, Field(strict=True)]

    @field_validator("value")
    @classmethod
    def _in_range(cls, value: float, others: ValidationInfo) -> float:
        field = others.data.get("field")
        if field is None:  # refused itself
            return value
        low, high = RANGES[field]
        if not low <= value <= high:
            raise ValueError(f"{field} goes from {low:g} to {high:g}")
        if isinstance(getattr(Sampling(), field), int) and not value.is_integer():
            raise ValueError(f"{field} is a whole number")
        return value


class SetAdapter(Op):
    """The role answers through a registered adapter, named by content; None: through none."""

    op: Literal["set_adapter"] = "set_adapter"
    role: RoleId
    sha256: Hash | None
    scale: Annotated[float, Field(strict=True, ge=0, le=1.5)] = 1.0
    kind: Literal["auto", "lora", "alora", "control"] = "auto"

    @model_validator(mode="after")
    def _control_is_mild(self) -> SetAdapter:
        if self.kind == "control" and self.scale > 1:
            raise ValueError("the scale of a control vector is at most 1")
        return self


class NarrowMemoryScope(Op):
    """The role sees no memory with these tags."""

    op: Literal["narrow_memory_scope"] = "narrow_memory_scope"
    role: RoleId
    tags: Tags


class WidenMemoryScope(Op):
    """The role may see memories with these tags."""

    op: Literal["widen_memory_scope"] = "widen_memory_scope"
    role: RoleId
    tags: Tags


class AddRole(Op):
    """A role that was not there, with the sampling and the placement of every new one."""

    op: Literal["add_role"] = "add_role"
    id: RoleId
    title: Title
    purpose: Purpose
    sections: Written
    examples: Annotated[tuple[Example, ...], _some(2 * EXAMPLES, FEWEST)]

    def __repr__(self) -> str:
        return f"AddRole({self.id})"

    __str__ = __repr__


class SplitRole(Op):
    """A new role takes these examples from one that is there, with its sampling, memory scope and placement."""

    op: Literal["split_role"] = "split_role"
    role: RoleId
    id: RoleId
    title: Title
    purpose: Purpose
    sections: Written
    examples: Annotated[tuple[Standing, ...], _some(2 * EXAMPLES, FEWEST)]


class MergeRoles(Op):
    """A role goes; its examples come to another one, as far as there is room."""

    op: Literal["merge_roles"] = "merge_roles"
    role: RoleId
    into: RoleId


class RetireRole(Op):
    """A role goes; its file is set aside and its history stays."""

    op: Literal["retire_role"] = "retire_role"
    role: RoleId


class SetPlacement(Op):
    """Where a role wants to run; what is None stays as it is, but not all of it."""

    op: Literal["set_placement"] = "set_placement"
    role: RoleId
    device: Annotated[str, Field(pattern=r"^[A-Za-z]{1,16}[0-9]{0,3}(\.[0-9]{1,3})?$")] | None = None
    n_ctx: Annotated[int, Field(strict=True, ge=64, le=1 << 18)] | None = None
    n_gpu_layers: Annotated[int, Field(strict=True, ge=-1, le=999)] | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> SetPlacement:
        if (self.device, self.n_ctx, self.n_gpu_layers) == (None, None, None):
            raise ValueError("it names no device, n_ctx or n_gpu_layers")
        return self


class SetCouncilPolicy(Op):
    """Who sits in a council and when it is called, the whole of it: see `roles.CouncilPolicy`."""

    op: Literal["set_council_policy"] = "set_council_policy"
    members: Annotated[tuple[RoleId, ...], _some(ROLES, 0)]
    max_n: Annotated[int, Field(strict=True, ge=1, le=16)]
    depth: Annotated[int, Field(strict=True, ge=1, le=7)] | None
    entropy: Annotated[float, Field(strict=True, ge=0, le=4)] | None
    on: Literal["asked", "policy"]

    @model_validator(mode="after")
    def _is_a_policy(self) -> SetCouncilPolicy:
        self.policy()
        return self

    def policy(self) -> CouncilPolicy:
        """The policy it asks for. Raises ValueError for one that cannot be."""
        return CouncilPolicy(members=self.members, max_n=self.max_n, depth=self.depth, entropy=self.entropy, on=self.on)

    def __repr__(self) -> str:
        return "SetCouncilPolicy()"

    __str__ = __repr__


class OpenHypothesis(Op):
    """A claim for the ledger; the map stays as it is."""

    op: Literal["open_hypothesis"] = "open_hypothesis"
    claim: Annotated[Text, _length(CLAIM), AfterValidator(clean)]


Operation = Annotated[
    AddRoutingExample | RemoveRoutingExample | RelabelRoutingExample | EditPromptSection | AddPromptRule
    | RemovePromptRule | SetSampling | SetAdapter | NarrowMemoryScope | WidenMemoryScope | AddRole | SplitRole
    | MergeRoles | RetireRole | SetPlacement | SetCouncilPolicy | OpenHypothesis, Field(discriminator="op")]
OPERATIONS: dict[str, type[Op]] = {str(kind.model_fields["op"].default): kind for kind in Op.__subclasses__()}
