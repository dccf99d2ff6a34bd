"""Dates to stable connectivity, matrices of pairs, and clusters of seeds."""

from itertools import permutations as every_order
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import spectral_clustering
from sklearn.metrics import adjusted_rand_score, silhouette_score

from landscape.stages.association import by_seed, clusters, matrices, permutations, power
from landscape.stages.association.clusters import by_cluster, divide, frozen
from landscape.stages.events import onsets

STEPS = np.array([0, 4, 16, 64, 256.0])
X = np.log1p(STEPS)


def all_orders(seeds: int) -> np.ndarray:
    return np.array(list(every_order(range(seeds))))


def p_of(statistics: np.ndarray) -> float:
    return float(np.mean(statistics >= statistics[0] - 1e-9))


def left(y: np.ndarray, *x: np.ndarray) -> np.ndarray:
    """Residuals of a regression of y on x and a constant."""
    design = np.column_stack([np.ones(len(y)), *x])
    return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]


def symmetric(values: np.ndarray) -> np.ndarray:
    upper = np.triu(values, 1)
    return upper + upper.T


def test_stable_connectivity_begins_where_the_line_crosses_the_threshold_for_good() -> None:
    draws = np.array([
        [0.9, 0.5, 0.1, 0.02, 0.01],  # between 16 and 64
        [0.04, 0.03, 0.02, 0.01, 0.0],  # always
        [0.9, 0.9, 0.8, 0.7, 0.6],  # never
        [0.9, 0.01, 0.4, 0.02, 0.01],  # touches and leaves: pooled to 0.205 at 4 and 16
        [0.05, 0.04, 0.03, 0.02, 0.01],  # on it from the start
    ])
    event = onsets.stable(X, draws, 0.05)
    first = X[2] + (0.1 - 0.05) / (0.1 - 0.02) * (X[3] - X[2])
    last = X[2] + (0.205 - 0.05) / (0.205 - 0.02) * (X[3] - X[2])
    np.testing.assert_allclose(event.at, [first, -np.inf, np.inf, last, -np.inf])


def test_branches_are_resampled_and_the_pairs_of_a_step_err_together() -> None:
    """Four branches: a pair counts as often as both are drawn; all of them do where one branch alone was."""
    random = np.random.default_rng(2)
    branches = np.array([(a, b) for a in range(4) for b in range(a)])
    values = np.array([0.2, 0.5, 0.85, 0.3, 0.75, 0.41])
    draws = onsets.resampled([(values, np.full(6, np.nan), branches)], 30_000, random)[:, 0]
    means = []
    for draw in product(range(4), repeat=4):
        chosen = [values[k] for k, (a, b) in enumerate(branches) for i in draw for j in draw if (i, j) == (a, b)]
        means.append(np.mean(chosen or values))
    error = np.std(means) / np.sqrt(30_000)
    assert abs(draws.mean() - np.mean(means)) < 4 * error < 0.005
    assert draws.std() == pytest.approx(np.std(means), rel=0.02)
    for count in (1, 6):  # two branches make one pair, with the error of the examples alone
        same = onsets.resampled([(np.full(count, 0.3), np.full(count, 0.05), branches[:count])], 20_000, random)[:, 0]
        assert same.std() == pytest.approx(0.05, rel=0.03)


def test_mantel_is_its_definition() -> None:
    """Spearman's correlation over the pairs in every order, with ties; its interval is the jackknife's."""
    random = np.random.default_rng(3)
    a, b = (symmetric(random.integers(1, 9, (5, 5)) / 7) for _ in range(2))
    found = matrices.mantel(a, b, permutations.orders(5, 9, random))
    upper = np.triu_indices(5, 1)
    every = [stats.spearmanr(a[upper], b[np.ix_(order, order)][upper]).statistic for order in all_orders(5)]
    np.testing.assert_allclose(found.statistics, every, atol=1e-12)
    assert found.p == p_of(np.array(every))
    a = symmetric(random.random((9, 9)) ** 2)
    b, few = a + symmetric(random.random((9, 9))), np.triu_indices(8, 1)
    found = matrices.mantel(a, b, permutations.orders(9, 99, random))
    rest = [[k for k in range(9) if k != i] for i in range(9)]
    left_out = [stats.spearmanr(a[np.ix_(k, k)][few], b[np.ix_(k, k)][few]).statistic for k in rest]
    half = stats.t.ppf(0.975, 8) * np.sqrt(8 / 9 * ((left_out - np.mean(left_out)) ** 2).sum())
    assert (found.low, found.high) == pytest.approx((found.effect - half, found.effect + half)) and found.high < 1


