"""Every member of every table: its name, the module that holds it, and what help, figures and documentation say of it.

A new member is one file and one line here. Nothing is imported until a member is used, so commands, study files and
documentation can list members without torch. What else differs between members stands in the member's own file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType


@dataclass(frozen=True)
class Member:
    """One member of a table.

    Attributes:
        module: Dotted name of the file that holds it.
        help: What it is, in a line.
        label: What figures and tables call it; empty for its name.
        reads: What it needs beside checkpoints and the text of ``[data]``, or that it reads this text: ``text``, the
            evaluation text; ``train_text``; ``align_text``. Of probes: ``items``, if it
            needs your own items; ``task``, if its name needs a task. Of objectives: ``labels``, if examples have
            labels; ``images``, if they are images; ``bos``, if a text may begin with the start token. Of engines: the
            settings that are theirs alone.
        metrics: Of a probe: what figures call its headline metrics; a metric that is not here goes by its name.
        extra: Extra of the distribution that it needs; empty for none.
    """

    module: str
    help: str
    label: str = ""
    reads: tuple[str, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)
    extra: str = ""


@dataclass(frozen=True, eq=False)
class Members(Mapping[str, Member]):
    """A table of members by name.

    Attributes:
        noun: What a member is called in error messages.
        members: The members, in the order in which they are listed.
    """

    noun: str
    members: Mapping[str, Member]

    def __getitem__(self, name: str) -> Member:
        return self.members[self.require(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, name: object) -> bool:
        return name in self.members

    def __hash__(self) -> int:
        return hash((self.noun, *self.members))

    def require(self, name: str) -> str:
        """The name, if a member has it.

        Raises:
            ValueError: If there is no such member, with the nearest name and all names.
        """
        if name not in self.members:
            near = get_close_matches(name, self.members, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"no {self.noun} is called {name!r}{hint}; there are {', '.join(self.members)}")
        return name

    def load(self, name: str) -> ModuleType:
        """The module that holds a member.

        Raises:
            ValueError: If there is no such member.
        """
        return import_module(self[name].module)

    def label(self, name: str) -> str:
        """What figures and tables call a member.

        Raises:
            ValueError: If there is no such member.
        """
        return self[name].label or name


PATHS = Members("path", {
    "linear": Member("landscape.paths.kinds.linear", "a straight line", "straight line"),
    "spherical": Member("landscape.paths.kinds.spherical", "an arc for each tensor", "arc of each tensor"),
    "geodesic": Member("landscape.paths.kinds.geodesic", "one arc for the whole point", "arc of the whole point"),
})  # fmt: skip
"""Paths between two checkpoints that are given by these alone."""

CURVES = Members("curve", {
    "bezier": Member("landscape.paths.kinds.bezier", "a Bezier curve", "Bezier curve"),
    "polychain": Member("landscape.paths.kinds.polychain", "a polygonal chain", "polygonal chain"),
})  # fmt: skip
"""Paths with anchors between the ends, which are learned."""

SAMPLERS = Members("sampler", {
    "sgld": Member("landscape.llc.samplers.sgld", "stochastic-gradient Langevin dynamics"),
    "rmsprop": Member("landscape.llc.samplers.rmsprop", "SGLD, preconditioned by RMSProp"),
    "sgnht": Member("landscape.llc.samplers.sgnht", "stochastic-gradient Nose-Hoover thermostat"),
    "mala": Member("landscape.llc.samplers.mala", "Metropolis-adjusted Langevin; full batches only"),
})  # fmt: skip

PROBES = Members("probe", {
    "in-context": Member("landscape.probes.in_context", "loss late against early in the context", reads=("text",),
                         metrics={"score": "in-context score (nats)"}),
    "induction": Member("landscape.probes.induction", "copying in repeated random tokens", reads=("text",),
                        metrics={"copy_gap": "copy gap (nats)", "best_prefix_matching": "prefix matching, best head"}),
    "ngrams": Member("landscape.probes.ngrams", "divergence from n-gram models", reads=("text", "train_text"),
                     metrics={"kl": "KL from n-grams (nats)"}),
    "minimal-pairs": Member("landscape.probes.minimal_pairs", "acceptability of minimal pairs (BLiMP)",
                            reads=("items",), metrics={"accuracy": "accuracy, minimal pairs"}),
    "agreement": Member("landscape.probes.agreement", "subject-verb agreement",
                        metrics={"accuracy": "accuracy, agreement"}),
    "inference": Member("landscape.probes.inference", "inference where word overlap misleads (HANS)",
                        metrics={"accuracy": "accuracy, inference"}),
    "linear": Member("landscape.probes.linear", "linear probes of hidden states",
                     metrics={"accuracy": "accuracy, linear probe"}),
    "syntax": Member("landscape.probes.syntax", "syntactic heads in attention", metrics={"uas": "attachment score"}),
    "calibration": Member("landscape.probes.calibration", "calibration of predictions", reads=("text",),
                          metrics={"ece": "calibration error"}),
    "harness": Member("landscape.probes.harness", "harness:TASK, a task of lm-evaluation-harness", reads=("task",)),
})  # fmt: skip

OBJECTIVES = Members("objective", {
    "causal-lm": Member("landscape.objectives.causal_lm", "next-token loss, in nats per token", reads=("bos",)),
    "masked-lm": Member("landscape.objectives.masked_lm", "loss of masked tokens, in nats per token"),
    "classification": Member("landscape.objectives.classification", "cross-entropy of labels, in nats per example",
                             reads=("labels",)),
    "multi-label": Member("landscape.objectives.multi_label", "a yes or no for each label, in nats per label",
                          reads=("labels",)),
    "regression": Member("landscape.objectives.regression", "squared error of predicted numbers", reads=("labels",)),
    "seq2seq": Member("landscape.objectives.seq2seq", "loss of a target given an input, in nats per token",
                      reads=("labels",)),
    "image-classification": Member("landscape.objectives.image_classification",
                                   "cross-entropy of labels of images, in nats per example",
                                   reads=("labels", "images")),
})  # fmt: skip

FAMILIES = Members("file of families", {
    "multiberts": Member("landscape.checkpoints.families.multiberts", "MultiBERTs"),
    "pythia": Member("landscape.checkpoints.families.pythia", "Pythia and PolyPythias"),
    "mistral": Member("landscape.checkpoints.families.mistral", "Mistral's small GPT-2s"),
    "connectivity": Member("landscape.checkpoints.families.connectivity", "BERTs of Juneja et al. 2023"),
    "olmo": Member("landscape.checkpoints.families.olmo", "OLMo 1 to 3"),
    "amber": Member("landscape.checkpoints.families.amber", "Amber"),
    "bloom": Member("landscape.checkpoints.families.bloom", "BLOOM"),
    "smollm": Member("landscape.checkpoints.families.smollm", "SmolLM"),
    "parc": Member("landscape.checkpoints.families.parc", "Parc: Pythia, Mamba and RWKV on the same data"),
    "pico": Member("landscape.checkpoints.families.pico", "Pico decoders"),
    "timaeus": Member("landscape.checkpoints.families.timaeus", "two-layer language models of Hoogland et al."),
})  # fmt: skip
"""Files of families of public checkpoints; one may hold several families."""

SYMMETRY_TABLES = Members("symmetry table", {
    "albert": Member("landscape.symmetry.tables.albert", "ALBERT"),
    "bert": Member("landscape.symmetry.tables.bert", "BERT"),
    "bloom": Member("landscape.symmetry.tables.bloom", "BLOOM"),
    "distilbert": Member("landscape.symmetry.tables.distilbert", "DistilBERT"),
    "electra": Member("landscape.symmetry.tables.electra", "ELECTRA"),
    "gemma": Member("landscape.symmetry.tables.gemma", "Gemma"),
    "gemma2": Member("landscape.symmetry.tables.gemma2", "Gemma 2"),
    "gemma3_text": Member("landscape.symmetry.tables.gemma2", "Gemma 3"),
    "gpt2": Member("landscape.symmetry.tables.gpt2", "GPT-2"),
    "gpt_neox": Member("landscape.symmetry.tables.gpt_neox", "GPT-NeoX, such as Pythia"),
    "llama": Member("landscape.symmetry.tables.llama", "Llama"),
    "mistral": Member("landscape.symmetry.tables.llama", "Mistral"),
    "mixtral": Member("landscape.symmetry.tables.mixtral", "Mixtral"),
    "olmo": Member("landscape.symmetry.tables.olmo", "OLMo"),
    "olmo2": Member("landscape.symmetry.tables.olmo2", "OLMo 2"),
    "olmo3": Member("landscape.symmetry.tables.olmo2", "OLMo 3"),
    "opt": Member("landscape.symmetry.tables.opt", "OPT"),
    "phi3": Member("landscape.symmetry.tables.phi3", "Phi-3"),
    "qwen2": Member("landscape.symmetry.tables.llama", "Qwen 2"),
    "qwen3": Member("landscape.symmetry.tables.qwen3", "Qwen 3"),
    "resnet": Member("landscape.symmetry.tables.resnet", "ResNet"),
    "roberta": Member("landscape.symmetry.tables.roberta", "RoBERTa"),
    "t5": Member("landscape.symmetry.tables.t5", "T5"),
    "vit": Member("landscape.symmetry.tables.vit", "ViT"),
})  # fmt: skip
"""By transformers' model type."""

