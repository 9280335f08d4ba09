"""The one table of tolerances: what two implementations of one law may differ by. It never loosens."""

# Largest absolute difference over the largest absolute value of the expected tensor.
SAME_SUMS_IN_ANOTHER_ORDER = 2e-6  # one layer: the same products, summed in another order
SAME_LAYER_ANOTHER_PATH = 1e-5  # one layer: merged, reconstructed or cut into patches without loss
SAME_NETWORK_ANOTHER_BATCH = 1e-4  # logits of a whole network, where no code may flip
GOLDEN_LOGITS = 1e-3  # logits on another machine and torch

# Share of a small layer's buckets and FLOPs in which a fast implementation's plans may differ.
RATE_OF_DIFFERING_PATCHES = 0.02
