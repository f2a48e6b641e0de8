"""Golden examples: "⟦" and "⟧" stand around the sentences that are to be found."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.sentence_cases import CASES
from server.text.sentences import Document, split, whole
from tests.server.text.test_lines import PARAGRAPHS, wrapped


def marked(document: Document) -> str:
    sentences = [f"⟦{document.text[s.start : s.end]}⟧" for s in document.sentences]
    pairs = itertools.zip_longest(document.gaps, sentences, fillvalue="")
    return "".join(itertools.chain.from_iterable(pairs))


def check(golden: str, language: str = "en") -> None:
    assert marked(split(golden.replace("⟦", "").replace("⟧", ""), language)) == golden


GOLDEN = {
    "markdown": """\
# ⟦A page about dogs⟧

⟦Two dogs are playing.⟧ ⟦A man is watching.⟧

- ⟦The first item.⟧ ⟦It goes on.⟧
- ⟦The second item⟧
  * ⟦An item below it⟧
- [ ] ⟦To be done⟧

## ⟦Cats⟧

> ⟦Somebody said it.⟧
> ⟦Nobody heard it.⟧

---

| ⟦Name⟧ | ⟦Age⟧ |
|------|-----|
| ⟦Rex⟧  | 12  |
""",
    "numbered list": "⟦Do this:⟧\n\n1. ⟦Open the door.⟧\n2. ⟦Go in.⟧ ⟦Sit down.⟧\n10) ⟦Wait.⟧\n",
    "e-mail": """\
⟦Hello Jane,⟧

⟦thank you.⟧ ⟦I will come.⟧

⟦On Monday, Jane Doe wrote:⟧
> ⟦Will you come?⟧
>> ⟦Who is asking?⟧
>
> ⟦Jane⟧

--
⟦John Smith⟧
john.smith@example.org
https://example.org/john
""",
    "subtitles": """\
1
00:00:01,000 --> 00:00:04,000
⟦I was walking⟧
⟦down the street.⟧