MATCHERS = Members("way to align", {
    "weights": Member("landscape.symmetry.matchers.weights", "by distance of weights", "aligned by weights"),
    "activations": Member("landscape.symmetry.matchers.activations", "by correlation of activations",
                          "aligned by activations", reads=("align_text",)),
    "learned": Member("landscape.symmetry.matchers.learned", "by the loss between", "aligned by the loss",
                      reads=("align_text",)),
    "random": Member("landscape.symmetry.matchers.random", "a random element for each, as a control",
                     "random element (control)"),
})  # fmt: skip
"""Ways to choose the element of the symmetry group that a checkpoint is moved by."""

DEFINITIONS = Members("definition of a barrier", {
    "chord": Member("landscape.profile.definitions.chord", "largest rise of the loss above the chord"),
    "mean_ends": Member("landscape.profile.definitions.mean_ends", "largest loss above the mean of the ends"),
    "max_ends": Member("landscape.profile.definitions.max_ends", "largest loss above the higher end"),
    "midpoint": Member("landscape.profile.definitions.midpoint", "loss at t = 1/2 above the mean of the ends"),
    "area": Member("landscape.profile.definitions.area", "area between loss and chord"),
    "convexity_gap": Member("landscape.profile.definitions.convexity_gap",
                            "largest rise above the chord of any sub-segment"),
})  # fmt: skip

