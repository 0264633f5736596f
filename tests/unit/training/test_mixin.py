"""CongruenceTrainerMixin adds the regularizer exactly, logs its parts, follows the Trainer's steps, and resumes."""

import gc
import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close
from transformers import Trainer, TrainingArguments

import cacr
from cacr.tiny_models import TINY
from cacr.training import CongruenceTrainerMixin

OLD_NAME = "ignore:.*gradient_checkpointing. is deprecated:FutureWarning"  # transformers 5.23; 5.20 has no other name
NAMES = ["llava", "visual_bert", "uniter"]
"""Takes the number of a step's tokens, has a parameter for it and ignores it, has none."""
PICTURES = {"pixel_values", "visual_embeds", "region_features"}


@pytest.fixture(autouse=True, scope="module")
def _quick():
    """The Trainer collects garbage at each start, which takes longer than a tiny run: of all that is loaded by now."""
    gc.freeze()
    yield
    gc.unfreeze()


class CongruenceTrainer(CongruenceTrainerMixin, Trainer):
    pass


def rows(name, count, dtype=torch.float64):
    """Examples one by one: the words of the tiny batch in turn, each with a picture of its own."""
    inputs = TINY[name]().inputs
    examples = [{key: value[i % 2].clone() for key, value in inputs.items()} for i in range(count)]
    generator = torch.Generator().manual_seed(0)
    for example in examples:
        for key, value in example.items():
            if key in PICTURES:
                example[key] = torch.randn(value.shape, generator=generator, dtype=dtype)
            elif value.is_floating_point():
                example[key] = value.to(dtype)
    return examples


def stacked(examples):
    return {key: torch.stack([example[key] for example in examples]) for key in examples[0]}


def trainer_of(
    folder,
    name="llava",
    kind=CongruenceTrainer,
    data=4,
    options=None,
    dtype=torch.float64,
    **more,
):
    """A trainer of plain SGD, so that weights show the gradient, in double precision.

    Args:
        data: Examples, or how many.
        options: Of the regularizer.
        more: Arguments of the Trainer, or of TrainingArguments.
    """
    arguments = {
        "max_steps": 1,
        "per_device_train_batch_size": 4,
        "learning_rate": 0.1,
        "lr_scheduler_type": "constant",
        "optim": "sgd",
        "max_grad_norm": 0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    own = {"data_collator": stacked}
    own |= {key: more.pop(key) for key in ("data_collator", "compute_loss_func") if key in more}
    if issubclass(kind, CongruenceTrainerMixin):
        own["regularizer"] = {"weight": 100.0} | (options or {})
    return kind(
        TINY[name]().model.to(dtype),
        TrainingArguments(str(folder), **arguments | more),
        train_dataset=rows(name, data, dtype) if isinstance(data, int) else data,
        eval_dataset=rows(name, 3, dtype),
        **own,
    )


def weights(trainer):
    return {key: value.detach().clone() for key, value in trainer.model.named_parameters()}


def trained(folder, *args, **kwargs):
    trainer = trainer_of(folder, *args, **kwargs)
    trainer.train()
    return weights(trainer)


def difference(some, others):
    return {key: some[key] - others[key] for key in some}


def largest(values):
    return max(value.abs().max().item() for value in values.values())


def lines_of(trainer, key="loss"):
    return [line for line in trainer.state.log_history if key in line]


# The gradient is that of the mean over the examples of a step, however they are cut


class Mean(Trainer):
    loss_is_scaled_for_ga = False


class CongruenceMean(CongruenceTrainerMixin, Mean):
    pass


def own_function(outputs, labels, num_items_in_batch):
    """Divided by all that the step has already: the Trainer leaves it alone."""
    return F.cross_entropy(outputs.itm_logits, labels, reduction="sum") / num_items_in_batch


KINDS = {
    "stock": ((Trainer, CongruenceTrainer), {}),
    "a declared mean": ((Mean, CongruenceMean), {}),
    "a loss function": ((Trainer, CongruenceTrainer), {"compute_loss_func": own_function}),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "stock") for name in NAMES), ("llava", "a declared mean"), ("uniter", "a loss function")],
)
@pytest.mark.parametrize(("count", "batch", "accumulation"), [(4, 1, 4), (5, 2, 3), (3, 1, 4)])
def test_what_the_regularizer_teaches_does_not_depend_on_micro_batches(
    tmp_path, name, kind, count, batch, accumulation
):
    """The epoch of 3 ends in the middle of a step.

    Only its own part is compared: stock losses of a micro-batch are means, whose mean depends on the cut.
    """
    (stock, ours), more = KINDS[kind]
    taught = []
    for size, steps in ((count, 1), (batch, accumulation)):
        cut = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps, "data": count}
        with_it = trained(tmp_path, name, ours, **cut, **more)
        taught.append(difference(with_it, trained(tmp_path, name, stock, **cut, **more)))
    whole, pieces = taught
    assert largest(whole) > 0.01
    for key in whole:
        assert_close(pieces[key], whole[key], atol=1e-6, rtol=0, msg=key)


