"""The regularizer in TRL's SFTTrainer, with LoRA of PEFT: LLaVA learns to say what a picture shows.

    pip install trl peft
    python examples/sft_lora.py

Data set, processor and collator are those of any TRL run on pictures. In a causal model words see the picture before
them and never the reverse: the language direction of the loss alone exists.
"""

import tempfile

import torch
from datasets import Dataset
from peft import LoraConfig
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from cacr.tiny_models import TINY
from cacr.training import CongruenceTrainerMixin

COLORS = ("red", "green", "blue", "white")


class CongruenceSFTTrainer(CongruenceTrainerMixin, SFTTrainer):
    """SFTTrainer asks the model for log probabilities in place of logits; the mixin needs neither."""


def main(steps: int = 20, weight: float = 10.0) -> CongruenceSFTTrainer:
    """Train, print the first and the last line of the log and what has changed, and return the trainer."""
    torch.manual_seed(0)
    # LlavaForConditionalGeneration, tiny, with random weights. For a real checkpoint change these lines to
    #   model = LlavaForConditionalGeneration.from_pretrained("llava-hf/llava-1.5-7b-hf")
    #   processor = LlavaProcessor.from_pretrained("llava-hf/llava-1.5-7b-hf")
    model = TINY["llava"]().model
    processor = tiny_processor(model.config.image_token_id)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    with tempfile.TemporaryDirectory() as folder:
        args = SFTConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            learning_rate=1e-2,
            max_length=None,  # never cut off a part of a picture
            logging_first_step=True,
            logging_steps=0.2,  # a fifth of the run
            save_strategy="no",
            report_to="none",
            use_cpu=True,  # leave these two out to use a GPU
            bf16=False,
        )
        trainer = CongruenceSFTTrainer(
            model,
            args,
            train_dataset=pictures(),
            processing_class=processor,
            # the regularizer teaches queries and keys of the last layer and all below it: adapt both
            peft_config=LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj)"),
            # options for cacr.attach, which the trainer calls on its model; cacr.attach(model, ...) may stand here too
            regularizer={"weight": weight, "special_ids": processor.tokenizer.all_special_ids},
        )
        print(trainer.regularizer)
        trainer.train()

    lines = [line for line in trainer.state.log_history if "loss" in line]
    for line in (lines[0], lines[-1]):
        task = line["loss"] - line["cacr_loss"]  # the Trainer's loss is their sum
        parts = [f"{name} {line[name]:.3g}" for name in ("cacr_loss", "cacr_weight", "cacr_language")]
        print(f"step {line['step']:3}: loss of the task {task:.3g},", ", ".join(parts))
    after = {name.replace(".base_layer", ""): value for name, value in model.state_dict().items()}
    adapters = [name for name in after if "lora_" in name]
    same = all(torch.equal(after[name], value) for name, value in before.items())
    print(f"{len(adapters)} LoRA tensors were trained; the {len(before)} others are unchanged: {same}")
    return trainer


def pictures() -> Dataset:
    """Prompts, completions and pictures, as TRL wants them."""
    return Dataset.from_list(
        [
            {
                "images": [Image.new("RGB", (32, 32), color)],
                "prompt": "<s> <image> which color is the picture ?",
                "completion": f"the picture is {color} </s>",
            }
            for color in COLORS
        ]
    )


def tiny_processor(image_token_id: int) -> LlavaProcessor:
    """A LLaVA processor that knows the words of `pictures` and reads no file."""
    known = ["<pad>", "<s>", "</s>", "<unk>", "which", "color", "is", "the", "picture", "?", *COLORS]
    vocabulary = {word: index for index, word in enumerate(known)} | {"<image>": image_token_id}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    words = PreTrainedTokenizerFast(tokenizer_object=tokenizer, extra_special_tokens=["<image>"], **special)
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return LlavaProcessor(images, words, patch_size=8, vision_feature_select_strategy="full")


if __name__ == "__main__":
    main()