def test_a_score_given_the_loss_is_composed_again_in_every_permutation() -> None:
    """The naive definition: residuals about a parabola are permuted; differences are computed and regressed again."""
    random = np.random.default_rng(4)
    loss = random.standard_normal(6)
    a, score = symmetric(random.random((6, 6))), loss + 0.4 * random.standard_normal(6)
    found = matrices.given_loss(a, score, loss, permutations.orders(6, 9, random))
    upper = np.triu_indices(6, 1)
    fit = np.polyval(np.polyfit(loss, score, 2), loss)
    apart = np.abs(loss[:, None] - loss)[upper]
    every = []
    for order in all_orders(6):
        again = fit + (score - fit)[order]
        every.append(np.corrcoef(left(a[upper], apart), left(np.abs(again[:, None] - again)[upper], apart))[0, 1])
    np.testing.assert_allclose(found.statistics, every, atol=1e-10)
    assert found.p == p_of(np.array(every)) and np.isnan([found.low, found.high]).all()


def test_a_cubic_of_the_loss_explains_nothing_of_twelve_seeds() -> None:
    """A score that is a cubic of the loss has no residuals: all orders are the same to rounding."""
    random = np.random.default_rng(24)
    loss = random.standard_normal(12)
    a, score = symmetric(random.random((12, 12))), loss**3 - loss
    found = matrices.given_loss(a, score, loss, permutations.orders(12, 99, random))
    assert found.statistics is not None and np.ptp(found.statistics) < 1e-9
    other = matrices.given_loss(a, score + loss**4, loss, permutations.orders(12, 99, random))
    assert other.statistics is not None and np.ptp(other.statistics) > 0.01


def test_distances_given_the_loss_move_neighbours_only() -> None:
    """Ten seeds on a line: no arrangement moves a seed by more than one place in the loss, and either half moves."""
    random = np.random.default_rng(25)
    loss = random.standard_normal(10)
    orders = matrices._neighbours(loss, 400, random)
    place = np.argsort(np.argsort(loss))
    moved = place[orders] - place
    assert np.abs(moved).max() == 1 and not moved[0].any() and (np.sort(orders, axis=1) == np.arange(10)).all()
    exchanged = {tuple(sorted(place[[i, k]])) for order in orders for i, k in enumerate(order) if i != k}
    assert exchanged == {(k, k + 1) for k in range(9)}
    for seeds in (9, 10):
        value = random.standard_normal(seeds)
        a, b = (
            np.abs(loss[:seeds, None] - loss[:seeds]) + symmetric(random.random((seeds, seeds))),
            np.abs(value[:, None] - value),
        )
        found = matrices.distances_given_loss(a, b, loss[:seeds], 999, random)
        upper = np.triu_indices(seeds, 1)
        d, t = np.abs(loss[:seeds, None] - loss[:seeds])[upper], (loss[:seeds, None] + loss[:seeds])[upper]
        want = np.corrcoef(left(a[upper], d, d**2, t, t**2), left(b[upper], d, d**2, t, t**2))[0, 1]
        assert found.effect == pytest.approx(want) and found.p >= 1 / 32


def test_distances_of_scores() -> None:
    np.testing.assert_array_equal(matrices.differences(np.array([1.0, 4.0, 2.0]))[0], [0, 3, 1])


@pytest.mark.parametrize("world", [1, 8, "six pairs"])
def test_division_is_scikit_learns(world: int | str) -> None:
    """Two clouds that narrower or wider affinities divide otherwise, and as many clusters as are tried."""
    random = np.random.default_rng(world if isinstance(world, int) else 0)
    points = random.standard_normal((9, 3))
    if world == "six pairs":
        points = np.repeat(3 * random.standard_normal((6, 4)), 2, axis=0) + 0.3 * random.standard_normal((12, 4))
    barriers = squareform(pdist(points))
    scale = np.median(pdist(points))
    affinity = np.maximum(np.exp(-(barriers**2) / (2 * scale**2)), 1e-6)
    scores = {
        k: silhouette_score(barriers, labels, metric="precomputed")
        for k in range(2, 7)
        for labels in [spectral_clustering(affinity, n_clusters=k, assign_labels="cluster_qr", random_state=0)]
        if 1 < len(set(labels)) < len(points)
    }
    labels, score = divide(barriers)
    assert score == pytest.approx(max(scores.values()))
    assert score == pytest.approx(silhouette_score(barriers, labels, metric="precomputed"))
    assert max(scores, key=lambda k: scores[k]) == 6 or world != "six pairs"


