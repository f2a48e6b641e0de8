"""The Open Inference Protocol's messages to domain requests, and domain results to its messages."""
