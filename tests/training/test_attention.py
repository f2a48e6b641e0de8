from __future__ import annotations

import pytest
import torch

from tests.training.tiny import make_model, random_ids
from training.attention import attention_maps
from training.config import BOS_ID, EOS_ID


def test_every_head_of_every_layer_has_its_map() -> None:
    model = make_model(num_encoder_layers=3, num_decoder_layers=1)
    maps = attention_maps(model, [*random_ids(6), EOS_ID], [BOS_ID, *random_ids(4)])
    assert maps.encoder.shape == (3, 2, 7, 7)
    assert maps.decoder.shape == (1, 2, 5, 5)
    assert maps.cross.shape == (1, 2, 5, 7)


def test_every_row_is_a_distribution_and_no_position_sees_a_later_one() -> None:
    maps = attention_maps(make_model(), random_ids(6), [BOS_ID, *random_ids(4)])
    for weights in (maps.encoder, maps.decoder, maps.cross):
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    assert maps.decoder.triu(diagonal=1).eq(0).all()


@pytest.mark.parametrize("name", ["encoder_layers.1.self", "decoder_layers.0.cross"])
def test_the_maps_are_the_weights_that_the_layer_used(name: str) -> None:
    model = make_model()
    source, target = random_ids(6), [BOS_ID, *random_ids(4)]
    kind, layer, which = name.split(".")
    attention = model.get_submodule(f"{kind}.{layer}.{which}_attention")
    seen = []
    hook = attention.w_o.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    values = []
    value_hook = attention.w_v.register_forward_hook(lambda _m, _i, out: values.append(out))
    maps = attention_maps(model, source, target)
    hook.remove()
    value_hook.remove()
    weights = (maps.encoder if kind == "encoder_layers" else maps.cross)[int(layer)]
    expected = weights @ attention.split_heads(values[0])[0]
    torch.testing.assert_close(expected.transpose(0, 1).flatten(1), seen[0][0])


def test_looking_leaves_no_hook_behind() -> None:
    model = make_model()
    attention_maps(model, random_ids(3), [BOS_ID])
    assert not any(module._forward_pre_hooks for module in model.modules())
