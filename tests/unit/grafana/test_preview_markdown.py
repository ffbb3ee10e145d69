"""Markdown of a board's text panels."""

from stakewatch.grafana.preview.markdown import html


def test_paragraphs_tables_and_lists_are_told_apart() -> None:
    text = "One\ntwo.\n\n| a | b |\n|---|:-:|\n| 1 | **2** |\n\n- first\n- second\n\n## Head\nbody"
    assert html(text) == (
        "<p>One\ntwo.</p>\n"
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td><b>2</b></td></tr></table>\n"
        "<ul><li>first</li><li>second</li></ul>\n"
        "<h4>Head</h4><p>body</p>"
    )


def test_numbered_lines_are_a_list_in_their_order() -> None:
    assert html("Do:\n\n1. **Stop**\n2. Look\n\n1. One\nand no more") == (
        "<p>Do:</p>\n<ol><li><b>Stop</b></li><li>Look</li></ol>\n<p>1. One\nand no more</p>"
    )


def test_words_may_be_bold_code_or_a_link() -> None:
    assert html("**a** `b` [c](https://d/e?f=1&g=2)") == (
        '<p><b>a</b> <code>b</code> <a href="https://d/e?f=1&amp;g=2">c</a></p>'
    )


def test_what_is_no_markdown_is_shown_as_it_stands() -> None:
    assert html('<script>"x"</script> [a](javascript:alert(1)) [b](https://"onx)') == (
        "<p>&lt;script&gt;&#34;x&#34;&lt;/script&gt; [a](javascript:alert(1)) "
        '<a href="https://&#34;onx">b</a></p>'
    )
    assert html("") == html("\n \n") == ""
    assert html("| not a table\nreally") == "<p>| not a table\nreally</p>"
