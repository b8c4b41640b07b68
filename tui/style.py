"""How the terminal chat looks."""
from __future__ import annotations

CSS = """
Screen { layout: vertical; }
OptionList, VerticalScroll, Tree, TextArea { scrollbar-size-vertical: 1; }
#log {
    height: 1fr; padding: 1 0 0 0; scrollbar-size-vertical: 1;
    scrollbar-background: $background; scrollbar-color: $foreground 20%;
}
#log > * { max-width: 104; margin: 0 2; }
#log > Note { height: auto; margin: 0 2 1 2; color: $text-muted; }
Note.error { color: $text-error; border-left: outer $error; padding-left: 1; }
#log > .more { width: auto; height: 1; margin: 0 4 1 4; color: $text-muted; }
#log > .more:hover { color: $text-primary; }
#log > Exchange { height: auto; margin: 0 2 1 2; }
Exchange > * { height: auto; margin-left: 2; }
Exchange .question { margin: 0 0 1 0; padding-left: 1; border-left: outer $primary; text-style: bold; }
Exchange .route { height: 1; text-wrap: nowrap; text-overflow: ellipsis; color: $text-muted; }
Exchange .waiting { color: $text-muted; margin: 1 0 0 2; }
Exchange .answer { margin: 1 0 0 2; padding: 0; background: transparent; }
Exchange Collapsible { background: transparent; border: none; padding: 0; }
Exchange .thought { color: $text-muted; }
Exchange .weighed { margin: 1 0 0 2; }
Exchange .after { color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
Exchange .after.error { text-wrap: wrap; margin: 1 0 0 2; }
Exchange .marks {
    height: 1; width: auto; color: $foreground 40%; link-style: none; link-color: $foreground 40%;
    link-background: transparent; link-color-hover: $text-primary; link-background-hover: transparent;
}
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
