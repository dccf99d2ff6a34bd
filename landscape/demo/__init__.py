"""The packaged novels, and the small runs that are trained on them."""

from pathlib import Path

HERE = Path(__file__).parent
TRAINING_TEXT = HERE / "prideprejudice.txt"
HELD_OUT_TEXT = HERE / "persuasion.txt"
STUDY = HERE / "study.toml"
PLANTED_STUDY = HERE / "planted.toml"
SHORT_STUDY = HERE / "short.toml"
