"""Text, no ids beyond the tokenizer's."""
