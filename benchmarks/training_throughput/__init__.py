"""How fast training is, and how well it learns: beside torch.nn.Transformer and Joey NMT."""
