"""Fine-tuned BERTs in clusters: BERTs of a feather (McCoy et al. 2020) and Juneja et al. (2023, arXiv:2205.12411)."""

from __future__ import annotations

from dataclasses import replace

from landscape.checkpoints.families.family import Family, even
from landscape.study.checkpoint import Place

BASE = 109_482_240
"""Parameters of BERT-base with its pooler."""
HIDDEN = 768
QQP_STEPS = (15_000, 20_000, 25_000, 30_000, 34_110)
SMALL_CLUSTERS = {
    "feather-berts": (15, 25, 26, 42, 44, 46, 56, 61, 63, 70, 73, 89),
    "bert-qqp": (7, 11, 17, 22, 31, 33, 53, 61, 63, 68, 69, 94),
    "bert-cola": (23,),
}
"""Seeds of the smaller of the two clusters that Juneja et al. report: an answer to test a clustering against."""


def parameters(labels: int) -> int:
    """Parameters with a head of so many labels."""
    return BASE + labels * (HIDDEN + 1)


def _family(
    name: str, task: str, repo: str, seeds: range, labels: int, notes: tuple[str, ...], whole: bool = True
) -> Family:
    return Family(
        name=name,
        title=f"BERT-base fine-tuned on {task} from {len(seeds)} seeds",
        steps=dict.fromkeys(seeds, ()),
        place=lambda seed, step: Place(f"connectivity/{repo}{seed}"),
        model="BertForSequenceClassification",
        objective="classification",
        parameters=parameters(labels),
        bytes=even(parameters(labels), 4),
        stored="float32",
        source="github.com/aNOnWhyMooS/connectivity, README.md",
        notes=(*notes, f"the smaller cluster of Juneja et al.: seeds {', '.join(map(str, SMALL_CLUSTERS[name]))}"),
        whole=whole,
    )


def _qqp(seed: int, step: int | None) -> Place:
    return Place(f"connectivity/bert_ft_qqp-{seed}", title=f"Saving weights and logs of step {step}")


_QQP = _family("bert-qqp", "QQP", "bert_ft_qqp-", range(100), 2, ("a step is a commit of main, found by its title",))

FAMILIES = (
    _family(
        "feather-berts",
        "MNLI",
        "feather_berts_",
        range(100),
        3,
        ("labels are contradiction 0, entailment 1, neutral 2, unlike GLUE's; one checkpoint a seed",),
    ),
    replace(_QQP, steps=dict.fromkeys(range(100), QQP_STEPS), place=_qqp),
    _family(
        "bert-cola",
        "CoLA, six epochs",
        "cola_6ep_ft-",
        range(100),
        2,
        ("one checkpoint a seed; how many seeds there are is not certain",),
        whole=False,
    ),
)
