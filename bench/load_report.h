/* What a load has measured. */
#ifndef POSTERN_BENCH_LOAD_REPORT_H
#define POSTERN_BENCH_LOAD_REPORT_H

#include "bench/load_state.h"

/* One JSON object on one line. Pure. */
void load_report(FILE *file, const struct load_result *result);

#endif
