"""Which line breaks are wraps: "⏎" marks those that stand for a space, "|" the edges of flows."""

from __future__ import annotations

import re
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.text.lines import MAX_COLUMNS, MIN_COLUMNS, find_flows


def marked(text: str) -> str:
    """`text` with its flows marked."""
    result, position = "", 0
    for flow in find_flows(text):
        result += text[position : flow.start] + "|"
        position = flow.start
        for start, end in flow.wraps:
            result += text[position:start] + "⏎" + text[start:end]
            position = end
        result += text[position : flow.end] + "|"
        position = flow.end
    return result + text[position:]


def check(golden: str) -> None:
    assert marked(golden.replace("⏎", "").replace("|", "")) == golden


PARAGRAPHS = {
    "en": "The two dogs that had been playing in the park since the early morning were tired now."
    " Their owner, a tall man with a red hat, called them. Then they all went home together, as the"
    " sun was going down behind the houses, and slept.",
    "de": "Die beiden Hunde, die seit dem frühen Morgen im Park gespielt hatten, waren nun müde."
    " Ihr Besitzer, ein großer Mann mit einem roten Hut, rief sie. Dann gingen sie alle nach Hause,"
    " während die Sonne hinter den Häusern unterging, und schliefen.",
    "fr": "Les deux chiens qui jouaient dans le parc depuis le petit matin étaient fatigués. Leur"
    " maître, un grand homme au chapeau rouge, les appela. Puis ils rentrèrent tous ensemble,"
    " pendant que le soleil se couchait derrière les maisons, et dormirent.",
    "cs": "Oba psi, kteří si hráli v parku už od časného rána, byli teď unavení. Jejich pán,"
    " vysoký muž s červeným kloboukem, je zavolal. Potom šli všichni společně domů, zatímco slunce"
    " zapadalo za domy, a spali.",
}


def wrapped(text: str, width: int, line_break: str = "⏎\n") -> str:
    return line_break.join(textwrap.wrap(text, width, break_on_hyphens=False))


@pytest.mark.parametrize("width", [60, 66, 72, 79, 100])
@pytest.mark.parametrize("language", PARAGRAPHS)
def test_a_wrapped_paragraph_is_one_flow(language: str, width: int) -> None:
    text = PARAGRAPHS[language]
    check(f"|{wrapped(text, width)}|\n")
    check(f"|{wrapped(text, width)}|\n\n|{wrapped(text, width)}|")
    check("|" + wrapped(text, width, "⏎\r\n") + "|\r\n")
    check("> |" + wrapped(text, width, "⏎\n> ") + "|\n>\n> |Yes.|\n")


@pytest.mark.parametrize(
    "golden",
    [
        """\
|从清晨起就一直在公园里玩耍的两只狗现在已经非常累了。它们的⏎
主人是一个戴着红帽子的高个子男人，他叫了它们一声，然后就带着⏎
它们回家了。|
""",
        """\
|早朝からずっと公園で遊んでいた二匹の犬は、もうすっかり疲れて⏎
しまった。赤い帽子をかぶった背の高い飼い主は、犬たちを呼ぶと⏎
家に帰った。|
""",
        """\
|이른 아침부터 공원에서 놀고 있던 두 마리의 개는 이제 매우 지쳐⏎
있었다. 빨간 모자를 쓴 키가 큰 주인은 개들을 불러서 집으로 함께⏎
돌아갔다.|
""",
    ],
)
def test_east_asian_paragraphs_are_measured_in_columns(golden: str) -> None:
    check(golden)


words = st.text("abcdefghijklmnop", min_size=1, max_size=9)


@given(text=st.lists(words, min_size=60, max_size=120).map(" ".join), width=st.integers(60, 119))
def test_whatever_was_wrapped_is_one_flow(text: str, width: int) -> None:
    check(f"|{wrapped(text, width)}|")


