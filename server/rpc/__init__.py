"""Protobuf and gRPC, and nothing of how a translation is made."""

import os

# gRPC writes a line for each handshake that fails unless told not to before it is imported: any
# stranger could fill the disk. Whoever wants them can set the variable to INFO.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
