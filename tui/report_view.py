"""What an import found, in words: counts that add up, why something was left out, what was repaired, what failed."""
from __future__ import annotations

from collections.abc import Iterator

from textual.content import Content

from twin.text import one_line
from twin.types import ImportReport
from twin.words import Words, sentence

LISTED = 8  # failures and repairs that are shown; the rest is counted
_LONG = 160  # characters of one of them


def told(report: ImportReport, words: Words) -> Content:
    """A report, line by line; the sum stands first, as it is checked and not hoped for."""
    return Content("\n").join([*_counts(report, words), *_left_out(report, words), *_repaired(report, words),
                               *_failed(report, words)])


def _counts(report: ImportReport, words: Words) -> Iterator[Content]:
    said = words.count(report.conversations, "{n} conversation", "{n} conversations")
    files = words.count(len(report.files), "{n} file", "{n} files")
    head = words("Would be read") if report.dry_run else words("Was read")
    yield Content.assemble((f"{head}: ", "bold"), f"{files}, {said}")
    own = words.count(report.own, "{n} message of your own", "{n} messages of your own")
    yield Content.assemble((own, "bold $text-primary"))
    skipped = sum(report.skipped.values())
    yield Content(words("Messages: {seen} seen = {new} new + {changed} changed + {same} known already + {skipped} "
                        "left out + {failed} failed", seen=report.seen, new=report.imported, changed=report.updated,
                        same=report.unchanged, skipped=skipped, failed=report.failed))
    if report.carried:
        yield Content(words("Claims of a twin: {n}, of them waiting for your yes: {waiting} (/claims)",
                            n=report.carried, waiting=report.waiting))


def _left_out(report: ImportReport, words: Words) -> Iterator[Content]:
    if report.skipped:
        yield Content("")
        yield Content.styled(words("Left out, and why:"), "bold")
    for name, count in sorted(report.skipped.items(), key=lambda item: (-item[1], item[0])):
        yield Content(f"  {count:>6}  {one_line(reason(name, words))}")


def _repaired(report: ImportReport, words: Words) -> Iterator[Content]:
    if report.repairs:
        yield Content("")
        yield Content.styled(words("Repaired, because it had been read in a wrong encoding:"), "bold")
    for one in report.repairs[:LISTED]:
        yield Content(f"  {one_line(one.file)[:_LONG]} ({one_line(one.codec)}): " +
                      words.count(one.lines, "{n} line of text", "{n} lines of text"))
        yield Content.styled(f"    {one_line(one.before)[:60]} -> {one_line(one.after)[:60]}", "$text-muted")
    yield from _rest(len(report.repairs), words)


def _failed(report: ImportReport, words: Words) -> Iterator[Content]:
    if report.failures:
        yield Content("")
        yield Content.styled(words("Could not be read:"), "bold $text-error")
    for one in report.failures[:LISTED]:
        yield Content(f"  {one_line(sentence(one, words.language))[:_LONG]}")
    yield from _rest(len(report.failures), words)


def _rest(count: int, words: Words) -> Iterator[Content]:
    if count > LISTED:
        yield Content.styled("  " + words("and {n} more", n=count - LISTED), "$text-muted")


def reason(name: str, words: Words) -> str:
    """Why messages were left out, as importers name it; one they do not name here stays as it is."""
    return {
        "account of an export": words("the account's own data"), "activity of another product": words(
            "activity of another product"), "activity without a prompt": words("activity without a prompt"),
        "assistant in a transcript": words("the assistant's side of a transcript"), "attachment only": words(
            "an attachment without words"), "bulk mail": words("bulk mail"), "calendar": words("a calendar entry"),
        "canvas of an export": words("a canvas"), "chat": words("a chat of another kind"),
        "chat log": words("a log of chats"), "code": words("code of a model"), "deleted message": words(
            "a deleted message"), "location": words("a place"), "poll": words("a poll"), "quoted page": words(
            "a page that was quoted"), "clipping": words("a clipping of somebody else's text"),
        "drawing": words("a drawing"), "draft": words("a draft"), "spam": words("spam"),
        "trash": words("from the trash"),
        "export without claims": words("an export of a twin without claims"), "malformed claim": words(
            "a malformed claim"), "public copy": words("a public copy: its words have lost their names"),
        "duplicate name": words("a second file of the same name"), "empty": words("empty"),
        "empty conversation": words("an empty conversation"), "empty file": words("an empty file"),
        "empty section": words("an empty section"), "example project": words("an example project"),
        "forgotten": words("you have taken it back earlier"), "hidden": words("hidden by the program it is from"),
        "inactive branch": words("a branch of the conversation that was left"), "line before the first message": words(
            "a line before the first message"), "link": words("a link to another place"), "malformed message": words(
            "a malformed message"), "malformed activity": words("a malformed activity"), "memory file": words(
            "what a provider noted about you"), "no chats in it": words("no chats in it"), "no regular file": words(
            "no regular file"), "only quotes": words("only quotes of others"), "project description": words(
            "a project's description"), "project document": words("a project's document"),
        "project without instructions": words("a project without instructions"), "prompt": words(
            "a prompt, not a message"), "repeated message": words("the same message once more"),
        "sent to a tool": words("sent to a tool"), "sticker": words("a sticker"), "system": words(
            "a system message"), "system line": words("a line of the program"), "template": words("a template"),
        "thinking": words("thinking of a model"), "tool": words("output of a tool"), "tool call": words(
            "a call of a tool"), "unknown format": words("an unknown format"), "unknown speaker": words(
            "an unknown speaker"), "unsafe name": words("an unsafe name"), "zip in a zip in a zip": words(
            "a zip in a zip in a zip")}.get(name, name)