@pytest.mark.parametrize(("count", "batch", "accumulation"), [(4, 1, 4), (5, 2, 3), (7, 2, 2)])
def test_a_model_that_sums_over_the_step_learns_the_same_from_micro_batches(
    tmp_path, count, batch, accumulation
):
    """Two optimizer steps of 4 and 3 examples in the last case."""
    window = min(count, batch * accumulation)
    steps = {"max_steps": math.ceil(count / window), "data": count}
    whole = trained(tmp_path, per_device_train_batch_size=window, **steps)
    cut = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    pieces = trained(tmp_path, **cut, **steps)
    for key in whole:
        assert_close(pieces[key], whole[key], atol=1e-6, rtol=0, msg=key)
    without = trained(tmp_path, kind=Trainer, per_device_train_batch_size=window, **steps)
    assert largest(difference(whole, without)) > 0.01


def test_the_models_are_of_the_kinds_that_the_trainer_tells_apart(tmp_path):
    takes = [trainer_of(tmp_path, name).model_accepts_loss_kwargs for name in NAMES]
    assert takes == [True, True, False]


def test_it_is_the_gradient_of_a_plain_loop(tmp_path):
    """Two optimizer steps, of 4 examples and of 3, which the Trainer has in micro-batches."""
    batches = []

    def noted(examples):
        batches.append(stacked(examples))
        return batches[-1]

    cut = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "max_steps": 2}
    learned = trained(tmp_path, data=7, data_collator=noted, **cut)
    model = TINY["llava"]().model.double().train()
    cacr.attach(model, weight=100.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for one, other in (batches[:2], batches[2:4]):
        out = model(**{key: torch.cat([one[key], other[key]]) for key in one})
        (out.loss + out.cacr_loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    for key, value in learned.items():
        assert_close(value, model.get_parameter(key).detach(), atol=1e-6, rtol=0, msg=key)


@pytest.mark.filterwarnings(OLD_NAME)
def test_trl_learns_the_same_from_micro_batches(tmp_path):
    """SFTTrainer takes log probabilities in place of the model's loss, and divides by the step's tokens itself."""
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    class CongruenceSFTTrainer(CongruenceTrainerMixin, trl.SFTTrainer):
        pass

    examples = rows("llava", 5)
    data = datasets.Dataset.from_list([{"input_ids": [i], "labels": [i]} for i in range(5)])

    def learned(kind, batch, accumulation):
        more = {"regularizer": {"weight": 100.0}} if kind is CongruenceSFTTrainer else {}
        trainer = kind(
            TINY["llava"]().model.double(),
            trl.SFTConfig(
                str(tmp_path),
                max_steps=1,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=accumulation,
                learning_rate=0.1,
                lr_scheduler_type="constant",
                optim="sgd",
                max_grad_norm=0,
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                bf16=False,
                dataset_kwargs={"skip_prepare_dataset": True},
                logging_steps=1,
            ),
            data_collator=lambda chosen: stacked([examples[one["input_ids"][0]] for one in chosen]),
            train_dataset=data,
            processing_class=PreTrainedTokenizerFast(
                tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0})), pad_token="<pad>"
            ),
            **more,
        )
        trainer.train()
        return weights(trainer), trainer

    whole, trainer = learned(CongruenceSFTTrainer, 5, 1)
    pieces, _ = learned(CongruenceSFTTrainer, 2, 3)
    for key in whole:
        assert_close(pieces[key], whole[key], atol=1e-6, rtol=0, msg=key)
    without, _ = learned(trl.SFTTrainer, 5, 1)
    assert largest(difference(whole, without)) > 0.01
    (line,) = lines_of(trainer)
    assert line["cacr_loss"] > 0 and "mean_token_accuracy" in line


