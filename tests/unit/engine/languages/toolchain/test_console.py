import io

from iocaudit.engine.languages.toolchain.console import ConsoleProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_output_is_thinned_out() -> None:
    stream, now = io.StringIO(), 0.0
    progress = ConsoleProgress(stream, clock=lambda: now)
    for second in range(40):
        now = float(second)
        progress.tick("compiling", now)
    assert stream.getvalue() == "compiling … 0 s\ncompiling … 15 s\ncompiling … 30 s\n"


def test_a_terminal_line_is_rewritten_and_ended_before_a_note() -> None:
    stream = Terminal()
    progress = ConsoleProgress(stream)
    progress.tick("compiling", 1)
    progress.tick("compiling", 2)
    progress.note("done")
    assert stream.getvalue() == "\rcompiling … 1 s\rcompiling … 2 s\ndone\n"
