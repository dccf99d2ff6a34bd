"""Small runs trained on the packaged novels, and their studies."""

from pathlib import Path

HERE = Path(__file__).parent
STUDY = HERE / "study.toml"
PLANTED_STUDY = HERE / "planted.toml"
SHORT_STUDY = HERE / "short.toml"
