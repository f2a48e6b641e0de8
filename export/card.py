"""The model card: what the manifest says, for a person to read."""

from __future__ import annotations

from server.package import Evidence, Manifest


def model_card(manifest: Manifest, notes: str) -> str:
    """Markdown; `notes` are appended as they are."""
    shape, provenance = manifest.architecture, manifest.provenance
    num_sentences = manifest.evidence["pytorch"].num_sentences
    rows = "\n".join(_row(name, figures) for name, figures in manifest.evidence.items())
    size = provenance["num_parameters"] / 1e6
    return f"""# {manifest.name}, version {manifest.version}

A Transformer for {", ".join(manifest.directions)}: {shape.num_encoder_layers} encoder and
{shape.num_decoder_layers} decoder layers, D = {shape.d_model}, {shape.num_heads} heads, a joint vocabulary of
{shape.vocabulary_size} pieces, {size:.1f} M parameters. Sources and targets may have up to {shape.max_length} tokens.

Trained on {", ".join(provenance["corpora"])}. Variants in this package: {", ".join(manifest.variants)}; the default is
{manifest.default_variant}.

## Evidence of the export

Greedy decoding of the {num_sentences} sentences of the validation text, all directions, through the server's own engine:

| implementation | BLEU | chrF | same tokens as PyTorch | largest logit difference |
|---|---|---|---|---|
{rows}

BLEU signature `{manifest.evidence["pytorch"].bleu_signature}`, chrF signature `{manifest.evidence["pytorch"].chrf_signature}`.
{notes and chr(10) + notes}"""


def _row(name: str, figures: Evidence) -> str:
    return (
        f"| {name} | {figures.bleu:.2f} | {figures.chrf:.2f} | {figures.token_exact_rate:.2%} "
        f"| {figures.max_logit_difference:.1e} |"
    )
