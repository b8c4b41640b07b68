"""How the terminal chat looks, and the page that tells its keys and commands."""
from __future__ import annotations

CSS = """
Screen { layout: vertical; }
#log {
    height: 1fr; padding: 1 0 0 0; scrollbar-size-vertical: 1;
    scrollbar-background: $background; scrollbar-color: $foreground 20%;
}
#log > * { max-width: 104; margin: 0 2; }
#log > Note { height: auto; margin: 0 2 1 2; color: $text-muted; }
Note.error { color: $text-error; border-left: outer $error; padding-left: 1; }
Exchange { height: auto; }
Exchange.-noted .after { margin: 0 0 1 2; }
Exchange > * { height: auto; margin-left: 2; }
Exchange .question { margin: 0 0 1 0; padding-left: 1; border-left: outer $primary; text-style: bold; }
Exchange .route, Exchange .memory, Exchange .remark {
    height: 1; text-wrap: nowrap; text-overflow: ellipsis; color: $text-muted;
}
Exchange .memory.cited { color: $text; }
Exchange .remark { text-style: italic; }
Exchange .waiting { color: $text-muted; margin-top: 1; }
Exchange .answer { margin: 1 0 0 2; padding: 0; background: transparent; }
Exchange Collapsible { background: transparent; border: none; padding: 0; }
Exchange .thought { color: $text-muted; }
Exchange .weighed { margin-top: 1; }
#log > Comparison { max-width: 100%; height: auto; margin: 0 2 1 2; }
Comparison > Static { height: auto; padding: 0 1; border-left: outer $foreground 20%; margin-bottom: 1; }
Comparison.-wide { layout: horizontal; }
Comparison.-wide > Static { width: 1fr; }
Composer {
    height: auto; min-height: 3; max-height: 8; margin: 0 1; padding: 0 1;
    background: $background; border: round $foreground 30%;
}
Composer:focus { border: round $primary; }
#status { height: 1; padding: 0 2; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
Page, Picker, Rewrite { align: center middle; }
Page > VerticalScroll {
    width: 72; max-width: 95%; height: auto; max-height: 90%; padding: 1 2;
    background: $surface; border: round $primary;
}
Page.-wide > VerticalScroll { width: 95%; }
Page Markdown { background: transparent; padding: 0; margin-bottom: -1; }
Page Static { height: auto; }
Picker > Vertical, Rewrite > Vertical {
    width: 90; max-width: 95%; height: auto; max-height: 100%; padding: 0 1;
    background: $surface; border: round $primary;
}
Picker Static, Rewrite Static { height: 1; text-wrap: nowrap; text-overflow: ellipsis; color: $text-muted; }
Rewrite Composer { max-height: 60vh; margin: 0; }
Picker OptionList {
    height: auto; max-height: 60vh; border: none; padding: 0; background: transparent;
    text-wrap: nowrap; text-overflow: ellipsis;
}
"""

HELP = """\
### Keys
- `enter` sends; `ctrl+j` or `shift+enter` starts a new line
- `esc` stops the answer; what was written is kept
- `ctrl+r` says whom the last question was for: `1` to `9` or `enter` chooses, the router learns it
- `ctrl+f` asks the last question again, in another role or by a council, on a new line of thinking
- `f2` good answer, `f3` bad answer: what reflection learns from
- `f4` asks the last question once more in the same role; `ctrl+o` takes your own version of the answer
- `f8` ends the trial of a proposal: the roles are as before
- `ctrl+n` starts a new conversation
- `ctrl+p` opens the palette: themes, keys, commands
- `ctrl+q` quits

### Commands
- `/role NAME` answers in that role from now on; `/role auto` leaves it to the line or the router; `/role` lists them
- `/for NAME` says whom the last question was for; `/for nobody` that no role should have claimed it
- `/why` tells why the last answer came from that role, and which memories it saw
- `/prompt QUESTION` shows the prompt it would be answered with; without a question that of the last one, asked again
- `/export` writes your profile as a system prompt
- `/help` shows this page

### What you make of an answer
- `/good`, `/bad` (`/хорошо`, `/плохо`) say whether the last answer was good; the last word counts
- `/again` (`/снова`) asks the same once more, on a new line of thinking; the answer before stays on its own
- `/edit` (`/правка`) opens the answer to be rewritten; `/edit TEXT` takes the text. The answer stays what was said

They are signals: the twin reflects on them while nobody asks, and nothing changes without your yes.

### What it proposes
- `/proposals` (`/предложения`) lists what waits for your yes or no; `twin proposals show ID` has the numbers
- `/trial` (`/проба`) tells what is on trial, and until when
- `/rollback` (`/вернуть`) ends the trial; `/rollback ID` takes a proposal back that you approved

### Council
- `/council QUESTION` lets several roles answer; what they say is weighed and dissent is kept
- `/council` does so with the last question, on a new line of thinking

Weights have a % sign only when they are calibrated on this core.

### Lines of thinking
- `/fork NAME` asks the last question again in that role, on a new line; `/fork council` by a council
- `/lines` lists the lines of this conversation; `/lines all` the dropped ones too
- `/line NAME` goes to one, by its name or number; `/line trunk` back to where the conversation began
- `/compare` shows what each line came to
- `/name TEXT`, `/keep`, `/drop` name, keep or drop the line you are on; nothing is deleted

A question that begins with a slash is sent when a space stands before it.
"""
