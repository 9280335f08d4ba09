"""What every test shares: hypothesis without a deadline, since two cores may be busy with something else."""

import torch
from hypothesis import settings

settings.register_profile("laws", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("laws")
torch.set_num_threads(1)  # small tensors: a second thread costs more than it brings
