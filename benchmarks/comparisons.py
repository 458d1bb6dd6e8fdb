"""What is compared: for each part of the benchmark, groups of contenders that take turns.

`quick` is for trying the program: the same with as little work as there can be.
"""

import sys
from dataclasses import dataclass

from benchmarks.interleave import ROOT

TORCH = ROOT / ".venv-bench" / "bin" / "python"
Command = list[str]


@dataclass(frozen=True)
class Group:
    """Contenders that take `rounds` turns, each of so many `steps`; their names are the keys.

    The first ones are `ours`, and the others are alternatives to the very first.
    """

    title: str
    commands: dict[str, Command]
    steps: int = 1
    rounds: int = 5
    ours: int = 1


def throughput(quick: bool) -> list[Group]:
    """Training images per second. Who is slow has fewer steps in a turn, and JAX on a CPU batches of 64 only."""
    if quick:
        group = _training("batch 8, one block", "float32", 8, 1, _keras("tensorflow", "float32"))
        commands = {name: [*command, "--depth=1"] for name, command in group.commands.items()}
        return [Group(group.title, commands, rounds=1)]
    keras = _keras("tensorflow", "float32")
    return [
        _training("batch 256, float32", "float32", 256, 2, keras),
        _training("batch 256, bfloat16", "bfloat16", 256, 2, keras | _keras("tensorflow", "bfloat16")),
        _training("batch 64, float32", "float32", 64, 8, keras | _keras("jax", "float32", "--steps=1")),
        _training(
            "batch 64, bfloat16",
            "bfloat16",
            64,
            8,
            keras | _keras("tensorflow", "bfloat16") | _keras("jax", "bfloat16", "--steps=1"),
        ),
    ]


def gpu(quick: bool) -> list[Group]:
    """The same on JAX in bfloat16, augmentation on the device, over batch sizes."""
    groups = []
    for size in (8,) if quick else (256, 512, 1024, 2048, 4096):
        options = ["--backend=jax", f"--batch-size={size}", f"--steps={1 if quick else 51200 // size}"]
        options += ["--depth=1"] if quick else []
        ours = _python("ours", "--precision=bfloat16", *options, "augment.placement=device")
        keras = _python("plain_keras", "--precision=bfloat16", *options)
        torch = _python("plain_torch", "--precision=bfloat16", *options)
        commands = {"vit-train on jax": ours, "Keras on jax": keras, "PyTorch": torch}
        groups.append(Group(f"batch {size}, bfloat16", commands, rounds=1 if quick else 5))
    return groups


def _training(title: str, precision: str, batch: int, steps: int, keras: dict[str, Command]) -> Group:
    options = f"--batch-size={batch}", f"--steps={steps}"
    fewer, rounds = (["--steps=1"], 3) if batch == 256 else ([], 5)
    contenders = {f"vit-train, {precision}": _python("ours", f"--precision={precision}")} | keras
    contenders[f"PyTorch, {precision}"] = _python("plain_torch", f"--precision={precision}", *fewer)
    # What a contender brings along comes last and so counts.
    commands = {name: [*run[:3], *options, *run[3:]] for name, run in contenders.items()}
    return Group(title, commands, steps, rounds)


def _keras(backend: str, precision: str, *options: str) -> dict[str, Command]:
    command = _python("plain_keras", f"--backend={backend}", f"--precision={precision}", *options)
    return {f"Keras on {backend}, {precision}": command}


def recipes(quick: bool) -> list[Group]:
    """Training images per second of the recipes `fast`, whose first half sees 24 pixels, and `compact`."""
    groups = []
    for recipe, size, depth, steps in (("fast", 32, 4, 10), ("fast", 24, 4, 16), ("compact", 32, 6, 4)):
        base = [f"--batch-size={8 if quick else 128}", f"--steps={1 if quick else steps}"]
        keys = [f"--depth={depth}", f"experiment={recipe}", f"model.image_size={size}", "train.low_resolution=null"]
        keys += ["train.low_resolution_epochs=0", "augment=crop", "model.drop_path=0"]
        hand = [f"--image-size={size}", recipe]
        commands = {}
        for precision in ("bfloat16", "float32"):
            commands[f"vit-train, {precision}"] = _python("ours", *base, f"--precision={precision}", *keys)
        commands["vit-train on jax, float32"] = _python("ours", *base, "--backend=jax", *keys)
        for backend, precision in (("tensorflow", "bfloat16"), ("tensorflow", "float32"), ("jax", "float32")):
            alike = [f"--backend={backend}", f"--precision={precision}"]
            alike += ["--steps=1"] if backend == "jax" else []  # a minute, where others take seconds
            commands[f"Keras on {backend}, {precision}"] = _python("fast_keras", *base, *alike, *hand)
        for precision in ("bfloat16", "float32"):
            torch = _python("fast_torch", *base, f"--precision={precision}", *hand)
            commands |= {f"PyTorch, {precision}": torch, f"PyTorch compiled, {precision}": [*torch, "compile"]}
        groups.append(Group(f"{recipe}, {size} pixels", commands, rounds=1 if quick else 7, ours=3))
    return groups[:1] if quick else groups


