"""The names of grpc.channelz.v1, gRPC's own view of its servers, connections and sockets."""

from __future__ import annotations

from grpc_channelz.v1 import channelz_pb2

SERVICE = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]
SERVICE_NAME: str = SERVICE.full_name
METHODS: list[str] = [method.name for method in SERVICE.methods]
