/* How large the mails of a load are: always the same, or drawn from a distribution. Pure. */
#ifndef POSTERN_BENCH_SIZES_H
#define POSTERN_BENCH_SIZES_H

#include "lb/base/chance.h"

#include <stddef.h>

#define SIZES_ROWS_MAX 16
/* No drawn size is larger: a log-normal one has no end of its own. */
#define SIZES_OCTETS_MAX ((size_t)64 << 20)

struct sizes {
    enum { SIZES_UNIFORM, SIZES_LOGNORMAL, SIZES_TABLE } kind; /* a fixed size is uniform from itself to itself */
    size_t least;
    size_t most;
    double median; /* log-normal */
    double sigma;  /* of the logarithm */
    unsigned rows;
    struct {
        size_t octets;
        double until; /* the part of all mails up to this row */
    } table[SIZES_ROWS_MAX];
};

/* "1000", "uniform:500-20000", "lognormal:MEDIAN,SIGMA", "table:OCTETS*WEIGHT,OCTETS*WEIGHT…". Returns 0 or -EINVAL. */
int sizes_parse(const char *text, struct sizes *ret_sizes);
/* From sizes->least to sizes->most. */
size_t sizes_draw(const struct sizes *sizes, struct chance *chance);

#endif