PRECISE = ("chord", "mean_ends", "max_ends", "midpoint")
"""Definitions whose intervals are narrow unless others are asked for. They depend on the loss at one t and at the ends;
the others depend on many t, and would take half as many evaluations again."""

METRICS = Members("metric", {
    "accuracy": Member("landscape.profile.metrics.accuracy", "share of examples that are right"),
    "perplexity": Member("landscape.profile.metrics.perplexity", "exp of the loss per token"),
    "f1": Member("landscape.profile.metrics.f1", "F1 of the second of two classes", "F1"),
})  # fmt: skip
"""What is measured beside the loss; an objective has those whose numbers it gives for each example."""

MEASURES = Members("kind of measure", {
    "barriers": Member("barriers", "loss barriers along paths between pairs"),
    "curves": Member("curves", "learned curves of low loss between pairs"),
    "components": Member("components", "barriers where only some components of the network move"),
    "simplices": Member("simplices", "loss of mixtures of several checkpoints"),
    "trajectory": Member("trajectory", "loss on lines along a run, and of means of its last checkpoints"),
    "planes": Member("planes", "loss on planes through or around checkpoints"),
    "llc": Member("llc", "local learning coefficients"),
    "probes": Member("probes", "behavioural probes of each checkpoint"),
    "behaviour": Member("behaviour", "distance of the behaviour of pairs"),
})  # fmt: skip
"""What a study measures: the settings are in ``landscape.study.kinds``, the work in ``landscape.measure``."""

ENGINES = Members("engine", {
    "local": Member("landscape.engines.local", "worker processes of this machine, one for each device"),
    "ray": Member("landscape.engines.ray_actors", "actors of a Ray cluster, one for each GPU or processor",
                  reads=("address",), extra="ray"),
    "submitit": Member("landscape.engines.submitit_jobs", "jobs of a scheduler such as Slurm", extra="submitit",
                       reads=("jobs", "gpus_per_job", "time", "partition", "array_parallelism", "cluster")),
})  # fmt: skip
"""What hands the tasks of a study to workers."""

FIGURES = Members("section of the report", {
    "stages": Member("landscape.figures.stages", "events and stages"),
    "matrix": Member("landscape.figures.matrix", "barrier matrix"),
    "symmetry": Member("landscape.figures.symmetry", "barriers before and after alignment"),
    "training": Member("landscape.figures.training", "barriers over training"),
    "interpolation": Member("landscape.figures.interpolation", "loss along paths"),
    "curves": Member("landscape.figures.curves", "learned curves compared with the straight line"),
    "components": Member("landscape.figures.components", "which components make the barrier"),
    "trajectory": Member("landscape.figures.trajectory", "lines along a run, and means of its last checkpoints"),
    "plane": Member("landscape.figures.plane", "loss on planes"),
    "simplex": Member("landscape.figures.simplex", "mixtures of checkpoints"),
    "abilities": Member("landscape.figures.abilities", "what points on paths can do"),
    "branching": Member("landscape.figures.branching", "barriers between branches by the step they were spawned at"),
    "data_sets": Member("landscape.figures.data_sets", "several data sets side by side"),
    "loss": Member("landscape.figures.loss", "loss over training"),
    "llc": Member("landscape.figures.llc", "local learning coefficients"),
    "traces": Member("landscape.figures.traces", "Langevin chains"),
    "together": Member("landscape.figures.together", "loss, barrier and coefficient together"),
    "behaviour": Member("landscape.figures.behaviour", "distances of behaviour compared with barriers"),
    "divergence": Member("landscape.figures.divergence", "KL between seeds over training"),
})  # fmt: skip
"""Sections of the report, in its order."""
