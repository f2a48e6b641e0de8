"""Engine against engine: ours and CTranslate2, on the same checkpoints."""
