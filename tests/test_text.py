"""Hostile names, and what each kind of reader makes of them."""

import csv
import io
import re
import unicodedata

import markdown_it
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vit_train import console, text

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.text(
    st.sampled_from("=+-@\t'\"|`*_~[](){}<>!&;:#$\\/.\x1b\x07\r\n\u202e\u2066\u2028w1a 猫"), min_size=1, max_size=30
)


@given(NAMES)
@example("\x1b]0;title\x07\x1b[2Jvit-train: done")
@example("photo\u202egpj.exe")
def test_nothing_moves_the_cursor_or_turns_the_direction(name):
    shown = text.one_line(name)
    assert not [each for each in shown if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]
    assert "\n" not in shown
    assert text.one_line(shown) == shown


@given(NAMES)
@example("=HYPERLINK(1)")
@example("'=1+1")
@example("-0.5")
def test_a_cell_is_no_formula_and_gives_back_the_name(name):
    file = io.StringIO()
    csv.writer(file).writerow([text.csv_cell(name)])
    (cell,) = next(csv.reader(io.StringIO(file.getvalue(), newline="")))
    assert text.from_csv_cell(cell) == name
    assert cell[0] not in "=@\t\r"
    assert cell[0] not in "+-" or re.fullmatch(r"[+-][\d.eE+-]+", cell)


def rendered(source):
    """The tokens of a page of Markdown with tables and strike-through, the texts in them joined where they touch."""
    return markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(source)


@given(NAMES)
@example("[a](http://b.c) ![](x) <img src=x> **b** _c_ ~~d~~ a|b `c` $x^2$ :cat: &lt; www.a.b @me \\| __d__")
def test_markdown_shows_a_name_as_it_is(name):
    inline = [token for token in rendered(f"| a |\n| - |\n| x{text.markdown(name)}x |") if token.type == "inline"][-1]
    assert {token.type for token in inline.children} <= {"text", "text_special"}
    assert "".join(token.content for token in inline.children) == f"x{text.one_line(name)}x"


@given(NAMES)
@example("``a` `")
def test_a_code_span_is_one_whatever_is_in_it(name):
    (inline,) = [token for token in rendered(f"x {text.markdown_code(name)} x") if token.type == "inline"]
    (code,) = [token for token in inline.children if token.type == "code_inline"]
    shown = text.one_line(name)
    assert code.content in (shown, shown.strip(" "), shown[1:-1])
    assert [token.content for token in inline.children if token.type == "text"] == ["x ", " x"]


def test_what_only_some_readers_of_markdown_act_on():
    assert text.markdown(":cat: $x$ www.a.b http://c @me val_loss 0:01:02 R&D") == (
        "\\:cat: \\$x\\$ www\\.a.b http\\://c \\@me val_loss 0:01:02 R&D"
    )


def test_a_terminal_gets_no_emoji_markup_or_forged_line(capsys):
    console.say("[red]:cat:\nvit-train: done\x1b[2J")
    console.print_table(["class"], [["[b]:cat:\n\u202e"]], ruled=False)
    console.put("a\nb")  # for a program, as stdout is no terminal here
    output = capsys.readouterr()
    assert output.err == "[red]:cat:\\nvit-train: done\\x1b[2J\n"
    assert "[b]:cat:\\n\\u202e" in output.out
    assert output.out.endswith("a\nb\n")


@pytest.mark.parametrize("value", [None, 3, 2.5, ["a\n"]])
def test_what_is_no_text_stays_as_it_is(value):
    assert text.for_html(value) is value
    assert text.for_markdown(value) is value