def test_with_some_examples_selected_the_cut_does_not_matter_either(tmp_path):
    data = rows("llava", 4)
    for example, word in zip(data, (50, 51, 51, 51), strict=True):
        example["input_ids"][1] = word
    options = {"select": lambda inputs: inputs["input_ids"][:, 1] == 50}
    whole = trained(tmp_path, data=data, options=options)
    cut = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    pieces = trained(tmp_path, data=data, options=options, **cut)
    assert largest(difference(whole, pieces)) < 1e-6


def test_a_slice_counts_the_examples_that_it_leaves_in_each_batch(tmp_path):
    """Batches of 4 and of 2, of which 3 and 1 are regularized: their parts are 3/4 and 1/4."""
    cut = {"data": 6, "gradient_accumulation_steps": 2}
    told = lambda inputs: torch.arange(len(inputs["input_ids"])) >= 1
    by_slice, by_mask = (
        trained(tmp_path, options={"select": select}, **cut) for select in (slice(1, None), told)
    )
    assert largest(difference(by_slice, by_mask)) < 1e-12


@pytest.mark.parametrize("first", ["input_ids", "pixel_values"])
def test_pictures_of_several_sizes_count_alike(tmp_path, first):
    """Qwen's processors put the patches of all pictures in one tensor, whose length is not the batch's."""
    inputs = TINY["qwen2_vl"]().inputs
    patches = inputs["pixel_values"].split(inputs["image_grid_thw"].prod(1).tolist())
    data = [
        {key: value[i] for key, value in inputs.items()} | {"pixel_values": patches[i].double()}
        for i in (0, 1)
    ]

    def collator(examples):
        text = [{key: value for key, value in one.items() if key != "pixel_values"} for one in examples]
        batch = stacked(text) | {"pixel_values": torch.cat([one["pixel_values"] for one in examples])}
        return {first: batch[first]} | batch

    options = {"data": data, "data_collator": collator}
    whole = trained(tmp_path, "qwen2_vl", per_device_train_batch_size=2, **options)
    cut = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2}
    pieces = trained(tmp_path, "qwen2_vl", **cut, **options)
    assert largest(difference(whole, pieces)) < 1e-6


# The log, and evaluation


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_stand_in_the_log_beside_the_loss(tmp_path, name):
    trainer = trainer_of(tmp_path, name, max_steps=3)
    trainer.train()
    lines = lines_of(trainer)
    assert [line["step"] for line in lines] == [1, 2, 3]
    for line in lines:
        parts = {key for key in line if key.startswith("cacr_")}
        assert parts == {"cacr_loss", "cacr_weight", "cacr_language"} | (
            {"cacr_vision"} if name != "llava" else set()
        )
        assert line["cacr_weight"] == 100.0 and line["cacr_language"] > 0
        nats = line["cacr_language"] + line.get("cacr_vision", 0.0)
        assert line["cacr_loss"] == pytest.approx(100.0 * nats)
    stock = trainer_of(tmp_path, name, Trainer)
    stock.train()
    (line,) = lines_of(stock)
    assert lines[0]["loss"] == pytest.approx(line["loss"] + lines[0]["cacr_loss"])


def test_a_line_has_the_mean_of_the_steps_since_the_last(tmp_path):
    every, second = trainer_of(tmp_path, max_steps=4), trainer_of(tmp_path, max_steps=4, logging_steps=2)
    every.train()
    second.train()
    for key in ("cacr_loss", "cacr_language"):
        one = [line[key] for line in lines_of(every)]
        two = [line[key] for line in lines_of(second)]
        assert two == pytest.approx([(one[0] + one[1]) / 2, (one[2] + one[3]) / 2])


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_stock(tmp_path, name):
    ours, stock = trainer_of(tmp_path, name), trainer_of(tmp_path, name, Trainer)
    theirs, found = stock.evaluate(), ours.evaluate()
    assert found.keys() == theirs.keys()
    assert found["eval_loss"] == theirs["eval_loss"]
    assert not ours.regularizer.last  # nothing was watched
    logits, their_logits = (one.predict(one.eval_dataset).predictions for one in (ours, stock))
    assert len(flat(logits)) == len(flat(their_logits))
    assert all((one == other).all() for one, other in zip(flat(logits), flat(their_logits), strict=True))


