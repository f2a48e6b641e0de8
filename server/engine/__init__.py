"""Policy, no tensors: which sequence runs when. Knows token ids, never text."""
