from dataclasses import replace
from decimal import Decimal

import pytest

from destinations.costs import Costs, costs_of
from tests.destinations.fixture import error_variant, fixture_span, hostile


def test_the_parts_are_exact_and_sum_up_to_the_total():
    costs = costs_of(fixture_span())
    assert (costs.input, costs.output, costs.total) == (0.000111, 0.000222, 0.000333)
    assert costs.details == {
        "input": 0.000024,
        "cache_read": 0.0000768,
        "cache_write": 0.0000102,
        "output": 0.0001332,
        "reasoning": 0.0000888,
    }


def test_unknown_is_not_zero():
    assert costs_of(error_variant().span) == Costs()
    assert costs_of(replace(fixture_span(), cost=0, cost_lines=(), cost_status="free")).total == 0.0


def test_a_providers_own_figure_has_no_parts_of_ours():
    costs = costs_of(replace(fixture_span(), cost=500_000_000, cost_status="reported"))
    assert costs == Costs(total=0.0005)


def test_a_part_below_a_pico_dollar_does_not_matter():
    lines = ({"unit": "input", "quantity": 1, "cost_usd": "0.0000000000004"},)
    assert costs_of(replace(fixture_span(), cost=0, cost_lines=lines)).input == 4e-13


def test_what_is_neither_input_nor_output_is_in_the_total_alone():
    lines = (*fixture_span().cost_lines, {"unit": "web", "quantity": 1, "usd_each": "0.01", "cost_usd": "0.01"})
    costs = costs_of(replace(fixture_span(), cost=10_333_000_000, cost_lines=lines))
    assert (costs.input, costs.output, costs.total) == (0.000111, 0.000222, 0.010333)
    assert costs.details["web"] == 0.01


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1e99", "1e999", "x", "", None, 7, "9" * 10_000])
def test_a_line_that_is_none_is_passed_over(text):
    span = replace(fixture_span(), cost=5, cost_lines=({"unit": "input", "cost_usd": text}, {}))
    assert costs_of(span) == Costs(total=float(Decimal(5) / 10**12))


def test_hostile_spans_have_costs():
    for parcel in hostile():
        costs_of(parcel.span)
