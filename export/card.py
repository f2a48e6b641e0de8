"""The model card: what the manifest says, for a person to read."""

from __future__ import annotations

from server.package import Evidence, Manifest

TEMPLATE = """# {name}, version {version}

A Transformer for {directions}: {num_encoder_layers} encoder and {num_decoder_layers} decoder
layers, D = {d_model}, {num_heads} heads, a joint vocabulary of {vocabulary_size} pieces,
{size:.1f} M parameters. Sources and targets may have up to {max_length} tokens.

Trained on {corpora}. Variants in this package: {variants}; the default is {default_variant}.

## Evidence of the export

Greedy decoding of the {num_sentences} sentences of the validation text, all directions, through
the server's own engine:

| implementation | BLEU | chrF | same tokens as PyTorch | largest logit difference |
|---|---|---|---|---|
{rows}

BLEU signature `{bleu_signature}`, chrF signature `{chrf_signature}`.
"""


def model_card(manifest: Manifest, notes: str) -> str:
    """Markdown; `notes` are appended as they are."""
    shape, pytorch = manifest.architecture, manifest.evidence["pytorch"]
    card = TEMPLATE.format(
        name=manifest.name,
        version=manifest.version,
        directions=", ".join(manifest.directions),
        num_encoder_layers=shape.num_encoder_layers,
        num_decoder_layers=shape.num_decoder_layers,
        d_model=shape.d_model,
        num_heads=shape.num_heads,
        vocabulary_size=shape.vocabulary_size,
        max_length=shape.max_length,
        size=manifest.provenance["num_parameters"] / 1e6,
        corpora=", ".join(manifest.provenance["corpora"]),
        variants=", ".join(manifest.variants),
        default_variant=manifest.default_variant,
        num_sentences=pytorch.num_sentences,
        rows="\n".join(_row(name, figures) for name, figures in manifest.evidence.items()),
        bleu_signature=pytorch.bleu_signature,
        chrf_signature=pytorch.chrf_signature,
    )
    return f"{card}\n{notes}" if notes else card


def _row(name: str, figures: Evidence) -> str:
    return (
        f"| {name} | {figures.bleu:.2f} | {figures.chrf:.2f} | {figures.token_exact_rate:.2%} "
        f"| {figures.max_logit_difference:.1e} |"
    )