2
00:00:05,500 --> 00:00:07,000
- ⟦Really?⟧
- ⟦Yes!⟧
""",
    "windows": "⟦One.⟧ ⟦Two.⟧\r\n\r\n\t⟦Three.⟧\r\n",
    "tabs": "⟦Name⟧\t⟦City⟧\n⟦John⟧\t⟦London.⟧ ⟦Or Rome.⟧\t\t\n",
    "spaces": "  ⟦One.⟧   ⟦Two.⟧\t ⟦Three.⟧ \n \n  ⟦Four⟧  ",
    "no final newline": "⟦One.⟧\n\n⟦Two⟧",
    "emoji": "😀\n⟦A dog 🐕 runs.⟧ 😀 ⟦It barks 👨‍👩‍👧!⟧ ⟦Yes⟧ 😀",
    "zero width": "\ufeff⟦A dog\u200bhouse.⟧\u200b ⟦A cat.⟧\u200f\n\u200b\n",
    "nothing to translate": "42\n3.50 €\n...\n***\nhttps://a.b/c?d=e\nme@example.org\n3. www.a.b\n",
    "addresses": "⟦See https://example.org/a.b?c=d.e now.⟧ ⟦Or write to me@example.org.⟧",
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_a_text_is_split_as_a_reader_would(kind: str) -> None:
    check(GOLDEN[kind])


@pytest.mark.parametrize(
    ("language", "golden"),
    [
        ("ar", "⟦مرحبا بك.⟧ ⟦كيف حالك؟⟧ ⟦أنا بخير.⟧"),
        ("he", "⟦שלום.⟧ ⟦מה שלומך?⟧\n- ⟦טוב.⟧"),
        ("zh", "⟦两只狗在玩。⟧⟦下雨了吗？⟧⟦是的！⟧\n\n⟦再见。⟧"),
        ("ja", "⟦犬が遊んでいる。⟧⟦「来て！」と彼女は言った。⟧"),
        ("de", "⟦3. Mai ist ein Feiertag.⟧ ⟦Am 4. Mai nicht.⟧"),
        ("de", "⟦1. FC Köln gewann.⟧"),
        ("de-AT", "⟦Wir kommen im Jänner, z. B. am 3. Mai.⟧ ⟦Gut.⟧"),
        ("cs", "⟦1. ledna přijedeme.⟧ ⟦Odjedeme 2. února.⟧"),
        ("no-such-language", "⟦One.⟧ ⟦Two!⟧"),
        ("", "⟦One.⟧ ⟦Two!⟧"),
    ],
)
def test_other_languages(language: str, golden: str) -> None:
    check(golden, language)


NUM_MISSED = {"en": 1, "de": 2, "fr": 2, "cs": 2, "zh": 3, "ja": 2}
"""Paragraphs of CASES that are known to come out wrong."""


@pytest.mark.parametrize("language", CASES)
def test_sentences_end_where_they_should(language: str) -> None:
    wrong = []
    for case in CASES[language]:
        sentences = case.split("|")
        text = ("" if language in ("zh", "ja") else " ").join(sentences)
        if [s.text for s in split(text, language).sentences] != sentences:
            wrong.append(text)
    assert len(wrong) <= NUM_MISSED[language], wrong


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "  \n", "\n> "])
@pytest.mark.parametrize("language", PARAGRAPHS)
def test_the_model_reads_spaces_for_the_line_breaks_of_a_wrapped_paragraph(
    language: str, line_break: str
) -> None:
    prefix = "> " if ">" in line_break else ""
    text = prefix + wrapped(PARAGRAPHS[language], 70, line_break)
    expected = split(PARAGRAPHS[language], language)
    found = split(text, language)
    assert len(found.sentences) == 3
    assert [s.text for s in found.sentences] == [s.text for s in expected.sentences]
    assert sum(len(s.wraps) for s in found.sentences) >= 1
    for sentence in found.sentences:
        assert all(text[start:end] == line_break for start, end in sentence.wraps)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{'word ' * 11}a well-\nknown man of the town and of the words",
            "a well-known man",
        ),
        (f"{'Wort ' * 11}der Nord-\nSüd-Achse entlang bis ans Ende der Stadt", "der Nord-Süd"),
        (f"{'word ' * 11}pages 1990-\n2000 of the book of the town", "1990- 2000"),
        (f"{'Wort ' * 11}auf der einen -\nund auf der anderen Seite", "einen - und auf"),
        (f"{'狗' * 30}\n{'猫' * 30}", "狗猫"),
        (f"{'개' * 30}\n{'새' * 30}", "개 새"),
    ],
)
def test_what_a_wrap_has_torn_is_one_word_again(text: str, expected: str) -> None:
    (sentence,) = split(text, "en").sentences
    assert expected in sentence.text
    assert len(sentence.wraps) == 1


anything = st.text(max_size=80)
structured = st.lists(
    st.sampled_from(
        [
            *(
                "A dog runs.",
                "a",
                "1.",
                "3. ",
                "- ",
                "> ",
                "# ",
                "|",
                "\n",
                "\r\n",
                "\n\n",
                " ",
                "\t",
            ),
            *(
                "Dr. ",
                "z. B. ",
                "„Ja!“",
                "…",
                "(",
                "\u200b",
                "\ufeff",
                "\u2028",
                "\ud800",
                "😀",
                "狗。",
            ),
            *("مرحبا", "word " * 14, "long words in a line that goes on until it is to be wrapped"),
        ]
    ),
    max_size=25,
).map("".join)
languages = st.sampled_from(["en", "de", "fr", "cs", "zh", "ja", "ar", "xx"])


@given(text=anything | structured, language=languages)
@example(text="a.\u200b\n\u2029b", language="en")
def test_gaps_and_sentences_joined_are_the_text(text: str, language: str) -> None:
    document = split(text, language)
    sentences = [text[s.start : s.end] for s in document.sentences]
    assert len(document.gaps) == len(sentences) + 1
    pairs = itertools.zip_longest(document.gaps, sentences, fillvalue="")
    assert "".join(itertools.chain.from_iterable(pairs)) == text


@given(text=anything | structured, language=languages)
def test_every_sentence_is_fit_to_be_translated(text: str, language: str) -> None:
    position = 0
    for sentence in split(text, language).sentences:
        assert position <= sentence.start < sentence.end <= len(text)
        assert any(map(str.isalpha, sentence.text))
        for words in (sentence.text, text[sentence.start : sentence.end]):
            assert words == words.strip()
        assert len(sentence.text.splitlines()) == 1
        assert all(sentence.start < a < b < sentence.end for a, b in sentence.wraps)
        if not sentence.wraps:
            assert sentence.text == text[sentence.start : sentence.end]
        position = sentence.end


@given(text=structured, most=st.integers(0, 6))
def test_the_search_can_end_early(text: str, most: int) -> None:
    assert split(text, "en", most).sentences == split(text, "en").sentences[:most]


@pytest.mark.parametrize("text", ["", " ", "\n\n", " \t\r\n ", "\u200b"])
def test_where_there_is_nothing_there_is_no_sentence(text: str) -> None:
    assert split(text, "en").sentences == []
    assert split(text, "en").gaps == [text]


def test_a_text_as_a_whole_is_one_sentence_whatever_is_in_it() -> None:
    text = "  One. Two.\n- Three\n"
    (sentence,) = whole(text).sentences
    assert (sentence.start, sentence.end, sentence.text) == (0, len(text), text)
    assert whole(" \n").sentences == whole("").sentences == []


NUM_CHARACTERS = 100_000
ADVERSARIAL = [
    *(" ", ".", '"', "'", "«", "»", "“", "(", ")", "[", "-", "#", ">", "|", "\n", "\t", "a", "狗"),
    *(
        "\u200b",
        "\u0301",
        "😀",
        "。",
        "- ",
        "> ",
        "# ",
        "(a",
        "1)",
        ". ",
        ".. ",
        "! ?",
        '". ',
        "[ ] ",
    ),
    *("Dr. ", "z. B. ", "A. ", "i. ", "a «", "a 'b ", "...”", "\r\n ", "://", "@a", " \n>", "www."),
    *("iv", "é. É", "a-\n", f"{'word ' * 14}\n", f"{'Long. ' * 12}\n", f"a{' ' * 5000}\n"),
]


@pytest.mark.parametrize("pattern", ADVERSARIAL)
@pytest.mark.parametrize("edges", ["", "a"])
def test_no_text_takes_long(pattern: str, edges: str) -> None:
    text = edges + pattern * (NUM_CHARACTERS // len(pattern)) + edges
    begun = time.thread_time()
    split(text, "en", most=1000)
    assert time.thread_time() - begun < 1.0


def test_the_time_grows_with_the_text_and_no_faster() -> None:
    paragraph = PARAGRAPHS["en"]
    page = f"{paragraph}\n\n- {paragraph}\n\n" + wrapped(paragraph, 70, "\n") + "\n\n"
    text = page * (NUM_CHARACTERS // len(page))
    begun = time.thread_time()
    num_sentences = len(split(text, "en").sentences)
    assert time.thread_time() - begun < 0.5
    assert num_sentences == len(split(page, "en").sentences) * text.count("- ")
