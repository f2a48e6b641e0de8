"""What `make demo` and `make pipeline` run: the whole product, from outside."""
