"""For labs on fine-tuning: batches, a loop, a score, a small pre-trained model, TRL, adapter files, test helpers.

A model is a LlamaForCausalLM of transformers; it is declared as Any, because transformers' own declarations reject much
that is usual.
"""

from __future__ import annotations

import importlib
import json
import logging
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmlabs.lab.bank_sql import Question
from llmlabs.lab.data import austen
from llmlabs.lab.models import train
from llmlabs.lab.testing import inside_submission, parameters_of

if TYPE_CHECKING:
    import torch

END, PAD = 0, 1
"""The two special tokens of `austen_model`."""


def prompt(question: Question) -> str:
    """What a model is asked; its answer begins with a blank."""
    return f"Question: {question.text}\nSQL:"


def drawn(questions: Sequence[Question], steps: int, size: int) -> list[list[Question]]:
    """Batches of `size` questions, `steps` of them, drawn without repetition until all have been used."""
    rng = random.Random(0)
    order: list[Question] = []
    while len(order) < steps * size:
        order += rng.sample(questions, len(questions))
    return [order[i * size : (i + 1) * size] for i in range(steps)]


def sft_batch(questions: Sequence[Question], tokenizer: Any, before: str = "") -> dict[str, torch.Tensor]:
    """A batch for supervised fine-tuning: the loss counts on the queries and on the end token after each, nowhere else.

    Args:
        questions: with the queries that are right.
        tokenizer: its eos_token ends a query.
        before: text that precedes each prompt.

    Returns:
        {"input_ids", "attention_mask", "labels"}: int64 of shape (N, T), filled up at the right; labels are -100 where
        the loss does not count.
    """
    import torch

    rows = []
    for question in questions:
        asked = tokenizer(before + prompt(question)).input_ids
        rows.append((asked, [*tokenizer(f" {question.sql}").input_ids, tokenizer.eos_token_id]))
    longest = max(len(asked) + len(answer) for asked, answer in rows)
    batch: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
    for asked, answer in rows:
        used = len(asked) + len(answer)
        rest = longest - used
        batch["input_ids"].append([*asked, *answer] + [tokenizer.eos_token_id] * rest)
        batch["attention_mask"].append([1] * used + [0] * rest)
        batch["labels"].append([-100] * len(asked) + answer + [-100] * rest)
    return {name: torch.tensor(values) for name, values in batch.items()}