LINES = {
    "address": "|John Smith|\n|12 Baker Street|\n|London NW1|\n|United Kingdom|\n",
    "poem": """\
|Die Mitternacht zog näher schon;|
|In stummer Ruh lag Babylon.|
|Nur oben in des Königs Schloss,|
|Da flackert's, da lärmt des Königs Tross.|
""",
    "verse of long lines": """\
|Demain, dès l'aube, à l'heure où blanchit la campagne,|
|Je partirai. Vois-tu, je sais que tu m'attends encor.|
|J'irai par la forêt, j'irai par la montagne, tout seul.|
|Je ne puis demeurer loin de toi plus longtemps, enfin.|
""",
    "subtitles": "|I was walking down|\n|the street when it rained.|\n\n|- Really?|\n".replace(
        "|- ", "- |"
    ),
    "headlines of unlike length": """\
|The city council has decided on a new plan for parks|
|Two dogs|
|The weather will be much better next week, says the office for weather|
""",
    "paragraphs of one line each": f"|{'long ' * 60}end.|\n|{'longer ' * 70}end.|\n|Short one.|\n",
    "things": "|A list of things that somebody wants to have|\n|apples|\n|pears|\n",
}


@pytest.mark.parametrize("kind", LINES)
def test_lines_that_end_where_they_are_meant_to_stay_apart(kind: str) -> None:
    check(LINES[kind])


@pytest.mark.parametrize("indent", ["", "  ", "    "])
def test_a_paragraph_may_follow_without_a_blank_line_and_begin_indented(indent: str) -> None:
    first = wrapped(indent + PARAGRAPHS["en"], 72)
    check(f"{indent}|{first.lstrip()}|\n" * 3)


def test_quoted_lines_are_wrapped_among_themselves() -> None:
    check("""\
|On Monday, Jane wrote:|
> |I think that we should meet before the weekend and talk about the⏎
> garden, the dogs and the rest of it.|
>
> |Jane|
>> |What do you think of the plan that I sent to you and to the others⏎
>> last week?|
|Yes.|
""")


def test_items_of_a_list_are_flows_of_their_own_and_may_be_wrapped() -> None:
    check("""\
- |The first item of this list is so long that it had to be wrapped by⏎
  somebody who cares.|
- |The second item of this list is so long that it had to be wrapped by⏎
somebody who does not.|
* |short|
""")


@pytest.mark.parametrize(
    "line",
    [
        "- |item|",
        "* |item|",
        "+ |item|",
        "• |item|",
        "•|item|",
        "  - |item|",
        "\t‣ |item|",
        "- - |item|",
        "– |item|",
        "— |Bonjour.|",
        "1) |item|",
        "(12) |item|",
        "a) |item|",
        "(b) |item|",
        "iv) |item|",
        "- [ ] |item|",
        "* [x] |item|",
        "# |Heading|",
        "###### |Heading|",
        "> |quoted|",
        ">|quoted|",
        ">> |quoted|",
        "> > |quoted|",
        "> - |item|",
        "> # |Heading|",
        "   |indented|   ",
        # No markers.
        "|-item|",
        "|*emphasis* it is|",
        "|**bold**|",
        "|#tag|",
        "|####### seven|",
        "|1.5 metres|",
        "|1000. Mal|",
        "|3. Mai|",
        "|1. FC Köln|",
        "|(see there)|",
        "|did) that|",
    ],
)
def test_markers_are_no_part_of_a_flow(line: str) -> None:
    check(line)
    check(f"{line}\n\n{line}\n")


def test_numbers_are_markers_where_they_count() -> None:
    check("1. |Open it.|\n2. |Close it.|\n\n  9. |nine|\n  10. |ten|\n\n|7. of May|\n")
    check("3. |three|\n|x|\n4. |four|\n")
    check("|3. three|\n|x|\n|5. five|\n")


