"""Chat forms of foreign cores: learned from what a template writes, refused by name where that is more than a form."""
from __future__ import annotations

import pytest

from twin.engine import frame
from twin.errors import ModelBroken
from twin.prompt import FAMILIES, plain
from twin.types import Family

LLAMA3 = """{%- if strftime_now is defined %}{%- set day = strftime_now("%d %b %Y") %}{%- endif %}{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}
{%- set messages = messages[1:] %}{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + day + "\\n\\n" }}
{{- system_message }}{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""
GEMMA = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate') }}{% endif %}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}"""
MISTRAL = """{{ bos_token }}{% for message in messages %}
{%- if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token}}{% else %}
{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"""
LLAMA2 = """{% if messages[0]['role'] == 'system' %}
{%- set told = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}
{%- set messages = messages[1:] %}{% else %}{% set told = '' %}{% endif %}{% for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{%- if message['role'] == 'user' %}
{{- bos_token + '[INST] ' + (told if loop.first else '') + message['content'] + ' [/INST]' }}
{%- else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"""
PHI = """{% for message in messages %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"""
ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
GLM = """[gMASK]<sop>{%- if tools -%}<|system|>\\n{{ tools | tojson(ensure_ascii=False) }}{%- endif -%}
{%- for m in messages -%}{%- if m.role == 'user' -%}<|user|>\n{{ m.content }}{%- elif m.role == 'assistant' -%}
<|assistant|>\n<think></think>\n{{ m.content.strip() }}{%- elif m.role == 'system' -%}<|system|>\n{{ m.content }}
{%- else -%}{%- continue -%}{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>
{{- '\\n<think></think>' if (enable_thinking is defined and not enable_thinking) else '' }}{%- endif -%}"""
DEEPSEEK = """{% set ns = namespace(system='') %}{% for m in messages %}{% if m['role'] == 'system' %}
{%- set ns.system = ns.system + m['content'] %}{% endif %}{% endfor %}{{ bos_token }}{{ ns.system }}
{%- for m in messages %}
{%- if m['role'] == 'user' %}{{ '<｜User｜>' + m['content'] }}{% elif m['role'] == 'assistant' %}
{{- '<｜Assistant｜>' + m['content'].split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"""
VICUNA = """{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ 'USER: ' + m.content + '\\n' }}
{%- elif m.role == 'assistant' %}{{ 'ASSISTANT: ' + m.content + eos_token + '\\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""

EXPECTED = {
    "llama3": (LLAMA3, Family("x", ("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
                              ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
                              ("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
                              "<|start_header_id|>assistant<|end_header_id|>\n\n", "<s>")),
    "gemma": (GEMMA, Family("x", None, ("<start_of_turn>user\n", "<end_of_turn>\n"),
                            ("<start_of_turn>model\n", "<end_of_turn>\n"), "<start_of_turn>model\n", "<s>")),
    "mistral": (MISTRAL, Family("x", None, ("[INST] ", " [/INST]"), (" ", "</s>"), "", "<s>")),
    "llama2": (LLAMA2, Family("x", None, ("<s>[INST] ", " [/INST]"), (" ", " </s>"), "", "")),
    "phi": (PHI, Family("x", ("<|system|>\n", "<|end|>\n"), ("<|user|>\n", "<|end|>\n"),
                        ("<|assistant|>\n", "<|end|>\n"), "<|assistant|>\n", "")),
    "zephyr": (ZEPHYR, Family("x", ("<|system|>\n", "</s>\n"), ("<|user|>\n", "</s>\n"), ("<|assistant|>\n", "</s>\n"),
                              "<|assistant|>\n", "")),
    "glm": (GLM, Family("x", ("<|system|>\n", ""), ("<|user|>\n", ""), ("<|assistant|>\n<think></think>\n", ""),
                        "<|assistant|>\n<think></think>", "[gMASK]<sop>")),
    "deepseek": (DEEPSEEK, Family("x", None, ("<｜User｜>", ""), ("<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
                                  "<｜Assistant｜><think>\n", "<s>")),
    "vicuna": (VICUNA, Family("x", None, ("USER: ", "\n"), ("ASSISTANT: ", "</s>\n"), "ASSISTANT:", "<s>")),
}


@pytest.mark.parametrize("shape", EXPECTED)
def test_the_form_of_a_template_is_learned_from_what_it_writes(shape: str) -> None:
    """Control tokens stay whole, a default system prompt is left out, and a role's header may come last or never."""
    template, expected = EXPECTED[shape]

    assert frame.learn(template, name="x", bos="<s>", eos="</s>") == expected


