"""How the networks are initialised."""

from torch import nn


def initialise_(network: nn.Module) -> None:
    """Draw the weights of every convolution for ReLUs (He et al. 2015), by its outputs; biases are zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
