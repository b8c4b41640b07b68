"""`twin models`: the catalogue on the command line. Draws what twin.catalog knows."""
from __future__ import annotations

from pathlib import Path

import click

from twin.cli import Bar, json_option, note, show, verb


@click.group()
def models() -> None:
    """Models: what there is, what is here, fetch, verify, choose."""


@models.command("list")
@json_option
@verb
def list_(as_json: bool) -> None:
    """The catalogue, and what of it is on this machine."""
    from twin.catalog import Catalog

    entries = Catalog().list()
    if as_json:
        show([{"name": e.model.name, "kind": e.model.kind, "present": e.present, "bytes": e.model.bytes,
               "memory_gb": round(e.model.memory_gb, 2), "licence": e.model.licence, "commercial": e.model.commercial,
               "hybrid": e.model.hybrid, "family": e.model.family, "n_ctx": e.model.n_ctx, "purpose": e.model.purpose,
               "sha256": [file.sha256 for file in e.model.files], "sources": e.model.sources} for e in entries])
        return
    for e in entries:
        marks = [e.model.licence, *(["NON-COMMERCIAL use only"] if not e.model.commercial else []),
                 *(["hybrid memory"] if e.model.hybrid else [])]
        here = "*" if e.present else " "
        click.echo(f"{here} {e.model.name:22} {e.model.kind:9} {e.model.bytes / 1e9:5.1f} GB file, needs "
                   f"{e.model.memory_gb:5.1f} GB  {', '.join(marks)}\n      {e.model.purpose}")
    note("* = on this machine. `twin models recommend` chooses for it; `twin models pull NAME` fetches.")


@models.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True),
              help="A file or folder of yours that already holds it.")
@json_option
@verb
def pull(names: tuple[str, ...], source: Path | None, as_json: bool) -> None:
    """Fetch models: checked by sha256, resumed where a pull was cut, never half-placed."""
    from twin.catalog import Catalog

    paths = {name: str(Catalog().pull(name, source=source, progress=Bar(), say=note)) for name in names}
    show(paths) if as_json else click.echo("\n".join(paths.values()))


@models.command()
@click.argument("name", required=False)
@json_option
@verb
def check(name: str | None, as_json: bool) -> int:
    """Read every file again and compare size and sha256. Exit status 1 when one is wrong."""
    from twin.catalog import Catalog

    verdicts = Catalog().check(name)
    if as_json:
        show(verdicts)
    else:
        for v in verdicts:
            click.echo(f"{v.state:14} {v.model}/{v.path.name}  {v.detail}")
        if not verdicts:
            note("No model is on this machine yet; see `twin models list`.")
    return int(any(v.state not in ("ok", "no hash known") for v in verdicts))


@models.command()
@click.argument("name")
@json_option
@verb
def path(name: str, as_json: bool) -> None:
    """Where a model lies."""
    from twin.catalog import Catalog

    place = str(Catalog().path(name))
    show({"path": place}) if as_json else click.echo(place)


@models.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@json_option
@verb
def found(folders: tuple[Path, ...], as_json: bool) -> None:
    """GGUFs already on this machine: Ollama's, LM Studio's, the hub's cache, folders you name."""
    from twin.catalog import Catalog

    shelf = Catalog().found(folders)
    if as_json:
        show(shelf)
        return
    for item in shelf:
        known = f" = {item.model}{'' if item.certain else ' (by size)'}" if item.model else ""
        click.echo(f"{item.bytes / 1e9:5.1f} GB  {item.where}: {item.label}{known}\n         {item.path}")
        note(f"         use it: twin ask --model {item.path} ..."
             if not item.model else f"         keep it: twin models pull {item.model} --from {item.path}")
    if not shelf:
        note("None was found in the usual places; name folders to look into.")


@models.command()
@json_option
@verb
def recommend(as_json: bool) -> None:
    """The core that suits this machine's memory and cards."""
    from twin.catalog import Catalog

    chosen = Catalog().recommend()
    if as_json:
        show({"name": chosen.model.name, "reason": chosen.reason})
        return
    click.echo(f"{chosen.model.name}\n{chosen.reason}")
    note(f"Fetch it with `twin models pull {chosen.model.name}`.")