def test_many_worlds_at_once_are_those_worlds_one_by_one() -> None:
    random = np.random.default_rng(15)
    x, y = random.standard_normal((2, 4, 6, 9))
    y[3] = -x[3]  # the means over seeds go against each other
    orders = permutations.orders(6, 20, random)
    likeness = by_seed.likeness(x, y)
    swapped = by_seed.swapped(likeness, orders)
    apart = [np.stack([squareform(pdist(world)) for world in one]) for one in (x, y)]
    along = matrices.statistics(*apart, orders)
    barriers = np.concatenate([apart[0], np.zeros((1, 6, 6))])
    labels, scores = divide(barriers)
    for n in range(4):
        np.testing.assert_allclose(likeness[n], by_seed.likeness(x[n], y[n]), atol=1e-12)
        np.testing.assert_allclose(swapped[n], by_seed.swapped(likeness[n], orders), atol=1e-12)
        np.testing.assert_allclose(along[n], matrices.statistics(apart[0][n], apart[1][n], orders), atol=1e-12)
        assert permutations.p_values(along)[n] == permutations.p_value(along[n])
        alone = divide(barriers[n])
        assert adjusted_rand_score(labels[n], alone[0]) == 1 and scores[n] == pytest.approx(alone[1])
    assert np.trace(likeness[3]) > 5.9 and scores[4] == -1 and not labels[4].any()


