"""Onsets of barriers that settle, matrices of pairs, and clusters of seeds."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import spectral_clustering
from sklearn.metrics import adjusted_rand_score, silhouette_score

from landscape.stages import association, clusters, matrices, onsets, permutations, power
from landscape.stages.clusters import by_cluster, divide, frozen

STEPS = np.array([0, 4, 16, 64, 256.0])
X = np.log1p(STEPS)


def symmetric(values: np.ndarray) -> np.ndarray:
    upper = np.triu(values, 1)
    return upper + upper.T


def test_settling_is_where_the_line_crosses_the_threshold_for_good() -> None:
    draws = np.array([
        [0.9, 0.5, 0.1, 0.02, 0.01],  # between 16 and 64
        [0.04, 0.03, 0.02, 0.01, 0.0],  # always
        [0.9, 0.9, 0.8, 0.7, 0.6],  # never
        [0.9, 0.01, 0.4, 0.02, 0.01],  # touches and leaves: pooled to 0.205 at 4 and 16
    ])
    event = onsets.settles(STEPS, draws, 0.05)
    first = X[2] + (0.1 - 0.05) / (0.1 - 0.02) * (X[3] - X[2])
    last = X[2] + (0.205 - 0.05) / (0.205 - 0.02) * (X[3] - X[2])
    np.testing.assert_allclose(event.at, [first, -np.inf, np.inf, last])


def test_settling_covers_a_planted_onset() -> None:
    """Children of known barriers: the interval of the bootstrap holds the crossing of the true mean."""
    random = np.random.default_rng(1)
    steps = np.array([0, 2, 4, 8, 16, 32, 64, 128, 256.0])
    true = np.log1p(25.0)
    mean = 0.05 * np.exp(true - np.log1p(steps))
    children = np.array([(a, b) for a in range(4) for b in range(a)])
    inside, wide = 0, []
    for _ in range(60):
        own = np.exp(0.2 * random.standard_normal((len(steps), 4)) - 0.01)
        pairs = [
            (m * (o[children[:, 0]] + o[children[:, 1]]) / 2, np.full(6, 0.002), children)
            for m, o in zip(mean, own, strict=True)
        ]
        at = onsets.settles(steps, onsets.resampled(pairs, 200, random), 0.05).at
        low, high = np.quantile(at, [0.05, 0.95])
        gap = np.log1p(32) - np.log1p(16)
        middle = np.median(at)
        inside += min(low, middle - gap / 2) <= true <= max(high, middle + gap / 2)
        wide.append(high - low)
    assert inside / 60 >= 0.85 and 0.05 < np.mean(wide) < 2


def test_resampled_pairs_of_one_child_are_drawn_anew_and_keep_the_mean() -> None:
    random = np.random.default_rng(2)
    children = np.array([[0, 1], [0, 2], [1, 2]])
    values = np.array([0.2, 0.5, 0.8])
    draws = onsets.resampled([(values, np.zeros(3), children)], 20_000, random)[:, 0]
    assert set(np.round(np.unique(draws), 6)) == {0.2, 0.5, 0.8}
    error = draws.std() / np.sqrt(20_000)
    assert abs(draws.mean() - 0.5) < 4 * error < 0.01
    one = onsets.resampled([(np.array([0.3]), np.array([0.05]), np.array([[0, 1]]))], 20_000, random)[:, 0]
    assert one.std() == pytest.approx(0.05, rel=0.03)


def test_mantel_is_its_definition() -> None:
    random = np.random.default_rng(3)
    a, b = (symmetric(random.random((5, 5))) for _ in range(2))
    orders = permutations.orders(5, 9, random)
    found = matrices.mantel(a, b, orders, random)
    upper = np.triu_indices(5, 1)
    every = [stats.spearmanr(a[upper], b[np.ix_(order, order)][upper]).statistic for order in orders]
    np.testing.assert_allclose(found.statistics, every, atol=1e-12)
    assert found.p == np.mean(np.array(every) >= every[0] - 1e-12)


def test_regression_is_the_partial_correlation() -> None:
    random = np.random.default_rng(4)
    a, b, c = (symmetric(random.random((6, 6))) for _ in range(3))
    found = matrices.regression(a + c, b - c, [c], permutations.orders(6, 9, random), random)
    upper = np.triu_indices(6, 1)
    left = [values[upper] - np.polyval(np.polyfit(c[upper], values[upper], 1), c[upper]) for values in (a + c, b - c)]
    assert found.effect == pytest.approx(np.corrcoef(*left)[0, 1])


def test_distances_of_curves_and_scores() -> None:
    curves = np.array([[0, 0, 0, 0.0], [3, 3, 3, 3], [1, -1, 1, -1]])
    np.testing.assert_allclose(matrices.between(curves)[0], [0, 3, 1])
    np.testing.assert_allclose(matrices.differences(np.array([1.0, 4.0, -2.0]))[1], [3, 0, 6])


def test_division_is_scikit_learns() -> None:
    random = np.random.default_rng(5)
    for _ in range(10):
        points = random.standard_normal((9, 3))
        barriers = np.linalg.norm(points[:, None] - points[None], axis=-1)
        scale = np.median(barriers[np.triu_indices(9, 1)])
        affinity = np.maximum(np.exp(-(barriers**2) / (2 * scale**2)), 1e-6)
        scores = [
            silhouette_score(barriers, labels, metric="precomputed")
            for k in range(2, 7)
            for labels in [spectral_clustering(affinity, n_clusters=k, assign_labels="cluster_qr", random_state=0)]
            if 1 < len(set(labels)) < 9
        ]
        labels, score = divide(barriers)
        assert score == pytest.approx(max(scores))
        assert score == pytest.approx(silhouette_score(barriers, labels, metric="precomputed"))


def test_many_worlds_at_once_are_those_worlds_one_by_one() -> None:
    random = np.random.default_rng(15)
    x, y = random.standard_normal((2, 4, 6, 9))
    y[3] = -x[3]  # the means over seeds go against each other
    orders = permutations.orders(6, 20, random)
    likeness = association.likeness(x, y)
    swapped = association.swapped(likeness, orders)
    apart = matrices.between(x), matrices.between(y)
    along = matrices.statistics(*apart, orders)
    barriers = np.concatenate([apart[0], np.zeros((1, 6, 6))])
    labels, scores = divide(barriers)
    for n in range(4):
        np.testing.assert_allclose(likeness[n], association.likeness(x[n], y[n]), atol=1e-12)
        np.testing.assert_allclose(swapped[n], association.swapped(likeness[n], orders), atol=1e-12)
        np.testing.assert_allclose(apart[0][n], squareform(pdist(x[n])) / 3, atol=1e-12)
        np.testing.assert_allclose(along[n], matrices.statistics(apart[0][n], apart[1][n], orders), atol=1e-12)
        assert permutations.p_values(along)[n] == permutations.p_value(along[n])
        alone = divide(barriers[n])
        assert adjusted_rand_score(labels[n], alone[0]) == 1 and scores[n] == pytest.approx(alone[1])
    assert np.trace(likeness[3]) > 5.9 and scores[4] == -1 and not labels[4].any()


@pytest.mark.parametrize(
    "world", [*(pytest.param(world, marks=pytest.mark.slow) for world in ("alike", "tall seeds")), "a cloud"]
)
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
            points = random.standard_normal((8, 3))
            barriers = np.linalg.norm(points[:, None] - points[None], axis=-1)
        found += clusters.clusters(barriers, random).labels.any()
    assert found / 40 <= 0.08


@pytest.mark.parametrize(("seeds", "groups"), [(10, 2), (12, 3)])
def test_planted_clusters_are_found(seeds: int, groups: int) -> None:
    random = np.random.default_rng(7)
    planted = random.permutation(np.arange(seeds) % groups)
    right = 0
    for _ in range(8):
        barriers = symmetric(0.2 + 0.6 * (planted[:, None] != planted[None]) + 0.1 * random.random((seeds, seeds)))
        found = clusters.clusters(barriers, random)
        right += adjusted_rand_score(planted, found.labels) == 1
        assert found.labels[0] == 0 and found.p <= 0.05
    assert right >= 7


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


def test_behaviour_by_cluster_is_the_share_of_variance_and_its_exact_test() -> None:
    random = np.random.default_rng(8)
    labels, values = np.array([0, 0, 1, 1, 1, 0]), random.standard_normal(6)
    orders = permutations.orders(6, 9, random)
    found = by_cluster(labels, values, orders, random)

    def share(v: np.ndarray) -> float:
        return (
            1 - sum(((v[labels == k] - v[labels == k].mean()) ** 2).sum() for k in (0, 1)) / ((v - v.mean()) ** 2).sum()
        )

    assert found.effect == pytest.approx(share(values))
    assert found.p == pytest.approx(np.mean([share(values[o]) >= share(values) - 1e-9 for o in orders]))


def test_a_cluster_that_only_goes_with_the_loss_is_adjusted_away() -> None:
    """The score follows the loss, and the loss the clusters: with the loss held fixed clusters say nothing more."""
    random = np.random.default_rng(9)
    labels = np.arange(12) % 2
    orders = permutations.orders(12, 999, random)
    raw, adjusted = [], []
    for _ in range(600):
        loss = labels + 0.5 * random.standard_normal(12)
        score = loss + 0.3 * random.standard_normal(12)
        raw.append(by_cluster(labels, score, orders, random).p)
        adjusted.append(by_cluster(labels, score, orders, random, loss).p)
    assert np.mean(np.array(raw) <= 0.05) > 0.6
    assert np.mean(np.array(adjusted) <= 0.05) <= 0.07


def test_power_is_that_of_the_design() -> None:
    """No spread between seeds, no power; sharp onsets far apart, nearly all; five seeds never reach a lead's floor."""
    random = np.random.default_rng(10)
    orders = permutations.orders(5, 99, random)
    apart = np.linspace(3, 7, 5)[:, None] + 0.02 * random.standard_normal((5, 100))
    together = 5 + 0.5 * random.standard_normal((5, 100)) - 0 * apart
    assert power.onset(apart, apart, 1.0, orders, random) > 0.95
    assert power.onset(together, together, 1.0, orders, random) < 0.2
    assert 0.3 < power.onset(apart, apart, 0.8, orders, random) < 0.9
    assert power.spread(apart) == pytest.approx(np.linspace(3, 7, 5).std(ddof=1), rel=0.05)
    assert power.lead(np.array([0.1, 0.2, 0.3, 0.2, 0.1]), random) == 0
    assert power.lead(np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.15, 0.25]), random) > 0.9


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


def test_orders_and_signs_begin_with_what_was_seen() -> None:
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
    assert permutations.signs(15, 50, random).shape == (51, 15)
