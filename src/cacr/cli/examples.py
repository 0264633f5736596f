"""Examples of every command, as its ``--help`` shows them; a test holds each to the options that there are.

Names in capitals are the reader's own: RUN is a folder made by ``cacr train``, MODEL whatever ``cacr eval`` takes.
"""

from __future__ import annotations

EXAMPLES: dict[str, dict[str, str]] = {
    "demo": {
        "all of it, as the README tells": "cacr demo",
        "all of it in small: one seed, few steps": "cacr demo --seeds 1 --steps 60 --out runs/demo",
        "go on after Ctrl-C": "cacr demo --resume --out runs/demo",
        "7 seeds of 1,200 steps": "cacr demo --full",
    },
    "train": {
        "the packaged recipe, on the shipped model": "cacr train scenes --out runs/cacr",
        "the same without an attention loss, to compare with": "cacr train scenes --loss none --out runs/none",
        "go on after a kill, from the last checkpoint": "cacr train scenes --out runs/cacr --resume",
        "your captioned pictures, on 4 GPUs": (
            "torchrun --nproc-per-node 4 -m cacr train photographs --data PHOTOS --out RUN"
        ),
    },
    "sweep": {
        "8 trials of the packaged recipe's search": "cacr sweep scenes --trials 8 --out runs/search",
        "more trials of the same search": "cacr sweep scenes --trials 20 --out runs/search --resume",
    },
    "study": {
        "the packaged plan; Ctrl-C leaves a report of whole seeds": "cacr study --out runs/study",
        "go on, with 4 processes": "cacr study --out runs/study --workers 4 --resume",
        "a plan of your own (docs/study.md)": "cacr study PLAN.toml --out runs/mine",
    },
    "eval": {
        "the shipped model, on fresh scenes": "cacr eval scenes-start scenes --out runs/start",
        "the same numbers for a program": "cacr eval scenes-start scenes --out runs/json --json",
        "chance, as a measured row": "cacr eval random scenes --out runs/chance",
        "a model on the hub, and pictures": (
            "cacr eval openai/clip-vit-base-patch32 winoground --data WINOGROUND"
        ),
    },
    "benchmarks": {
        "all, a line each": "cacr benchmarks",
        "what one asks, and how to get its files": "cacr benchmarks winoground",
    },
    "compare": {
        "the second against the first, example by example": "cacr compare runs/start runs/chance",
        "every run against one, for a paper": (
            "cacr compare runs/a runs/b --against runs/start --form latex --plot scores.pdf"
        ),
    },
    "rescore": {
        "the tables once more": "cacr rescore runs/start",
        "as Markdown, with a plot": "cacr rescore runs/start --form markdown --plot scores.png",
    },
    "explore": {
        "the shipped model on scenes": "cacr explore scenes-start",
        "before and after fine-tuning, 5 pairs": "cacr explore RUN/model --compare scenes-start --n 5",
        "one photograph and a sentence": (
            'cacr explore MODEL --pairs photo.jpg --caption "a mug in some grass"'
        ),
        "figures for a paper": "cacr explore scenes-start --n 3 --figures figures --form pdf",
    },
    "analyze": {
        "the shipped model, 50 examples": "cacr analyze scenes-start --n 50 --out runs/analysis",
        "what fine-tuning changed": "cacr analyze before=scenes-start after=RUN/model --out analysis",
        "arms of two seeds": "cacr analyze none:0=A none:1=B cacr:0=C cacr:1=D --out arms",
    },
    "features": {
        "the published detector; the same command goes on after a kill": (
            "cacr features PHOTOS -o features.safetensors"
        ),
        "any detector of transformers, on the first GPU": (
            "cacr features PHOTOS -o found.safetensors --detector DETECTOR --device cuda:0"
        ),
        "regions of another project, into our file": (
            "cacr features --convert THEIRS.tsv -o features.safetensors --half"
        ),
        "8 GPUs share the work": "torchrun --nproc-per-node 8 -m cacr features PHOTOS -o found.safetensors",
    },
    "convert": {
        "a released checkpoint with its tokenizer": (
            "cacr convert uniter-base.pt uniter-base --tokenizer BERT-BASE-CASED"
        ),
        "a folder of OSCAR's": "cacr convert OSCAR/checkpoint-29-66420 oscar-base",
    },
    "models": {
        "two architectures, nothing timed": "cacr models llava vilt --repetitions 0",
        "all, measured, into a file": "cacr models --out models.md",
    },
    "pretrain": {
        "the model that scenes-start is": "cacr pretrain --out runs/start-again",
        "a smaller one, quickly": "cacr pretrain --out runs/small --scenes 2000 --steps 200",
    },
    "repeat": {
        "a run, an evaluation or any other folder of ours": "cacr repeat runs/cacr",
        "into a folder of your choice": "cacr repeat runs/start --out runs/start-again",
        "go on with a repetition that was stopped": "cacr repeat runs/cacr --resume",
    },
    "push": {
        "a new repository that its owner alone sees": "cacr push RUN/model OWNER/NAME --private --license mit",
        "another version into it": "cacr push RUN/model OWNER/NAME --update",
        "features of pictures, for others": (
            "cacr push features.safetensors OWNER/NAME --dataset --license cc-by-4.0"
        ),
    },
    "completion": {
        "for this shell alone": 'eval "$(cacr completion bash)"',
        "for every new bash": "cacr completion bash > ~/.local/share/bash-completion/completions/cacr",
        "for every new fish": "cacr completion fish > ~/.config/fish/completions/cacr.fish",
    },
}
"""Command -> what an example does -> the example."""


def epilogue(command: str) -> str:
    """The examples of a command, as Markdown below its options."""
    lines = "\n".join(f"# {what}\n{line}" for what, line in EXAMPLES[command].items())
    return f"Examples\n```bash\n{lines}\n```"