def flat(values):
    return [part for value in values for part in flat(value)] if isinstance(values, tuple) else [values]


def test_evaluation_amid_training_changes_nothing(tmp_path):
    plain = trainer_of(tmp_path, max_steps=4, logging_steps=2)
    plain.train()
    evaluated = trainer_of(tmp_path, max_steps=4, logging_steps=2, eval_strategy="steps", eval_steps=1)
    evaluated.train()
    assert all(torch.equal(value, weights(plain)[key]) for key, value in weights(evaluated).items())
    assert [line["cacr_loss"] for line in lines_of(evaluated)] == [
        line["cacr_loss"] for line in lines_of(plain)
    ]
    lines = lines_of(evaluated, "eval_loss")
    assert len(lines) == 4
    assert not [key for line in lines for key in line if "cacr" in key]


# The schedule, and going on


def exp_weights(steps, total):
    return pytest.approx([100.0 * math.exp(5 * (step / total - 1)) for step in steps])


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_schedule_runs_over_the_steps_of_the_trainer(tmp_path, accumulation):
    trainer = trainer_of(
        tmp_path,
        options={"schedule": "exp"},
        max_steps=6,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=accumulation,
    )
    trainer.train()
    assert [line["cacr_weight"] for line in lines_of(trainer)] == exp_weights(range(6), 6)


def test_the_schedule_may_be_longer_than_the_run(tmp_path):
    trainer = trainer_of(tmp_path, options={"schedule": "exp", "total_steps": 12}, max_steps=3)
    trainer.train()
    assert [line["cacr_weight"] for line in lines_of(trainer)] == exp_weights(range(3), 12)


