"""OLMo 1 to 3 (Allen Institute for AI). Revisions may name the tokens seen, by a rule that differs from run to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from landscape.checkpoints.families.family import Defect, Family, even
from landscape.study.checkpoint import Place

NOTE = (
    "the number of tokens in a revision's name is computed here; where the hub has another, the branch of the same "
    "step is taken"
)
SOURCE = "github.com/allenai/OLMo, configs/official-* and checkpoints/official"
OLMO1 = 2_000 / 477_000
"""Billions of tokens a step, as the names of the -hf repositories count them."""


def _ceil(batch: int, step: int) -> int:
    return -(-step * batch // 10**9)


def _first(repo: str, seed: int, step: int | None) -> Place:
    return Place(f"allenai/{repo}", f"step{step}-tokens{int((step or 0) * OLMO1)}B")


def _stage1(repo: str, batch: int, seed: int, step: int | None) -> Place:
    return Place(f"allenai/{repo}", f"stage1-step{step}-tokens{_ceil(batch, step or 0)}B")


def _ingredient(repo: str, batch: int, last: dict[int, int], seed: int, step: int | None) -> Place:
    tokens = last.get(step or 0, _ceil(batch, step or 0))
    return Place(f"allenai/{repo}", f"stage2-ingredient{seed}-step{step}-tokens{tokens}B")


def _stage(repo: str, stage: int, seed: int, step: int | None) -> Place:
    return Place(f"allenai/{repo}", f"stage{stage}-step{step}")


def _trained_on(base: str, seed: int, step: int | None) -> Place:
    return Place(f"allenai/{base}-{POST[(step or 1) - 1]}")


def _family(
    name: str, title: str, steps: dict[int, tuple[int, ...]], place: Callable[[int, int | None], Place],
    parameters: int, notes: Iterable[str] = (), defects: tuple[Defect, ...] = (), whole: bool = True,
) -> Family:  # fmt: skip
    return Family(
        name=name,
        title=title,
        steps=steps,
        place=place,
        model="OlmoForCausalLM" if name.startswith("olmo1") else "Olmo2ForCausalLM",
        objective="causal-lm",
        parameters=parameters,
        bytes=even(parameters, 4),
        stored="float32",
        source=SOURCE,
        notes=(NOTE, *notes),
        defects=defects,
        whole=whole,
    )


STEPS_1B = (
    0,
    300,
    10_000,
    20_000,
    23_100,
    *range(30_000, 60_001, 10_000),
    66_200,
    *range(70_000, 1_900_001, 10_000),
    1_907_359,
)
STEPS_7B = (0, 150, 600, 700, 850, 900, 1000, 2000, 2150, *range(3000, 928_001, 1000), 928_646)
STEPS_13B = tuple(sorted({
    0, 1000, 1100, *range(2000, 100_001, 1000), 19_850, 93_400, *range(100_500, 134_001, 500), 105_700, 113_550,
    134_050, *range(135_000, 596_001, 1000), 417_450, 476_858, 596_057,
}))  # fmt: skip
STEPS_OLMO1_1B = (*range(1000, 5001, 1000), *range(10_000, 18_001, 1000), *range(20_000, 50_001, 10_000))
STEPS_0424 = (*range(0, 160_501, 500), *range(161_000, 639_001, 1000), *range(639_650, 650_651, 1000), 651_581)
INGREDIENT = (
    "seed is the ingredient: all start from the same end of stage 1 and see other data orders; OLMo averages them",
)
TRIO = Defect(
    "same weights", frozenset({(0, 101_000), (0, 175_000), (0, 300_000)}), "three steps serve the same weights",
    "allenai/OLMo#915",
)  # fmt: skip
SHORT = (*range(1000, 11_001, 1000), 11_931)

POST = ("SFT", "DPO", "Instruct")
"""Stages of post-training, in their order."""
POST_NOTES = (
    "a step is a stage: 1 is supervised fine-tuning, 2 preference tuning (DPO), 3 reinforcement learning (Instruct)",
    "they begin at the branch main of the base model, the mean of the runs of stage 2",
)
OLMO3 = {
    # parameters, steps of stage 1, what is known of them
    "7b": ("Olmo-3-1025-7B", 7_298_011_136, (*range(0, 1_413_001, 1000), 1_413_814),
           "1,415 of 1,421 branches of stage 1 are listed"),
    "32b": ("Olmo-3-1125-32B", 32_233_522_176, tuple(range(0, 656_001, 1000)),
            "the steps of stage 1 are by a rule that was seen at a few of them"),
}  # fmt: skip
OLMO3_SOURCE = "model cards of allenai/Olmo-3-* (arXiv:2512.13961) and public code that names their branches"


def _olmo3(name: str, title: str, size: str, stage: int, steps: tuple[int, ...], notes: tuple[str, ...]) -> Family:
    repo, parameters, _, _ = OLMO3[size]
    return Family(
        name=name,
        title=title,
        steps={0: steps},
        place=partial(_stage, repo, stage),
        model="Olmo3ForCausalLM",
        objective="causal-lm",
        parameters=parameters,
        bytes=even(parameters, 2),
        stored="bfloat16",
        source=OLMO3_SOURCE,
        notes=notes,
        whole=stage > 1,
    )


def _post(size: str, base: str, parameters: int, whole: bool) -> Family:
    place = partial(_trained_on, base)
    known = _family(f"olmo2-{size}-post", f"OLMo 2 {size.upper()}, the stages of post-training", {0: (1, 2, 3)}, place,
                    parameters, whole=whole)  # fmt: skip
    source = f"model card of allenai/{base}"
    return replace(known, bytes=even(parameters, 2), stored="bfloat16", notes=POST_NOTES, source=source)


FAMILIES = (
    *(_olmo3(f"olmo3-{size}", f"Olmo 3 {size.upper()}, stage 1", size, 1, steps, (note,))
      for size, (_, _, steps, note) in OLMO3.items()),
    _olmo3("olmo3-7b-midtraining", "Olmo 3 7B, stage 2", "7b", 2, (*range(0, 47_001, 1000), 47_684),
           ("three further branches of other mixtures are left out",)),
    _olmo3("olmo3-7b-long", "Olmo 3 7B, stage 3: long contexts", "7b", 3, (*range(0, 11_001, 1000), 11_921),
           ("the last step is the branch main",)),
    _post("1b", "OLMo-2-0425-1B", 1_484_916_736, whole=False),
    _post("7b", "OLMo-2-1124-7B", 7_298_617_344, whole=True),
    _post("13b", "OLMo-2-1124-13B", 13_716_198_400, whole=True),
    _post("32b", "OLMo-2-0325-32B", 32_234_279_936, whole=False),
    _family("olmo2-1b", "OLMo 2 1B, stage 1", {0: STEPS_1B},
            partial(_stage1, "OLMo-2-0425-1B", 2_097_152), 1_484_916_736),
    _family("olmo2-1b-early", "OLMo 2 1B, the first 36,000 steps in detail", {0: tuple(range(0, 36_001, 1000))},
            partial(_stage1, "OLMo-2-0425-1B-early-training", 2_097_152), 1_484_916_736),
    _family("olmo2-1b-ingredients", "OLMo 2 1B, the three runs of stage 2",
            dict.fromkeys((1, 2, 3), (*range(1000, 23_001, 1000), 23_852)),
            partial(_ingredient, "OLMo-2-0425-1B", 2_097_152, {}), 1_484_916_736, INGREDIENT),
    _family("olmo2-7b", "OLMo 2 7B, stage 1", {0: STEPS_7B},
            partial(_stage1, "OLMo-2-1124-7B", 4_194_304), 7_298_617_344,
            defects=(TRIO,)),
    _family("olmo2-7b-ingredients", "OLMo 2 7B, the three runs of stage 2", dict.fromkeys((1, 2, 3), SHORT),
            partial(_ingredient, "OLMo-2-1124-7B", 4_194_304, {11_931: 50}), 7_298_617_344, INGREDIENT),
    _family("olmo2-13b", "OLMo 2 13B, stage 1", {0: STEPS_13B}, partial(_stage1, "OLMo-2-1124-13B", 8_388_608),
            13_716_198_400, ["steps below 102,500 were missing once (allenai/OLMo#842)"]),
    _family("olmo2-13b-ingredients", "OLMo 2 13B, the four runs of stage 2",
            {**dict.fromkeys((1, 2, 3), SHORT), 4: (*range(1000, 35_001, 1000), 35_773)},
            partial(_ingredient, "OLMo-2-1124-13B", 8_388_608, {11_931: 100, 35_773: 300}), 13_716_198_400, INGREDIENT),
    _family("olmo1-1b", "OLMo 1B, the steps that are certain", {0: STEPS_OLMO1_1B}, partial(_first, "OLMo-1B-hf"),
            1_176_764_416, ["most steps from 117,850 to 330,000 are lost (allenai/OLMo#879)"], whole=False),
    _family("olmo1-7b-0424", "OLMo 7B of April 2024", {0: STEPS_0424},
            partial(_first, "OLMo-7B-0424-hf"), 6_888_095_744,
            defects=(Defect("note", frozenset({(0, 115_000)}), "was reported equal to main", "user report"),),
            whole=False),
)  # fmt: skip
