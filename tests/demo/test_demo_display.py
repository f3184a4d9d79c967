"""How far a demonstration is, is shown as bars, as lines, or not at all."""

import io
import sys

import pytest

from semiont_jobs.demo.display import Bars, Lines, Silence, display_for

TOTALS = {"detection": 4, "generation": 6}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_is_printed_for_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(TOTALS) as display:
        for done in range(11):
            display.show({"detection": min(done, 4), "generation": max(0, done - 4)}, killed=0)
            display.show({"detection": min(done, 4), "generation": max(0, done - 4)}, killed=1)

    lines = capsys.readouterr().err.splitlines()
    assert 10 == len(lines)
    assert "10 of 10 jobs done" == lines[-1]


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with display_for(TOTALS, quiet=False) as display:
        assert isinstance(display, Bars)
        display.show({"detection": 4, "generation": 3}, killed=2)

    shown = terminal.getvalue()
    for part in ("detection", "generation", "all jobs", "2 killed"):
        assert part in shown


def test_a_machine_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with display_for(TOTALS, quiet=True) as display:
        assert isinstance(display, Silence)
        display.show({"detection": 4}, killed=0)

    assert ("", "") == capsys.readouterr()
