/* The ways to misbehave, one a row of faults.def. */
#ifndef POSTERN_BENCH_SINK_FAULT_H
#define POSTERN_BENCH_SINK_FAULT_H

#include <stdbool.h>

enum fault {
#define FAULT(name, text) FAULT_##name,
#include "bench/faults.def"
#undef FAULT
    FAULTS_COUNT
};

const char *fault_name(enum fault fault);
/* "banner-421" and "banner_421" are the same. Returns false when there is none of that name. */
bool fault_parse(const char *name, enum fault *ret_fault);

#endif
