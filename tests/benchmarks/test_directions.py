from __future__ import annotations

from benchmarks.directions import Figures, markdown


def figures(direction: str, beam_size: int, bleu: float) -> Figures:
    return Figures(direction, beam_size, bleu, bleu + 20, bleu + 0.5, "b", "c")


def test_the_table_has_a_row_a_direction_and_three_columns_a_beam() -> None:
    rows = [figures("en-de", 1, 38.0), figures("en-de", 5, 38.8)]
    rows += [figures("de-cs", 1, 25.123), figures("de-cs", 5, 26.0)]
    head, rule, first, second = markdown(rows, [1, 5]).splitlines()
    columns = "greedy: BLEU | chrF | paper BLEU | beam 5: BLEU | chrF | paper BLEU"
    assert head == f"| direction | {columns} | papers |"
    assert head.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert first == "| en-de | 38.00 | 58.00 | 38.50 | 38.80 | 58.80 | 39.30 | 41.02 |"
    assert second.endswith("| 26.00 | 46.00 | 26.50 |  |")
