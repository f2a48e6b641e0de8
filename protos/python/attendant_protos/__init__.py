"""Generated gRPC modules of the Attendant API; nothing here is edited by hand."""
