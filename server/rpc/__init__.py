"""Protobuf and gRPC, and nothing of how a translation is made."""
