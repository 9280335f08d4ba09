// What one thread of this machine can do at best.
#pragma once

namespace HASTE_NAMESPACE {

double peak_gflops();    // multiply-adds out of registers, 2 FLOPs each
double bandwidth_gbs();  // reading 64 MB

}  // namespace HASTE_NAMESPACE