QWEN = """{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}
{{- '<|im_end|>\\n' }}{%- elif messages[0].role != 'system' %}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content.split('</think>')[-1] + '<|im_end|>\\n' }}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"""


@pytest.mark.parametrize(("template", "arch", "name"), [
    (QWEN, "qwen3", "qwen3"), (QWEN.replace("<think>\\n\\n</think>\\n\\n", ""), "qwen2", "chatml"),
    (QWEN.replace("assistant\\n' }}", "assistant\\n<think>\\n' }}").replace("<think>\\n\\n</think>", ""), "qwen3",
     "qwen3.5-thinking"),
    (QWEN + "{%- else %}{{- '<think>\\n' }}{%- endif %}", "qwen35", "qwen3.5"),
    ("", "qwen3moe", "qwen3"), ("", "qwen2", "chatml"), ("", "llama", None), (PHI, "phi3", None),
    ("<|im_start|>user<|im_sep|>{{ x }}<|im_end|>", "phi3", None)])
def test_a_template_of_a_family_of_ours_is_known_by_its_marks(template: str, arch: str, name: str | None) -> None:
    assert frame.known(template, arch) == name


def test_what_is_learned_of_a_chatml_template_is_our_own_family() -> None:
    """The learner and the families written by hand must agree, tools, defaults and thoughts or not."""
    ours = FAMILIES["qwen3"]

    assert frame.learn(QWEN, name="qwen3") == ours


def test_a_prompt_in_a_learned_form_reads_as_the_template_would_write_it() -> None:
    family = frame.learn(PHI, name="phi")

    assert plain(family, [("system", "S"), ("user", "U")], "Be brief.").text == (
        "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|system|>\nBe brief.<|end|>\n<|assistant|>\n")


TWICE = PHI.replace("message['content'] +", "message['content'] + message['content'] +")
REFUSED = {
    "says it twice": (TWICE, "repeats what the user says"),
    "drops answers": (PHI.replace("{{- '<|'", "{{- '' if message.role == 'assistant' else '<|'"), "what the assistant"),
    "cuts": (PHI.replace("message['content']", "message['content'][:20]"), "more than put words"),
    "escapes": (PHI.replace("message['content']", "message['content'] | e"), "more than put words"),
    "folds": (PHI.replace("message['content']", "message['content'] | replace('  ', ' ')"), "more than put words"),
    "numbers turns": (PHI.replace("'|>\\n'", "loop.index | string + '|>\\n'"), "another form than later"),
    "floods": ("{{ 'x' * 9000 }}" + PHI, "8,000 characters"),
    "reaches out": ("{{ ''.__class__.__mro__[1].__subclasses__() }}" + PHI, "SecurityError"),
    "reaches globals": ("{{ raise_exception.__globals__['json'] }}" + PHI, "SecurityError"),
    "lipsum": ("{{ lipsum(n=10**9) }}" + PHI, "UndefinedError"),
    "includes": ("{% include '/etc/passwd' %}" + PHI, "TypeError"),
    "changes": ("{% do messages.append(1) %}" + PHI, "TemplateSyntaxError"),
    "syntax": ("{% for m in %}", "TemplateSyntaxError"),
    "raises": ("{{ raise_exception('No\\x1b[2J chat') }}", "it says"),
    "recursion": ("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}" + PHI, "RecursionError"),
    "nothing": ("{{ bos_token }}", "leaves out"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_template_that_is_more_than_a_form_is_refused_with_a_reason(fault: str) -> None:
    template, reason = REFUSED[fault]

    with pytest.raises(ModelBroken, match="chat template of x cannot be used") as refused:
        frame.learn(template, name="x")

    assert reason in refused.value.what
