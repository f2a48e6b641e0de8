"""Generated from protos/inference/v2: the messages of the Open Inference Protocol, for the load tester alone."""
