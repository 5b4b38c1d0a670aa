/* A map of texts: a table of offsets into the texts, searched from a text's hash on. Who asks cannot choose what is in
 * it, so its clusters are those of the operator's file and the hash needs no secret. The tables of the gate stand on
 * it. Owns the texts and the offsets. */
#include "lb/gate/text_map.h"

#include "lb/base/hash.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 64u

struct text_map_slot {
    uint32_t place; /* of the text, plus one; 0: free */
    uint32_t number;
    uint32_t
        hash; /* so that a text is only looked at where it is probably the one, and not at all when the table grows */
};

/* Folded. */
static uint32_t hash_of(const char *text, size_t length) {
    uint64_t hash = hash_octets(HASH_START, text, length);
    return (uint32_t)(hash ^ hash >> 32);
}

static bool holds(const struct text_map *map, const struct text_map_slot *slot, const char *text, size_t length) {
    assert(slot->place <= map->texts_used);
    const char *held = map->texts + slot->place - 1;
    size_t left = map->texts_used - (slot->place - 1);
    return length < left && memcmp(held, text, length) == 0 && held[length] == '\0';
}

/* The slot that holds the text, or the free one where it would stand. */
static struct text_map_slot *slot_of(const struct text_map *map, const char *text, size_t length, uint32_t hash) {
    size_t at = hash & (map->slots_count - 1);
    assert(map->count < map->slots_count); /* else an absent text would be looked for without an end */
    while (map->slots[at].place != 0 && !(map->slots[at].hash == hash && holds(map, &map->slots[at], text, length)))
        at = (at + 1) & (map->slots_count - 1);
    return &map->slots[at];
}

static int grow_slots(struct text_map *map) {
    struct text_map old = *map;
    if ((map->count + 1) * 2 <= map->slots_count)
        return 0;
    size_t wanted = map->slots_count == 0 ? SLOTS_FIRST : map->slots_count * 2;
    struct text_map_slot *slots = calloc(wanted, sizeof *slots);
    if (slots == NULL)
        return -ENOMEM;
    map->slots = slots;
    map->slots_count = wanted;
    for (size_t i = 0; i < old.slots_count; i++) {
        size_t at = old.slots[i].hash & (wanted - 1);
        if (old.slots[i].place == 0)
            continue;
        while (slots[at].place != 0)
            at = (at + 1) & (wanted - 1);
        slots[at] = old.slots[i];
    }
    free(old.slots);
    return 0;
}

static int grow_texts(struct text_map *map, size_t more) {
    if (map->texts_room - map->texts_used >= more)
        return 0;
    if (map->texts_used + more >= UINT32_MAX)
        return -E2BIG;
    size_t wanted = map->texts_room * 2 + more;
    char *grown = realloc(map->texts, wanted);
    if (grown == NULL)
        return -ENOMEM;
    map->texts = grown;
    map->texts_room = wanted;
    return 0;
}

int text_map_add(struct text_map *map, const char *text, size_t length, uint32_t number) {
    int result = grow_slots(map);
    assert(memchr(text, '\0', length) == NULL);
    if (result < 0)
        return result;
    uint32_t hash = hash_of(text, length);
    struct text_map_slot *slot = slot_of(map, text, length, hash);
    if (slot->place != 0)
        return 0;
    result = grow_texts(map, length + 1);
    if (result < 0)
        return result;
    *slot = (struct text_map_slot){(uint32_t)map->texts_used + 1, number, hash};
    memcpy(map->texts + map->texts_used, text, length);
    map->texts[map->texts_used + length] = '\0';
    map->texts_used += length + 1;
    map->count++;
    return 0;
}

bool text_map_find(const struct text_map *map, const char *text, size_t length, uint32_t *ret_number) {
    if (map->slots_count == 0)
        return false;
    const struct text_map_slot *slot = slot_of(map, text, length, hash_of(text, length));
    if (slot->place != 0 && ret_number != NULL)
        *ret_number = slot->number;
    return slot->place != 0;
}

void text_map_finish(struct text_map *map) {
    free(map->texts);
    free(map->slots);
    *map = (struct text_map){.texts = NULL};
}
