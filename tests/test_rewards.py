"""The material and the machinery of the lab on reward models."""

import numpy as np
import pytest
import torch

from llmlabs.lab.oracles import tiny_llama
from llmlabs.lab.preferences import BOASTS, DOUBTS, FILLERS, HARMS, STEPS, bank_replies, sums
from llmlabs.lab.rewards import LastLayerPolicy, best_of_n_curves, best_texts, claims, frozen_states, head_by_trl


class Letters:
    """A tokenizer whose tokens are letters."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) % 40 for letter in text]


def last(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden[torch.arange(len(hidden)), mask.sum(dim=1) - 1]


def test_sums_are_different_and_wrong_by_the_error() -> None:
    found = sums(300, seed=4)
    assert found == sums(300, seed=4) != sums(300, seed=5)
    assert len({s.question for s in found}) == 300
    for s in found:
        a, b = map(int, s.question.split("+"))
        assert int(s.right) == a + b
        assert abs(int(s.wrong) - int(s.right)) == s.error
        assert int(s.wrong) >= 10


def test_a_reply_holds_the_sentences_that_its_qualities_say() -> None:
    found = bank_replies(range(6), 5, seed=1, most_filler=8)
    assert found == bank_replies(range(6), 5, seed=1, most_filler=8)
    for reply in found:
        counts = [
            sum(sentence in reply.text for sentence in group) for group in (STEPS, HARMS, BOASTS, DOUBTS, FILLERS)
        ]
        steps, harms, boasts, doubts, fillers = counts
        assert (reply.helpful, reply.harmless, reply.honest) == (steps, 2 - 2 * harms, 1 - boasts + doubts)
        assert reply.filler == fillers


def test_frozen_states_do_not_depend_on_the_batch() -> None:
    model, texts = tiny_llama(0), ["abcdef", "gh", "ijkl", "m"]
    states, tokens = frozen_states(model, Letters(), texts, last, depth=2, batch=3)
    assert tokens.tolist() == [6, 2, 4, 1]
    assert model.config.num_hidden_layers == 3
    for text, state in zip(texts, states, strict=True):
        alone = frozen_states(model, Letters(), [text], last, depth=2)[0][0]
        np.testing.assert_allclose(state, alone, rtol=1e-4, atol=1e-5)


def test_the_last_layer_alone_gives_the_loss_of_the_model() -> None:
    model, text = tiny_llama(1), "ab:cdefg"
    policy = LastLayerPolicy(model, Letters(), {"all": ["abcdefgh"], "reply": [text] * 4}, ":")
    for group, words, start in (("all", "abcdefgh", 1), ("reply", text, 3)):
        ids = torch.tensor([Letters().encode(words)])
        with torch.no_grad():
            logits = model(ids).logits[0, start - 1 : -1]
        expected = torch.nn.functional.cross_entropy(logits, ids[0, start:])
        assert policy.loss(group).item() == pytest.approx(expected.item(), rel=1e-4)
    assert policy.loss("reply", block=policy.tuned("reply", 3, 1e-2)).item() < policy.loss("reply").item()


def test_trl_finds_the_direction_that_separates() -> None:
    from transformers import PreTrainedTokenizerFast

    from llmlabs.lab.models import smollm2_tokenizer

    end = "<|im_end|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=smollm2_tokenizer(), pad_token=end, eos_token=end)
    states = np.random.default_rng(0).normal(size=(40, 4))
    order = np.argsort(-states[:, 2])
    weights = head_by_trl(states, np.stack([order[:20], order[20:]], axis=1), tokenizer, epochs=20)
    assert np.argmax(weights) == 2


def test_claims_are_sorted_into_bins_and_small_bins_left_out() -> None:
    margins = np.array([0.0, 0.1, -0.1, 3.0, -50.0])
    (low, low_margins), (high, high_margins) = claims(margins, 2, least=2)
    assert low_margins.tolist() == [0.0, 0.1, -0.1]
    assert high_margins.tolist() == [3.0, -50.0]
    assert low[0] == 0.5
    assert high[1] == 1.0
    assert len(claims(margins, 2, least=3)) == 1


def test_curves_are_means_over_prompts() -> None:
    prompts, proxy = np.array([0, 1, 0, 1]), np.array([1.0, 5.0, 2.0, 4.0])

    def best(proxy: np.ndarray, scores: np.ndarray, n: int) -> float:
        return float(n * scores[proxy.argmax()])

    own, other = best_of_n_curves(best, proxy, (proxy, -proxy), prompts, (1, 2))
    assert own.tolist() == [3.5, 7.0]
    assert other.tolist() == [-3.5, -7.0]


def test_the_best_text_of_each_prompt_is_picked() -> None:
    found = best_texts(["a", "b", "c", "d"], np.array([7, 3, 7, 3]), np.array([1.0, 5.0, 2.0, 4.0]))
    assert found == ["b", "c"]


def test_the_same_seed_draws_the_same_batches() -> None:
    policy = LastLayerPolicy(
        tiny_llama(1), Letters(), {"replies": ["abcdefgh", "bcd", "cdefga", "hgf", "fedb", "ca"]}, ":"
    )
    first, again, other = (
        policy.measured("replies", policy.tuned("replies", 2, 1e-2, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again != other
