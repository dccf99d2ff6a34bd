# %% [markdown]
# # Which runs belong together? A barrier matrix, and what its clusters mean
#
# Five seeds were trained on the same text. Two branches were spawned from the first seed at each of three steps: they
# share the seed's weights up to that step and see other data orders after it. A straight line between two runs that
# share most of their training should be flat, and between two seeds it should not. So the answer is known, and the
# matrix of barriers should have it.
#
# Before you start: `make demo` makes the folder `demo`. This page takes one to three minutes on two cores.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform

import landscape as ls

DEMO = Path("demo")
seeds = sorted(DEMO.glob("checkpoints/seed_*/step_512"))
branches = sorted(DEMO.glob("checkpoints/branches/seed_0/branched_at_*/branch_*/step_512"))
print(len(seeds), "seeds and", len(branches), "branches of seed 0")


# %%
def name(path):
    """A run in a few words."""
    if "branches" not in path.parts:
        return path.parts[-2].replace("_", " ")
    return f"0, from {path.parts[-3].rpartition('_')[2]}"


runs = [*seeds, *branches]
names = [name(path) for path in runs]
found = ls.barriers(runs, text=DEMO / "heldout.txt", sequences=64, align=["none", "weights"])
chord = found.frame[found.frame["definition"] == "chord"]


# %% [markdown]
# `found.frame` has one row for each pair, definition and way to align. A square matrix of one of them:


# %%
def square(rows):
    """Barriers as a symmetric matrix, in the order of the runs."""
    position = {str(path): n for n, path in enumerate(runs)}
    matrix = np.zeros((len(runs), len(runs)))
    for a, b, barrier in zip(rows["a"], rows["b"], rows["barrier"], strict=True):
        matrix[position[a], position[b]] = matrix[position[b], position[a]] = max(barrier, 0)
    return matrix


raw, aligned = (square(chord[chord["align"] == way]) for way in ("none", "weights"))

# %% [markdown]
# ## Clusters
#
# Runs are joined by average linkage, and the tree is cut at 0.05 nats per token: below that two runs count as
# connected. Choose the cut before you see the matrix, and say it.

# %%
CUT = 0.05
tree = linkage(squareform(raw), "average")
cluster = fcluster(tree, CUT, "distance")
order = leaves_list(tree)
for one in dict.fromkeys(cluster[order]):
    print("cluster:", ", ".join(names[n] for n in order if cluster[n] == one))

# %% [markdown]
# ## The figure

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained", sharey=True)
shown = [names[n] for n in order]
for ax, matrix, title in zip(axes, (raw, aligned), ("not aligned", "aligned by weights"), strict=True):
    sns.heatmap(
        matrix[np.ix_(order, order)], ax=ax, vmin=0, vmax=raw.max(), cmap="mako_r", square=True, annot=True, fmt=".2f",
        annot_kws={"size": 7}, xticklabels=shown, yticklabels=shown, cbar=ax is axes[-1],
        cbar_kws={"label": "barrier (nats per token)", "shrink": 0.8},
    )  # fmt: skip
    ax.set(title=title, xlabel="seed, or branch of seed 0 by the step that it was spawned at")
    for edge in np.flatnonzero(np.diff(cluster[order])) + 1:
        ax.axhline(edge, color="crimson", lw=1.5)
        ax.axvline(edge, color="crimson", lw=1.5)
figure.savefig("barrier_matrix.png", dpi=110, bbox_inches="tight")

# %% [markdown]
# ## What may be concluded
#
# - A cluster is a set of runs that straight lines connect on this data and with this loss. It is about coordinates
#   too: on the right, after the hidden units of every run were put into the order of the first, most of what
#   separated the seeds is gone. What is left is the part that no permutation or rotation explains.
# - Branches that were spawned at steps 32 and 128 are in one cluster with each other and with their seed. Those that
#   were spawned at step 0 share nothing but the initial weights: they lie much nearer to each other than two seeds,
#   and are still not connected. So this run entered its basin between steps 0 and 32.
# - Two clusters in five seeds are an anecdote. A claim about seeds in general needs more of them; `landscape stages`
#   refuses an interval over fewer than five, and tests clusters against matrices without any.
# - A barrier of 0.00 is not "the same function": runs in one cluster can still predict differently. `ls.probe(...,
#   distances=True)` says how much.