def finetune(quick: bool) -> list[Group]:
    """Images per second of pretrained models at 224 pixels: features, and training of all weights."""
    groups = []
    for name, task in (
        ("vit_small", "train"),
        ("vit_small", "features"),
        ("vit_tiny", "train"),
        ("vit_tiny", "features"),
    ):
        size = 32 if quick else 224
        base = [f"--batch-size={2 if quick else 16}", f"--steps={1 if quick else 2}", f"--image-size={size}"]
        keys = ["--depth=12", f"model={name}", f"model.image_size={size}"]
        ours = ["ours", "optimizer.clip_norm=1", "augment=none"] if task == "train" else ["ending", "features"]
        commands = {"vit-train": _python(*ours, *base, *keys)}
        for library in ("timm", "transformers"):
            commands[library] = _python("backbone_torch", library, name, task, *base)
        groups.append(Group(f"{name}, {task}", commands, rounds=1 if quick else 7))
    return groups[:2] if quick else groups


def pipeline(quick: bool) -> list[Group]:
    """Images per second of the input pipeline alone."""
    size = ["--batch-size=8", "--steps=2"] if quick else ["--batch-size=256", "--steps=40"]
    kinds = {
        "augment.placement=host": "host",
        "augment.placement=device (uint8)": "device",
        "order and batches alone (uint8)": "order",
        "Keras' layers in a parallel map": "layers",
    }
    commands = {name: _python("pipelines", kind, *size) for name, kind in kinds.items()}
    return [Group("batch 256", commands, rounds=1 if quick else 7, ours=3)]


def start(quick: bool) -> list[Group]:
    """Seconds from the start of a process to the end of its first step, or to its end; memory with one step's batch."""
    rounds = 1 if quick else 3
    size = ["--batch-size=8", "--depth=1"] if quick else ["--batch-size=256"]
    training = {
        "vit-train": _launch(_python("ours", *size)),
        "Keras on tensorflow": _launch(_python("plain_keras", *size)),
    }
    groups = [Group("first step", training, rounds=rounds)]
    for arguments in ("--help", "--cfg job"):
        command = _launch([sys.executable, "-m", "vit_train", *arguments.split()])
        groups.append(Group("command", {f"vit-train {arguments}": command}, rounds=rounds))
    return groups


def end(quick: bool) -> list[Group]:
    """Images per second of the evaluation on the test set; seconds for figures and pages of a run."""
    size = ["--batch-size=8", "--depth=1"] if quick else ["--batch-size=256", "--steps=5"]
    kinds = {"vit-train": "ours", "Keras on tensorflow": "keras"}
    rounds = 1 if quick else 5
    evaluation = {name: _python("ending", kind, *size) for name, kind in kinds.items()}
    report = {"vit-train": _python("ending", "report")}
    return [Group("evaluation", evaluation, rounds=rounds), Group("report", report, rounds=min(rounds, 3))]


def growth(quick: bool) -> list[Group]:
    """Seconds of a step, or of an epoch over all images, as one thing grows."""
    # Images go through a model so small that it shows what happens once per image and once per epoch.
    small = "--depth=1 model.image_size=32 model.patch_size=8 model.projection_dim=16 model.head_units=[]"
    groups = [
        _growing("depth", 8, {size: f"--depth={size}" for size in (2, 4, 8, 16)}, "--batch-size=32"),
        _growing("tokens", 8, {(72 // p) ** 2: f"model.patch_size={p}" for p in (12, 8, 6, 4)}, "--batch-size=32"),
        _growing("width", 4, {size: f"model.projection_dim={size}" for size in (64, 128, 256, 384)}, "--batch-size=32"),
        _growing("batch", 4, {size: f"--batch-size={size}" for size in (32, 128, 512, 1024)}, "--depth=2"),
        _growing("images", 1, {n: f"--images={n} --steps={n}" for n in (1_000, 5_000, 20_000, 50_000)}, small),
    ]
    if not quick:
        return groups
    least = ["--batch-size=2", "--depth=1", "--steps=1"]
    some = [dict(list(group.commands.items())[:2]) for group in groups]
    commands = [{name: [*command, *least] for name, command in each.items()} for each in some]
    return [Group(group.title, each, rounds=1) for group, each in zip(groups, commands, strict=True)]


def _growing(what: str, steps: int, sizes: dict[int, str], options: str) -> Group:
    base = [*options.split(), f"--steps={steps}"]
    return Group(what, {str(n): _python("ours", *base, *size.split()) for n, size in sizes.items()}, steps, rounds=3)


def _python(module: str, *arguments: str) -> Command:
    python = TORCH if module.endswith("torch") else sys.executable
    return [str(python), "-m", f"benchmarks.{module}", *arguments]


def _launch(command: Command) -> Command:
    return [sys.executable, "-m", "benchmarks.launch", *command]


PARTS = {
    "throughput": throughput,
    "recipes": recipes,
    "finetune": finetune,
    "pipeline": pipeline,
    "start": start,
    "end": end,
    "growth": growth,
    "gpu": gpu,
}
