"""Certificates, keys and what a key grants. Knows no gRPC, and writes no secret anywhere."""
