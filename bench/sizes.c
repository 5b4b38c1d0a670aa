/* Sizes of mails: fixed, uniform, log-normal (as those of real mail about are), or a small table. The options of load
 * are read into such a distribution, and load_content.c draws from it. Pure. */
#include "bench/sizes.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(const char **text, double *ret_number) {
    char *end;
    /* strtod would take signs, blanks, "inf" and hexadecimals too. */
    if (**text < '0' || **text > '9' || ((*text)[0] == '0' && ((*text)[1] | 32) == 'x'))
        return false;
    *ret_number = strtod(*text, &end);
    *text = end;
    return true;
}

static bool read_octets(const char **text, size_t *ret_octets) {
    double number;
    if (!read_number(text, &number) || number > (double)SIZES_OCTETS_MAX)
        return false;
    *ret_octets = (size_t)number;
    return true;
}

static bool skip(const char **text, const char *word) {
    size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool parse_uniform(const char *text, struct sizes *sizes) {
    sizes->kind = SIZES_UNIFORM;
    return read_octets(&text, &sizes->least) && skip(&text, "-") && read_octets(&text, &sizes->most) && *text == '\0' &&
           sizes->least <= sizes->most;
}

/* Cut four deviations above the median: one mail in 30,000. */
static bool parse_lognormal(const char *text, struct sizes *sizes) {
    sizes->kind = SIZES_LOGNORMAL;
    if (!read_number(&text, &sizes->median) || !skip(&text, ",") || !read_number(&text, &sizes->sigma) ||
        *text != '\0' || sizes->median < 1)
        return false;
    double most = ceil(sizes->median * exp(4 * sizes->sigma));
    sizes->least = 1;
    sizes->most = most < (double)SIZES_OCTETS_MAX ? (size_t)most : SIZES_OCTETS_MAX;
    return true;
}

static bool parse_table(const char *text, struct sizes *sizes) {
    double sum = 0;
    sizes->kind = SIZES_TABLE;
    sizes->least = SIZES_OCTETS_MAX;
    do {
        double weight;
        size_t octets;
        if (sizes->rows == SIZES_ROWS_MAX || !read_octets(&text, &octets) || !skip(&text, "*") ||
            !read_number(&text, &weight))
            return false;
        sum += weight;
        sizes->table[sizes->rows].octets = octets;
        sizes->table[sizes->rows++].until = sum;
        sizes->least = octets < sizes->least ? octets : sizes->least;
        sizes->most = octets > sizes->most ? octets : sizes->most;
    } while (skip(&text, ","));
    if (*text != '\0' || sum <= 0)
        return false;
    for (unsigned i = 0; i < sizes->rows; i++)
        sizes->table[i].until /= sum;
    return true;
}

int sizes_parse(const char *text, struct sizes *ret_sizes) {
    struct sizes sizes = {0};
    bool is_good;
    if (skip(&text, "uniform:")) {
        is_good = parse_uniform(text, &sizes);
    } else if (skip(&text, "lognormal:")) {
        is_good = parse_lognormal(text, &sizes);
    } else if (skip(&text, "table:")) {
        is_good = parse_table(text, &sizes);
    } else {
        is_good = read_octets(&text, &sizes.least) && *text == '\0';
        sizes.most = sizes.least;
    }
    if (!is_good)
        return -EINVAL;
    *ret_sizes = sizes;
    return 0;
}

/* Box and Muller's: two even numbers make a normal one. */
static double draw_normal(struct chance *chance) {
    double radius = sqrt(-2 * log(chance_unit(chance)));
    return radius * cos(2 * 3.14159265358979323846 * chance_unit(chance));
}

size_t sizes_draw(const struct sizes *sizes, struct chance *chance) {
    double size = 0;
    unsigned row = 0;
    switch (sizes->kind) {
    case SIZES_UNIFORM:
        return sizes->least + (size_t)(chance_bits(chance) % (sizes->most - sizes->least + 1));
    case SIZES_LOGNORMAL:
        size = sizes->median * exp(sizes->sigma * draw_normal(chance));
        return size < (double)sizes->least ? sizes->least : size > (double)sizes->most ? sizes->most : (size_t)size;
    case SIZES_TABLE:
        for (double at = chance_unit(chance); row + 1 < sizes->rows && at > sizes->table[row].until;)
            row++;
        return sizes->table[row].octets;
    }
    return 0;
}
