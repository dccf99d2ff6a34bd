# %% [markdown]
# # Interpolation curves and planes, before and after alignment
#
# Two seeds are separated by a barrier. Is it a ridge between two solutions, or are both the same solution with hidden
# units in another order? The second seed is moved by the symmetries of its architecture, which changes no output,
# until it is as close to the first as they allow. Then the same line and the same plane are measured again. A random
# element of the symmetry group is the control.
#
# Before you start: `make demo` makes the folder `demo`. This page takes about two minutes.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import landscape as ls

DEMO = Path("demo")
OUT = Path("aligned_seeds")
seeds = [DEMO / "checkpoints" / f"seed_{seed}" / "step_512" for seed in range(3)]
data = {"text": DEMO / "heldout.txt", "sequences": 64}

# %% [markdown]
# ## The line between two seeds
#
# `align` measures the pair unchanged, aligned and moved at random. `ls.align` would do it for one pair and write the
# aligned checkpoint.

# %%
pair = ls.barriers(seeds[:2], align=["none", "weights", "random"], **data)
print(pair.summary().round(3).to_string(index=False))

# %% [markdown]
# ## The plane through three seeds
#
# A plane needs checkpoints. So the aligned ones are written first: folders that `from_pretrained` loads. `first` is
# the first checkpoint in the same form: where the head is tied to the embedding, aligning makes it a parameter of its
# own.

# %%
moved = [ls.align(seeds[0], seed, out=OUT / seed.parent.name, **data) for seed in seeds[1:]]
aligned = [moved[0].first, *(one.folder for one in moved)]
before, after = (ls.plane(which, resolution=11, **data) for which in (seeds, aligned))


# %% [markdown]
# ## The figure


# %%
def draw_plane(ax, found, top):
    """Loss above that of the first seed, as filled contours, with the seeds."""
    grid = found.frame.pivot(index="y", columns="x", values="above")
    levels = np.linspace(0, top, 13)
    filled = ax.contourf(grid.columns, grid.index, grid.clip(0, top), levels=levels, cmap="viridis_r")
    ax.plot(found.places["x"], found.places["y"], "o", color="crimson", ms=5)
    for number, (x, y) in enumerate(zip(found.places["x"], found.places["y"], strict=True)):
        ax.annotate(f" seed {number}", (x, y), color="crimson")
    ax.set_aspect("equal")
    ax.set_xlabel("distance of parameters")
    return filled


figure, (curves, left, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
for way, label in (("none", "not aligned"), ("weights", "aligned by weights"), ("random", "random element (control)")):
    rows = pair.profiles[pair.profiles["align"] == way]
    curves.plot(rows["t"], rows["loss"], marker=".", label=label)
    curves.fill_between(rows["t"], rows["loss"] - 1.96 * rows["error"], rows["loss"] + 1.96 * rows["error"], alpha=0.2)
curves.set_xlabel("t, from seed 0 to seed 1")
curves.set_ylabel(f"loss ({rows['unit'].iloc[0]})")
curves.margins(y=0.25)
curves.legend(loc="upper left", fontsize=8)
top = float(pd.concat([before.frame["above"], after.frame["above"]]).quantile(0.9))
for ax, found, title in ((left, before, "not aligned"), (right, after, "aligned by weights")):
    filled = draw_plane(ax, found, top)
    ax.set_title(title)
figure.colorbar(filled, ax=right, label="loss above that of seed 0", format="%.2f")
figure.savefig("before_and_after_alignment.png", dpi=110, bbox_inches="tight")

# %% [markdown]
# ## What may be concluded
#
# - The aligned checkpoint computes the same function: every alignment is verified, and `pair.aligned` has the largest
#   difference of an output and what rounding explains. So a barrier that falls was due to coordinates and not to what
#   the models compute.
# - A barrier that stays is not proof of different basins. The alignment found is the best of one method; another may
#   find a better one, so a barrier after alignment is an upper bound of the barrier of the best alignment.
# - The control matters: a random element has the barrier of unaligned seeds or more. Without it, a low barrier could
#   also mean that the loss is flat everywhere.
# - A plane shows two of some hundred thousand directions. That it is flat between three seeds says nothing of other
#   directions; the distances on its axes say how far apart the seeds are, before and after.
