"""Engines: what continues a prompt. `llama` runs a GGUF in process; `scripted` plays written answers."""
