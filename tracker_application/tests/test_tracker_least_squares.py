"""Least squares finds the minimum of functions whose minimum is known."""

from __future__ import annotations

import numpy as np

from tracker.arrays import Floats
from tracker.least_squares import minimize


def test_a_straight_line_is_fitted_at_once() -> None:
    x = np.arange(10.0)
    design = np.column_stack([np.ones(10), x])
    noise = np.random.default_rng(0).normal(0, 0.1, 10)
    seen = 3 - 2 * x + noise
    found = minimize(lambda unknown: design @ unknown - seen, lambda _: design, np.zeros(2))
    np.testing.assert_allclose(found.unknown, np.polyfit(x, seen, 1)[::-1], rtol=1e-8)


def test_unknowns_of_different_units_are_found() -> None:
    times = np.linspace(0, 2, 50)

    def residuals(unknown: Floats) -> Floats:
        return 1e6 * unknown[0] * np.exp(-unknown[1] * times) - 5 * np.exp(-3 * times)

    def jacobian(unknown: Floats) -> Floats:
        falling = np.exp(-unknown[1] * times)
        return np.column_stack([1e6 * falling, -1e6 * unknown[0] * times * falling])

    found = minimize(residuals, jacobian, np.array([1e-6, 1.0]))
    np.testing.assert_allclose(found.unknown, [5e-6, 3], rtol=1e-6)
    assert found.cost < 1e-12


def test_a_curved_valley_is_followed_to_its_end() -> None:
    found = minimize(
        lambda at: np.array([10 * (at[1] - at[0] ** 2), 1 - at[0]]),
        lambda at: np.array([[-20 * at[0], 10], [-1, 0]]),
        np.array([-1.2, 1.0]),
    )
    np.testing.assert_allclose(found.unknown, [1, 1], atol=1e-8)


def test_an_unknown_without_influence_stays_as_it_is() -> None:
    found = minimize(lambda at: at[:1] - 4, lambda _: np.array([[1.0, 0.0]]), np.array([1.0, 7.0]))
    np.testing.assert_allclose(found.unknown, [4, 7])
