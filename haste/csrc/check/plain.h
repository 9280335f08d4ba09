// A network computed by plain loops in double, without any of the engine's code.
#pragma once
#include "network.h"

struct Plain {
  std::vector<double> logits, scale;  // scale: the sum of the absolute terms of each logit
  std::vector<int64_t> live, whole;   // by operation: (tap, output) pairs of an output channel that read no zero; all
};

Plain plain(const Network& network, const float* image);
