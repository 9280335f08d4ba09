"""The Open Inference Protocol (v2) as pure functions on bytes, JSON values and arrays; no HTTP, no torch."""
