// What holds for every network: each law throws where it does not.
#pragma once
#include "network.h"

struct Law {
  const char* name;
  int networks;
  void (*check)(const haste_implementation& implementation, Random& random, bool whole);
};

extern const Law laws[];
extern const int law_count;
