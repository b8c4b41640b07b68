"""The command line of the servers: `twin serve` for OpenAI's clients, `twin mcp` for assistants."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click

from twin.cli import home_option, model_option, note, opened, verb
from twin.errors import UsageError

PACKAGES = ("starlette", "uvicorn", "h11", "mcp", "mcp_types", "anyio")


@contextmanager
def _installed(what: str) -> Iterator[None]:
    """A missing package becomes the command that installs it."""
    try:
        yield
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in PACKAGES:
            raise
        raise UsageError(f"`twin {what}` needs {missing}, which is not installed.",
                         "Install it with: pip install 'twin[serve]'.") from error


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--level", type=click.Choice(["private", "public"]), default="private", show_default=True,
              help="public: without memories, adapters and private claims.")
@click.option("--allow-remote", is_flag=True, help="Let other machines call it, at a --host they can reach.")
@model_option
@home_option
@verb
def serve(host: str, port: int, level: Literal["private", "public"], allow_remote: bool, model: str | None,
          home: Path | None) -> None:
    """Serve your twin to programs that speak OpenAI's API, on this machine; nothing they send is kept."""
    with _installed("serve"):
        from twin.serve.server import Serving, token
    with opened(home, model) as twin:
        key, file = token(twin.home)
        if not twin.has("core"):
            note("There is no core on this machine yet, so nothing can be asked. Fetch one with `twin models pull`.")
        serving = Serving(twin, key, host=host, port=port, level=level, remote=allow_remote)
        note(f"Listening at {serving.url}/v1 ({level}). The token stands in {file or 'TWIN_SERVE_TOKEN'}. Ctrl-C ends.")
        if allow_remote:
            note("Other machines can call it, and what is said travels unencrypted.")
        with serving.until_signal():
            serving.run()


@click.command()
@click.option("--level", type=click.Choice(["public", "private"]), default="public", show_default=True,
              help="What an assistant may see of you.")
@click.option("--config", type=click.Choice(["claude", "vscode"]),
              help="Print the settings with which Claude Desktop or VS Code starts it, and end.")
@home_option
@verb
def mcp(level: Literal["private", "public"], config: Literal["claude", "vscode"] | None, home: Path | None) -> None:
    """Serve your memory and profile to an assistant over MCP, on standard input and output; read-only."""
    with _installed("mcp"):
        from twin.serve import mcp_server
    if config:
        click.echo(mcp_server.config(config, level, home))
        return
    with opened(home) as twin:
        mcp_server.run(twin, level)