# not LLaVA: the Trainer of transformers 5.23 saves it under names that it does not find when it resumes
@pytest.mark.parametrize("name", ["git", "visual_bert", "uniter"])
def test_a_resumed_run_goes_on_with_the_right_weight_to_the_same_parameters(tmp_path, name):
    run = {"options": {"schedule": "exp"}, "max_steps": 6, "optim": "adamw_torch", "learning_rate": 1e-3}
    run |= {"data": 6, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    whole = trainer_of(tmp_path, name, save_strategy="steps", save_steps=2, **run)
    whole.train()
    resumed = trainer_of(tmp_path, name, **run)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    lines = lines_of(resumed)[4:]  # the first four are those of the checkpoint
    assert [line["step"] for line in lines] == [5, 6]
    assert [line["cacr_weight"] for line in lines] == exp_weights([4, 5], 6)
    assert [line["cacr_loss"] for line in lines] == [line["cacr_loss"] for line in lines_of(whole)[4:]]
    for key, value in weights(resumed).items():
        assert torch.equal(value, weights(whole)[key]), key


# Arguments


def test_options_attach_to_the_model_of_the_trainer(tmp_path):
    trainer = trainer_of(tmp_path, options={"layer": 0})
    assert trainer.regularizer.model is trainer.model
    assert trainer.regularizer.layers == [0] and trainer.regularizer.weight == 100.0


def test_options_and_a_regularizer_are_the_same(tmp_path):
    model = TINY["llava"]().model.double()
    reg = cacr.attach(model, weight=100.0)
    args = trainer_of(tmp_path).args
    trainer = CongruenceTrainer(model, args, stacked, train_dataset=rows("llava", 4), regularizer=reg)
    trainer.train()
    assert trainer.regularizer is reg
    for key, value in trained(tmp_path).items():
        assert torch.equal(value, weights(trainer)[key]), key


def test_what_is_no_regularizer_is_refused(tmp_path):
    args = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    with pytest.raises(
        TypeError,
        match=r"regularizer is a str; expected what cacr.attach\(model\) returns.*\{\"weight\": 0.1\}",
    ):
        CongruenceTrainer(TINY["llava"]().model, args, regularizer="cacr")
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'regularizer'"):
        CongruenceTrainer(TINY["llava"]().model, args)


@pytest.mark.parametrize("attached", [True, False])
def test_a_loss_that_would_count_twice_is_refused(tmp_path, attached):
    model = TINY["llava"]().model
    options = {"add_to_loss": True, "accumulation_steps": 1}
    given = cacr.attach(model, **options) if attached else options
    args = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    with pytest.raises(ValueError, match="attached with add_to_loss=True; the mixin adds it itself"):
        CongruenceTrainer(model, args, regularizer=given)


def test_a_compute_loss_that_hides_the_mixin_s_is_noticed(tmp_path):
    class Hiding(CongruenceTrainerMixin, Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            return model(**inputs).loss

    with pytest.raises(
        RuntimeError, match="the regularizer was not added: Hiding has a compute_loss that hides"
    ):
        trainer_of(tmp_path, kind=Hiding).train()


def test_a_regularizer_on_another_model_is_refused(tmp_path):
    args = trainer_of(tmp_path).args
    reg = cacr.attach(TINY["llava"]().model)
    with pytest.raises(ValueError, match="attached to another LlavaForConditionalGeneration than the one"):
        CongruenceTrainer(
            TINY["llava"]().model, args, stacked, train_dataset=rows("llava", 4), regularizer=reg
        )


def test_options_follow_the_model_that_model_init_makes(tmp_path):
    trainer = CongruenceTrainer(
        args=trainer_of(tmp_path).args,
        data_collator=stacked,
        train_dataset=rows("llava", 4),
        model_init=lambda: TINY["llava"]().model.double(),
        regularizer={"weight": 100.0},
    )
    trainer.train()
    assert trainer.regularizer.model is trainer.model
    for key, value in trained(tmp_path).items():
        assert torch.equal(value, weights(trainer)[key]), key


def test_blocks_without_a_loss_are_refused(tmp_path):
    with pytest.raises(ValueError, match="attached without a loss"):
        trainer_of(tmp_path, options={"loss": None})


def test_select_sees_what_never_reaches_the_model(tmp_path):
    """The labels of a matching loss; micro-batches without a match count for nothing."""

    class Popping(Mean):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = F.cross_entropy(outputs.itm_logits, labels)
            return (loss, outputs) if return_outputs else loss

    class CongruencePopping(CongruenceTrainerMixin, Popping):
        pass

    data = rows("uniter", 4)
    for example, label in zip(data, (1, 0, 0, 0), strict=True):
        example["labels"] = torch.tensor(label)
    changes = {}
    for size in (4, 1):
        cut = {"per_device_train_batch_size": size, "gradient_accumulation_steps": 4 // size}
        options = {"select": lambda batch: batch["labels"] == 1}
        ours = trained(tmp_path, "uniter", CongruencePopping, data=data, options=options, **cut)
        changes[size] = difference(ours, trained(tmp_path, "uniter", Popping, data=data, **cut))
    assert largest(changes[4]) > 0.01
    for key, value in changes[4].items():
        assert_close(changes[1][key], value, atol=1e-6, rtol=0, msg=key)


# Precision and memory


@pytest.mark.parametrize("name", ["llava", "visual_bert"])
def test_bf16_runs_and_sees_nearly_the_same_loss(tmp_path, name):
    full, half = (trainer_of(tmp_path, name, dtype=torch.float32, bf16=bf16) for bf16 in (False, True))
    before = weights(half)
    full.train()
    half.train()
    (exact,), (rounded,) = lines_of(full), lines_of(half)
    assert exact["cacr_loss"] != rounded["cacr_loss"]
    assert rounded["cacr_loss"] == pytest.approx(exact["cacr_loss"], rel=0.05)
    assert all(value.isfinite().all() for value in weights(half).values())
    assert largest(difference(weights(half), before)) > 0.01


@pytest.mark.filterwarnings(OLD_NAME)
@pytest.mark.parametrize("name", ["llava", "visual_bert"])
def test_gradient_checkpointing_learns_the_same(tmp_path, name):
    plain = trained(tmp_path, name, max_steps=2)
    saving = trained(tmp_path, name, max_steps=2, gradient_checkpointing=True)
    for key, value in saving.items():
        assert_close(value, plain[key], atol=1e-6, rtol=0, msg=key)