def test_a_dash_begins_speech_but_no_line_in_the_middle_of_a_sentence() -> None:
    check("— |Viens !|\n— |Non.|\n")
    check("""\
|The dogs that had been playing in the park since the early morning – there⏎
– were tired now, and their owner, a tall man with a hat, called them.|
""")


def test_a_heading_and_a_row_go_on_in_no_line() -> None:
    long = "words that make this line as long as a line of a wrapped paragraph is"
    check(f"# |{long}|\n|{long}|\n")
    check(f"|{long}|\n|a|\t|{long}|\n|{long}|\n")


def test_cells_of_tables_are_flows() -> None:
    text = "| Name | Age |\n|------|:---:|\n| John | old |\n"
    assert [text[f.start : f.end].strip() for f in find_flows(text)] == [
        "Name",
        "Age",
        "John",
        "old",
    ]
    check("|Name|\t|Age|\t\t|City|\n|John|\t|old|\t\t|London|\n")


def test_lines_without_letters_are_in_no_flow_and_part_paragraphs() -> None:
    wide = "words that make this line as long as a line of a wrapped paragraph is"
    check(f"|{wide}|\n=====\n|{wide}|\n---\n* * *\n1\n00:00:01,000 --> 00:00:02,000\n|Hi.|\n")


@pytest.mark.parametrize(
    ("width", "is_wrapped"),
    [(MIN_COLUMNS - 1, False), (MIN_COLUMNS, True), (MAX_COLUMNS, True), (MAX_COLUMNS + 1, False)],
)
def test_columns_of_a_wrapped_paragraph(width: int, is_wrapped: bool) -> None:
    line = ("word " * 30)[: width - 1].rstrip().ljust(width, "x")
    check(f"|{line}{'⏎' if is_wrapped else '|'}\n{'' if is_wrapped else '|'}and more|\n")


def test_a_word_that_would_have_fitted_was_not_wrapped() -> None:
    first, second = "word " * 11 + "words", "word " * 12 + "word"  # 60 and 64 columns
    check(f"|{first}⏎\nfour {second[5:]}⏎\nend|\n")
    check(f"|{first}|\n|own {second[4:]}|\n|end|\n")


def test_an_address_of_the_web_on_a_line_of_its_own_is_no_measure() -> None:
    check(f"""\
|The two dogs that had been playing in the park since the early morning⏎
https://example.org/{"a" * 90}⏎
were tired now, and their owner went home with them and they all slept,⏎
as it was late.|
""")


def test_a_deeper_indentation_begins_a_paragraph() -> None:
    check(f"""\
|{"word " * 13}word|
  |{"word " * 13}word⏎
  {"word " * 13}word|
    |{"word " * 13}word|
""")


def test_an_east_asian_line_is_full_to_the_last_character_but_two() -> None:
    check(f"|{'狗' * 28}⏎\n{'猫' * 30}⏎\n{'鸟' * 29}⏎\n鱼|")
    check(f"|{'狗' * 26}|\n|{'猫' * 30}|\n|{'鸟' * 29}|\n|鱼|")


@pytest.mark.parametrize("line_break", ["\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_every_line_break_of_unicode_is_one(line_break: str) -> None:
    check(f"|one|{line_break}|two|")
    check(f"|{'word ' * 12}word⏎{line_break}{'word ' * 5}word|")
    check(f"|{'word ' * 12}word|{line_break}{line_break}|{'word ' * 5}word|")


@given(st.text("aB .-#>1)\t|•\n\r—é狗[x]", max_size=60) | st.text(max_size=40))
def test_flows_come_in_order_and_between_them_are_markers(text: str) -> None:
    position, between = 0, []
    for flow in find_flows(text):
        assert position <= flow.start < flow.end <= len(text)
        edges = [flow.start, *(edge for wrap in flow.wraps for edge in wrap), flow.end]
        assert edges == sorted(edges)
        between.append(text[position : flow.start])
        position = flow.end
    for gap in [*between, text[position:]]:
        assert not re.search(r"[^\W\d_]{6}", gap)
