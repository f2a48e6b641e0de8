"""What a notebook shows of a translation."""

from xml.etree import ElementTree

from attendant import Alignment, FinishReason, Hypothesis, TokenLink, Translation

SVG = "{http://www.w3.org/2000/svg}"
ALIGNMENT = Alignment(
    source_tokens=("<2de>", "▁A", "▁dog", "</s>"),
    target_tokens=("▁Ein", "▁Hund", "</s>"),
    links=(TokenLink(1, 0, 0.75), TokenLink(2, 1, 0.5), TokenLink(3, 2, 0.001)),
    words="0-0 1-1",
)


def translation(text: str = "Ein Hund", refusal: str = "", is_aligned: bool = True) -> Translation:
    best = Hypothesis(text, FinishReason.STOP, alignment=ALIGNMENT if is_aligned else None)
    return Translation(text, FinishReason.STOP, 4, 3, hypotheses=(best,), refusal=refusal)


def drawing(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html[html.index("<svg") :])


def test_a_line_leads_from_each_token_to_the_one_it_attends_to() -> None:
    picture = drawing(translation()._repr_html_())
    places = {text.text: (text.get("x"), text.get("y")) for text in picture.iter(f"{SVG}text")}
    assert set(places) == {"<2de>", "▁A", "▁dog", "</s>", "▁Ein", "▁Hund"}
    lines = list(picture.iter(f"{SVG}line"))
    assert [line.get("opacity") for line in lines] == ["0.75", "0.50", "0.08"]
    assert (lines[0].get("x1"), lines[0].get("x2")) == (places["▁A"][0], places["▁Ein"][0])
    assert (lines[1].get("x1"), lines[1].get("x2")) == (places["▁dog"][0], places["▁Hund"][0])
    assert float(lines[0].get("y1") or 0) < float(lines[0].get("y2") or 0)
    assert max(float(x or 0) for x, _ in places.values()) < float(picture.get("width") or 0)


def test_without_an_alignment_there_is_the_text() -> None:
    html = translation(is_aligned=False)._repr_html_()
    assert html == '<div style="white-space: pre-wrap">Ein Hund</div>'
    assert Translation("x", FinishReason.STOP, 1, 1)._repr_html_().count("x</div>") == 1


def test_a_text_is_no_markup() -> None:
    html = translation("<script>alert(1)</script>")._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in translation(refusal="texts[0]: <b>")._repr_html_()
