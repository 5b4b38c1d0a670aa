/* Texts, each with a number: made once from an operator's file, then only read. All texts stand in one piece of memory,
 * so that a million of them are loaded without a million allocations. */
#ifndef POSTERN_GATE_TEXT_MAP_H
#define POSTERN_GATE_TEXT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_map {
    char *texts; /* owned; each with its NUL */
    size_t texts_used, texts_room;
    struct text_map_slot *slots; /* owned; open addressing, at most half full */
    size_t slots_count;          /* a power of two, or 0 */
    size_t count;                /* different texts */
};

/* Adds a text without NUL. One that is there keeps its number. Returns 0; -ENOMEM; -E2BIG beyond 4 GiB of texts. */
int text_map_add(struct text_map *map, const char *text, size_t length, uint32_t number);
/* True when it is there; `ret_number` may be NULL. */
bool text_map_find(const struct text_map *map, const char *text, size_t length, uint32_t *ret_number);
/* Accepts a zeroed one. */
void text_map_finish(struct text_map *map);

#endif
