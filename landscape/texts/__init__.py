"""The packaged novels; TEXTS.md says where they are from."""

from pathlib import Path

HERE = Path(__file__).parent
TRAINING_TEXT = HERE / "prideprejudice.txt"
HELD_OUT_TEXT = HERE / "persuasion.txt"
