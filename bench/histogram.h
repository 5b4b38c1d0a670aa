/* A log-linear histogram of microseconds: 64 buckets to each doubling, so that every figure is right to 1.6%. Pure. */
#ifndef POSTERN_BENCH_HISTOGRAM_H
#define POSTERN_BENCH_HISTOGRAM_H

#include <stdint.h>

/* 64 exact ones, then 64 for each doubling up to 2^40 us, twelve days. */
#define HISTOGRAM_BUCKETS (64 * 36)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max;
};

void histogram_add(struct histogram *histogram, uint64_t value);
/* The value below which `part` (0..1) of all lie; 0 for an empty one. */
uint64_t histogram_quantile(const struct histogram *histogram, double part);

#endif