@pytest.mark.parametrize("world", [0, 8, 15])  # each kind of matrix gives the largest in one of them
def test_clusters_are_compared_with_matrices_without_any(world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The p value is the largest of three: of permuted pairs, of sums of effects of seeds, and of a cloud of points.

    The sums by their closed form, and the cloud by the points that the barriers are distances of.
    """
    monkeypatch.setattr(clusters, "NULLS", 29)
    monkeypatch.setattr(clusters, "LEVEL", 1.0)
    points = np.random.default_rng(world).standard_normal((7, 2)) * [2.5, 0.6]
    points[:4, 0] += 2.0
    barriers, random = squareform(pdist(points)), np.random.default_rng(world)
    found = clusters.clusters(barriers, np.random.default_rng(world))
    values = barriers[np.triu_indices(7, 1)]
    own = (barriers.sum(axis=0) - values.sum() / 6) / 5
    base = np.add.outer(own, own)[np.triu_indices(7, 1)]
    wide = np.sqrt(21 / (21 - 7)) * (values - base)
    deviations = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)[::-1] / np.sqrt(6)
    best, p = divide(barriers)[1], []
    for make in (
        lambda: random.permutation(values),
        lambda: np.clip(base + random.permutation(wide), 0, None),
        lambda: pdist(random.standard_normal((7, 2)) * deviations),
    ):
        scores = [float(divide(squareform(make()))[1]) for _ in range(29)]
        p.append((1 + sum(score >= best - 1e-9 for score in scores)) / 30)
    assert found.p == pytest.approx(max(p)) and found.silhouette == pytest.approx(float(best))


@pytest.mark.slow
@pytest.mark.parametrize("world", ["alike", "tall seeds", "a cloud"])
def test_no_clusters_are_seen_where_there_are_none(world: str) -> None:
    random = np.random.default_rng(6)
    found = 0
    for _ in range(40):
        if world == "alike":
            barriers = symmetric(0.5 + 0.1 * random.random((8, 8)))
        elif world == "tall seeds":
            own = random.random(8)
            barriers = symmetric(own[:, None] + own[None] + 0.1 * random.random((8, 8)))
        else:
            barriers = squareform(pdist(random.standard_normal((8, 3))))
        found += clusters.clusters(barriers, random).labels.any()
    assert found / 40 <= 0.08


@pytest.mark.parametrize(("seeds", "groups"), [(10, 2), (12, 3)])
def test_planted_clusters_are_found(seeds: int, groups: int) -> None:
    random = np.random.default_rng(7)
    planted = random.permutation(np.arange(seeds) % groups)
    barriers = symmetric(0.2 + 0.6 * (planted[:, None] != planted[None]) + 0.1 * random.random((seeds, seeds)))
    found = clusters.clusters(barriers, random)
    assert adjusted_rand_score(planted, found.labels) == 1 and found.labels[0] == 0 and found.p <= 0.05


def test_no_barrier_at_all_is_one_cluster() -> None:
    assert not clusters.clusters(np.zeros((6, 6)), np.random.default_rng(0)).labels.any()


def test_freezing_is_the_first_step_from_which_nothing_moves() -> None:
    last = np.array([0, 0, 1, 1, 1])
    same = np.array([1, 1, 0, 0, 0])
    other = np.array([0, 1, 1, 1, 1])
    agreement, step = frozen([last, other, same, last])
    assert step == 2 and agreement[[0, 2, 3]].tolist() == [1, 1, 1]
    assert agreement[1] == pytest.approx(adjusted_rand_score(last, other))
    assert frozen([other, np.zeros(5, int)])[1] is None
    assert frozen([other, last, other, same])[1] == 3 and frozen([same, last])[1] == 0


@pytest.mark.parametrize("adjusted", [False, True])
def test_behaviour_by_cluster_is_the_share_of_variance_and_its_exact_test(adjusted: bool) -> None:
    """Score and clusters are residualised on the loss; residuals of the score are permuted and residualised again."""
    random = np.random.default_rng(8)
    labels, loss = np.array([0, 2, 1, 1, 0, 2]), random.standard_normal(6)
    values = labels % 2 + loss + random.standard_normal(6)
    orders = permutations.orders(6, 9, random)
    fixed = [loss] if adjusted else []
    groups = [(labels == k).astype(float) for k in (1, 2)]
    found = by_cluster(labels, values, orders, *fixed)

    def share(v: np.ndarray) -> float:
        return float(1 - (left(v, *fixed, *groups) ** 2).sum() / (left(v, *fixed) ** 2).sum())

    every = np.array([share(left(values, *fixed)[order]) for order in all_orders(6)])
    np.testing.assert_allclose(found.statistics, every, atol=1e-12)
    assert found.effect == pytest.approx(share(values)) and found.p == p_of(every)


@pytest.mark.slow
def test_a_cluster_that_is_only_associated_with_the_loss_is_adjusted_away() -> None:
    """The score follows the loss, and the loss the clusters: with the loss held fixed there is no association."""
    random = np.random.default_rng(9)
    labels = np.arange(12) % 2
    orders = permutations.orders(12, 499, random)
    raw, adjusted = [], []
    for _ in range(400):
        loss = labels + 0.5 * random.standard_normal(12)
        score = loss + 0.3 * random.standard_normal(12)
        raw.append(by_cluster(labels, score, orders).p)
        adjusted.append(by_cluster(labels, score, orders, loss).p)
    assert np.mean(np.array(raw) <= 0.05) > 0.6
    assert np.mean(np.array(adjusted) <= 0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)


def test_power_of_onsets_is_that_of_spearmans_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seeds: the test rejects at a rank correlation of 0.9 (a table's value), in so many simulated worlds.

    Dates that err as much as seeds differ are those of a correlation half as large.
    """
    monkeypatch.setattr(power, "WORLDS", 4000)
    random = np.random.default_rng(10)
    orders, error = all_orders(5), np.sqrt(0.25 / 4000)
    sharp = np.array([3.1, 4.9, 4.4, 6.6, 2.2])[:, None] + np.zeros((5, 64))
    for coupling in (0.5, 0.8):
        pairs = random.multivariate_normal([0, 0], [[1, coupling], [coupling, 1]], (4000, 5))
        u, v = (stats.rankdata(pairs[..., k], axis=1) for k in (0, 1))
        rejected = 1 - ((u - v) ** 2).sum(axis=1) / 20 >= 0.9 - 1e-9
        found = power.onset(sharp, sharp, coupling, orders, random)
        assert abs(found - rejected.mean()) < 4 * np.sqrt(2) * error < 0.07
        if coupling == 0.5:
            blur = np.sqrt(sharp[:, 0].var(ddof=1)) * np.tile([1.0, -1.0], 32)
            wide = 2 * (sharp - sharp.mean()) / np.sqrt(2) + blur  # of twice the variance, half of it the dates'
            assert power.spread(wide) == pytest.approx(sharp[:, 0].std(ddof=1))
            doubted = power.onset(wide, wide, 1.0, orders, random)
            assert abs(doubted - rejected.mean()) < 4 * np.sqrt(2) * error


def test_simulated_onsets_err_and_have_draws_that_err_as_much() -> None:
    random = np.random.default_rng(26)
    true = np.array([[3.0, 5.0], [4.0, 1.0]])
    drawn = np.stack([power._drawn(true, 0.3, random) for _ in range(2000)])
    estimates = drawn.mean(axis=-1)
    assert drawn.shape == (2000, 2, 2, power.DRAWS)
    np.testing.assert_allclose(estimates.mean(axis=0), true.T, atol=0.03)
    np.testing.assert_allclose(drawn.var(axis=-1, ddof=1).mean(axis=0), 0.09, rtol=0.05)
    np.testing.assert_allclose(estimates.var(axis=0), 0.09 * (1 + 1 / power.DRAWS), rtol=0.15)


def test_the_spread_of_seeds_is_without_that_of_their_dates() -> None:
    seeds, dates = np.array([3.0, 4.2, 7.1, 5.5]), np.array([-0.6, 0.6, -0.2, 0.2, 0.0])
    at = seeds[:, None] + dates
    assert power.spread(at) == pytest.approx(np.sqrt(seeds.var(ddof=1) - dates.var()))
    never = np.vstack([at, np.full((1, 5), np.inf)])
    assert power.spread(never) == pytest.approx(power.spread(at)) and power.spread(never[3:]) == 0
    assert power.spread(5 + 3 * np.tile(dates, (4, 1))) == 0


def test_power_of_a_lead_is_that_of_equal_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six seeds reject where all differences have one sign, and only there; five never do."""
    monkeypatch.setattr(power, "WORLDS", 4000)
    random = np.random.default_rng(16)
    differences = np.array([0.1, 0.9, -0.2, 0.4, 1.3, 0.5])
    ahead = stats.norm.cdf(np.log(2) / differences.std(ddof=1))
    want = ahead**6 + (1 - ahead) ** 6
    error = np.sqrt(want * (1 - want) / 4000)
    assert abs(power.lead(differences, random) - want) < 4 * error < 0.035
    assert power.lead(differences[:5], random) == 0


def test_power_of_matrices_is_that_over_all_permutations_of_the_observed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seeds: each of the 120 mixtures, tested by ranking it and permuting the barriers."""
    monkeypatch.setattr(power, "WORLDS", 2000)
    random = np.random.default_rng(17)
    a, b = (symmetric(random.random((5, 5)) ** 2) for _ in range(2))
    upper = np.triu_indices(5, 1)
    x, y = ((m - m[upper].mean()) / m[upper].std() for m in (a, b))
    ranks = np.stack([stats.rankdata(a[np.ix_(order, order)][upper]) for order in all_orders(5)])
    ranks -= ranks.mean()
    rejected = []
    for order in all_orders(5):
        mixed = stats.rankdata(0.8 * x[upper] + 0.6 * y[np.ix_(order, order)][upper])
        rejected.append(p_of(ranks @ mixed) <= 0.05)
    error = np.sqrt(0.25 / 2000)
    assert 0.1 < np.mean(rejected) < 0.9
    assert abs(power.matrix(a, b, 0.8, all_orders(5), random) - np.mean(rejected)) < 4 * error < 0.05


def test_largest_statistic_and_false_discovery() -> None:
    random = np.random.default_rng(11)
    statistics = random.standard_normal((3, 1000))
    statistics[1, 0] = 9
    found = permutations.largest(statistics)
    scaled = (statistics - statistics.mean(axis=1, keepdims=True)) / statistics.std(axis=1, keepdims=True)
    most = scaled.max(axis=0)
    np.testing.assert_allclose(found, [np.mean(most >= scaled[k, 0] - 1e-9) for k in range(3)])
    assert found[1] == 0.001 and (found >= [permutations.p_value(row) - 1e-12 for row in statistics]).all()
    p = np.array([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(permutations.false_discovery(p), [0.03, np.nan, 0.04, 0.04])


def test_orders_and_signs_begin_with_the_observed_ones() -> None:
    random = np.random.default_rng(12)
    assert len(permutations.orders(6, 9, random)) == 720 and permutations.orders(6, 9, random)[0].tolist() == list(
        range(6)
    )
    many = permutations.orders(9, 50, random)
    assert (
        many.shape == (51, 9) and many[0].tolist() == list(range(9)) and (np.sort(many, axis=1) == np.arange(9)).all()
    )
    assert (
        len(np.unique(permutations.signs(5, 9, random), axis=0)) == 32
        and (permutations.signs(5, 9, random)[0] == 1).all()
    )
    sampled = permutations.signs(15, 50, random)
    assert sampled.shape == (51, 15) and (sampled[0] == 1).all() and set(sampled.flat) == {-1, 1}