def prose_batch(ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """A batch of plain text (N, T): the loss counts on every token but the first."""
    import torch

    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def _answers(model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (n, V) where a label counts, those labels, and the row of each; other positions spare the output layer."""
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    labels = batch["labels"][:, 1:]
    counts = labels != -100
    return model.lm_head(hidden[:, :-1][counts]).float(), labels[counts], counts.nonzero()[:, 0]


def fit(model: Any, batches: Sequence[Mapping[str, torch.Tensor]], lr: float, warmup: int) -> Iterator[float]:
    """Train what requires a gradient with AdamW, one batch a step; yield the loss of each step.

    The learning rate rises linearly to `lr` in `warmup` steps, then falls linearly to 0.
    """
    import torch
    from transformers import get_linear_schedule_with_warmup

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, len(batches))
    for batch in batches:
        logits, labels, _ = _answers(model, batch)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield loss.item()


def score(model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[float, float]:
    """(Loss in nats a token, share of rows where each token that counts is the likeliest one after those before it).

    Greedy decoding gives exactly the answers of those rows, so that nothing needs to be generated.
    """
    import torch

    with torch.no_grad():
        logits, labels, rows = _answers(model, batch)
    wrong = rows[logits.argmax(-1) != labels].unique()
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    return loss, 1 - len(wrong) / len(batch["labels"])


def follow(
    model: Any,
    batches: Sequence[Mapping[str, torch.Tensor]],
    lr: float,
    warmup: int,
    new: Mapping[str, torch.Tensor],
    old: Mapping[str, torch.Tensor],
) -> tuple[list[float], list[tuple[float, float]]]:
    """`fit`, and on the way what is learned and forgotten.

    Args:
        model, batches, lr, warmup: as for `fit`.
        new, old: held-out batches, of the task that is learned and of what the model knew before.

    Returns:
        (the loss of each step, the losses on (new, old) at the start and after every tenth step).
    """
    curve, path = list[float](), [(score(model, new)[0], score(model, old)[0])]
    for step, loss in enumerate(fit(model, batches, lr, warmup), 1):
        curve.append(loss)
        if step % 10 == 0:
            path.append((score(model, new)[0], score(model, old)[0]))
    return curve, path


def write_queries(model: Any, tokenizer: Any, questions: Sequence[Question]) -> list[str]:
    """What a model answers, by greedy decoding."""
    end = tokenizer.eos_token_id
    tokenizer.padding_side = "left"  # the model writes on at the right
    asked = tokenizer([prompt(question) for question in questions], return_tensors="pt", padding=True).to(model.device)
    written = model.generate(**asked, max_new_tokens=28, do_sample=False, eos_token_id=end, pad_token_id=end)
    answers: list[str] = tokenizer.batch_decode(written[:, asked.input_ids.shape[1] :], skip_special_tokens=True)
    return [answer.strip() for answer in answers]


def replace_layers(model: torch.nn.Module, kind: type, make: Callable[[Any], torch.nn.Module]) -> None:
    """Put `make(layer)` in the place of each layer of this kind."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, kind):
                setattr(parent, name, make(layer))


def write_adapter(
    folder: str, tensors: Mapping[str, torch.Tensor], r: int, alpha: float, targets: Sequence[str]
) -> int:
    """Write an adapter as PEFT does: adapter_config.json and adapter_model.safetensors.

    Args:
        folder: where; it must exist.
        tensors: by PEFT's names.
        r, alpha, targets: of the adapters.

    Returns:
        The size of the second file in bytes.
    """
    from safetensors.torch import save_file

    kind = {"peft_type": "LORA", "task_type": "CAUSAL_LM"}
    settings = kind | {"r": r, "lora_alpha": alpha, "target_modules": list(targets)}
    Path(folder, "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    save_file(dict(tensors), Path(folder, "adapter_model.safetensors"))
    return Path(folder, "adapter_model.safetensors").stat().st_size


def load_in_4_bits(name: str, device: str = "cuda") -> tuple[Any, Any]:
    """A model of the public hub or of a folder in NF4 with double quantisation, ready for QLoRA, and its tokenizer."""
    import torch
    from peft import prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(
        name, quantization_config=quantization, dtype=torch.bfloat16, device_map={"": device}
    )
    tokenizer = AutoTokenizer.from_pretrained(name)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=device != "cpu"), tokenizer


def austen_model(steps: int = 150, width: int = 128) -> tuple[Any, Any, torch.Tensor]:
    """Pre-train a Llama of transformers on two of Jane Austen's novels: 2 layers, 512 byte-level BPE tokens.

    Args:
        steps: of 12 x 64 tokens.
        width: of the hidden layer; 128 makes 361,088 parameters.

    Returns:
        (model, tokenizer, held-out text of shape (64, 64)): a LlamaForCausalLM, a PreTrainedTokenizerFast, int64 ids.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    text = austen("emma") + austen("persuasion")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<end>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator([text[:300_000]], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>", pad_token="<pad>")
    ids = torch.tensor(bpe.encode(text).ids)
    learned, held_out = ids[: -64 * 64], ids[-64 * 64 :].view(64, 64)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(0)

    def loss_of_batch() -> torch.Tensor:
        starts = torch.randint(0, len(learned) - 65, (12,), generator=generator)
        x = torch.stack([learned[start : start + 65] for start in starts])
        logits = model(input_ids=x[:, :-1]).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten())

    train(model, loss_of_batch, steps, lr=3e-3)
    return model.eval(), tokenizer, held_out


def trl_losses(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[tuple[str, str]],
    batch_size: int,
    lr: float,
    warmup: int,
    adapter: Any = None,
    start: dict[str, torch.Tensor] | None = None,
    use_cpu: bool = True,
    **settings: Any,
) -> list[float]:
    """Fine-tune with TRL's SFTTrainer on the completions of (prompt, completion) pairs, in this order, once.

    AdamW without decay and without clipping; the rate rises linearly over `warmup` steps, then falls linearly to 0.

    Args:
        model: changed in place.
        tokenizer: its eos_token is put after each completion.
        pairs: as many as are to be trained on, batch after batch.
        batch_size: pairs in a step.
        lr: the highest learning rate.
        warmup: a number of steps.
        adapter: PEFT's configuration of an adapter that is put on the model and trained alone; None trains all of it.
        start: the adapter's first values, by the names of its parameters.
        use_cpu: without it the trainer takes a GPU, and fails where there is none.
        settings: anything else of SFTConfig, in place of what is said here.

    Returns:
        The loss of each step.
    """
    import torch

    # their own declarations reject usual arguments, or are missing
    datasets: Any = importlib.import_module("datasets")
    trl: Any = importlib.import_module("trl")
    printer = importlib.import_module("transformers.trainer_callback").PrinterCallback

    logging.getLogger("trl").setLevel(logging.ERROR)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        choices: dict[str, Any] = {
            "learning_rate": lr,
            "warmup_steps": warmup,
            "lr_scheduler_type": "linear",
            "weight_decay": 0.0,
            "max_grad_norm": 0.0,  # 0 turns clipping off
            "optim": "adamw_torch",
            "bf16": False,
            "gradient_checkpointing": False,
            "completion_only_loss": True,
        }
        arguments = trl.SFTConfig(
            output_dir=folder,
            use_cpu=use_cpu,
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **(choices | settings),
        )
        datasets.disable_progress_bars()
        data = datasets.Dataset.from_list(
            [{"prompt": prompt, "completion": completion} for prompt, completion in pairs]
        )
        trainer = trl.SFTTrainer(
            model=model, args=arguments, train_dataset=data, processing_class=tokenizer, peft_config=adapter
        )
        own = dict(trainer.model.named_parameters())
        for name, value in (start or {}).items():
            own[name].detach().copy_(value)
        trainer.remove_callback(printer)
        with torch.random.fork_rng():
            trainer.train()
        datasets.enable_progress_bars()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def assert_near(
    got: torch.Tensor, want: torch.Tensor, why: str, share: float = 1e-4, dtype: torch.dtype | None = None
) -> None:
    """Raise AssertionError unless got has want's shape and is near it: off by at most `share` of want's largest entry.

    Args:
        got: a floating-point tensor; it is compared in float32.
        want: what is expected.
        why: what was given, and the likely mistake; the message begins with it.
        share: 1e-4 is far above the rounding of short float32 sums, and far below any wrong formula.
        dtype: of got; any if None.
    """
    if dtype not in (None, got.dtype):
        raise AssertionError(f"{why}: {dtype} expected, got {got.dtype}")
    if tuple(got.shape) != tuple(want.shape):
        raise AssertionError(f"{why}: shape {tuple(want.shape)} expected, got {tuple(got.shape)}")
    found, right = got.detach().float(), want.detach().float()
    limit = share * max(1e-3, float(right.abs().max()))
    worst = float((found - right).abs().nan_to_num(float("inf")).max())
    if worst > limit:
        row = int((found - right).abs().nan_to_num(float("inf")).argmax())
        there = (
            f"at entry {row} of {right.numel()}: {right.flatten()[row]:.6g} expected, got {found.flatten()[row]:.6g}"
        )
        raise AssertionError(f"{why}: {there}; at most {limit:.2g} apart allowed")


def check_start(layer: torch.nn.Module, inputs: int, outputs: int, r: int) -> None:
    """Raise AssertionError unless a new LoRA layer trains A and B alone, both float32, B is 0, and A random.

    Args:
        layer: as it was made, with the parameters `A` (r, inputs) and `B` (outputs, r).
        inputs, outputs, r: its sizes; r * inputs should be at least 500.
    """
    why, shapes, start = f"{inputs} inputs, {outputs} outputs, r {r}", trainable_shapes(layer), parameters_of(layer)
    expected = {"A": (r, inputs), "B": (outputs, r)}
    if shapes != expected:
        raise AssertionError(f"{why}: {expected} should be trained and nothing else, got {shapes}")
    if types := {str(start[name].dtype) for name in "AB"} - {"torch.float32"}:
        raise AssertionError(f"{why}: A and B should be float32 whatever the base has, got {types}")
    if start["B"].any():
        raise AssertionError(f"{why}: B should start at 0, so that the layer starts as its base")
    a = start["A"] * inputs**0.5
    most, spread, mean = float(a.abs().max()), float(a.std()), float(a.mean())
    # 500 uniform draws know their spread to 2 %, and the mean to 0.026; their largest is above 0.98 but once in 20,000
    if not (0.95 < most < 1.0001 and abs(spread / 3**-0.5 - 1) < 0.1 and abs(mean) < 0.13):
        found = f"got a largest of {most:.3f}, a spread of {spread:.3f}, a mean of {mean:.3f}"
        raise AssertionError(f"{why}: A times sqrt(in): uniform from -1 to 1, of spread 0.577, expected; {found}")
    if min(float(a.std(0).min()), float(a.std(1).min())) == 0:
        raise AssertionError(f"{why}: a row or column of A repeats one number; draw every entry on its own")


@inside_submission
def trainable_shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter that requires a gradient, by name."""
    return {name: tuple(p.shape) for name, p in module.named_parameters() if p.requires_grad}


@inside_submission
def logits_of(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The logits of a model of transformers for int64 ids (N, T), without a gradient."""
    import torch

    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids).logits
    return logits


@inside_submission
def not_copied(function: Callable[[Any], Mapping[str, torch.Tensor]], module: torch.nn.Module) -> str:
    """What keeps a tensor of `function(module)` from being a copy of a parameter for good; "" if nothing does."""
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    for name, tensor in function(module).items():
        if tensor.untyped_storage().data_ptr() in own:
            return f"{name} lies in the same memory as the model's parameter, and will change with it"
        if tensor.requires_grad:
            return f"{name} requires a gradient"
    return ""


def _tensors_in(value: Any, modules: bool) -> Iterator[torch.Tensor]:
    """The tensors in a value: itself, in lists, tuples, sets and mappings, and, if asked for, in modules."""
    import torch

    seen, todo = set[int](), [value]
    while todo:
        value = todo.pop()
        if isinstance(value, torch.Tensor):
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            inner = vars(value) if modules and isinstance(value, torch.nn.Module) else value
            if isinstance(inner, Mapping):
                todo += inner.values()
            elif isinstance(inner, list | tuple | set):
                todo += inner


@inside_submission
def held_bytes(module: torch.nn.Module) -> int:
    """The bytes of all tensors that a module holds: parameters, buffers, attributes, those in lists and modules too."""
    storages = [tensor.untyped_storage() for tensor in _tensors_in(module, modules=True)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@inside_submission
def bytes_kept_for_backward(module: torch.nn.Module, x: torch.Tensor) -> int:
    """The bytes kept between the forward and the backward pass of `module(x)`, each tensor once.

    They are what autograd saves and what a `torch.autograd.Function` leaves on its ctx. A module on a ctx counts
    nothing: `held_bytes` counts what it holds.
    """
    import torch

    found: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        found[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(x.detach().clone().requires_grad_())
    todo, done = [out.grad_fn], set[Any]()
    while todo:
        node = todo.pop()
        if node is not None and node not in done:
            done.add(node)  # the ctx of a Function is its node in the graph
            for tensor in _tensors_in(dict(getattr(node, "__dict__", {})), modules=False):
                found[tensor.data_ptr()] = tensor.nbytes
            todo += [below for below, _ in node.next_functions]
    return sum(found.values())
