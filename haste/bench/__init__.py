"""The race: our engine against other runtimes, a process each, in turns, on the same images, correct before fast."""
