"""How a question, or the wish for a caption, is put to each family of models that write.

A processor with a chat template words it itself. The families below have none; their wording is that of their papers
or model cards: LLaVA 1.5 (arXiv:2310.03744), PaliGemma (arXiv:2407.07726), BLIP-2 (arXiv:2301.12597), InstructBLIP
(arXiv:2305.06500), Florence-2 (arXiv:2311.06242), GIT (arXiv:2205.14100), BLIP (arXiv:2201.12086).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DESCRIBE = "Describe the picture."
"""What a model with a chat template is asked for a caption."""


@dataclass(frozen=True)
class Wording:
    """A family's words around a question, and before a caption; ``{picture}`` is the placeholder of the picture."""

    question: str
    caption: str


_LLAVA = Wording("USER: {picture}\n{question} ASSISTANT:", f"USER: {{picture}}\n{DESCRIBE} ASSISTANT:")
WORDINGS = {
    "llava": _LLAVA,
    "llava_next": _LLAVA,
    "paligemma": Wording("{picture}answer en {question}", "{picture}caption en"),
    "blip-2": Wording("Question: {question} Answer:", "a photo of"),
    "instructblip": Wording("{question}", "A short image description:"),
    "florence2": Wording("{question}", "<CAPTION>"),
    "git": Wording("{question}", ""),
    "blip": Wording("{question}", ""),
}
"""By ``model_type``. Florence-2, GIT and BLIP captioners were taught no questions; they are asked all the same."""


def placeholder(processor: Any) -> str:
    """What stands for a picture in a text of this processor, or nothing."""
    return str(getattr(processor, "image_token", None) or "")


def asking(processor: Any, model_type: str, prompt: str | None = None) -> Callable[[str], str]:
    """The text that puts a question to the model, by question.

    Args:
        processor: The model's processor.
        model_type: The model's family, as in its configuration.
        prompt: The whole text, with ``{question}`` and the processor's placeholder of the picture; None for the
            processor's chat template or the family's own wording.

    Raises:
        ValueError: A prompt without ``{question}``, or a family without a wording here or in its processor.
    """
    if prompt is not None:
        if "{question}" not in prompt:
            raise ValueError(f"the prompt {prompt!r} has no {{question}}; write it where the question goes")
        return lambda question: prompt.replace("{question}", question)
    if getattr(processor, "chat_template", None) is not None:
        return lambda question: _chat(processor, question)
    pattern = _wording(processor, model_type).question.replace("{picture}", placeholder(processor))
    return lambda question: pattern.replace("{question}", question)


def captioning(processor: Any, model_type: str, prompt: str | None = None) -> str:
    """The text that is followed by a caption: ``prompt``, or the family's, or the chat template's.

    Raises:
        ValueError: A family without a wording here or in its processor.
    """
    if prompt is not None:
        return prompt
    if getattr(processor, "chat_template", None) is not None:
        return _chat(processor, DESCRIBE)
    return _wording(processor, model_type).caption.replace("{picture}", placeholder(processor))


def _chat(processor: Any, question: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    return str(
        processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    )


def _wording(processor: Any, model_type: str) -> Wording:
    if model_type not in WORDINGS:
        raise ValueError(
            f"{type(processor).__name__} has no chat template, and cacr knows no wording for {model_type!r} (it "
            f"knows {', '.join(WORDINGS)}); give the whole text as prompt, with the placeholder of the picture "
            f"{placeholder(processor) or '(none)'!r} in it"
        )
    return WORDINGS[model_type]
