/* What the applications at both ends do. Called by pair.c, fuzz_wire.c; calls the engine's public functions. */
#ifndef FUZZ_PAIR_CALLS_H
#define FUZZ_PAIR_CALLS_H
#include "pair.h"

/* Reads what there is, everywhere, and compares it. */
void pair_read_all(struct pair *pair);
#endif
