/* Connections. What is under way is bounded by the reader's room, so that writers meet short sends; an RST keeps what
 * had come in before it (as Linux does), or eats it (as others do). Whoever waits for a connection is roused by what
 * the other side does with it. */
#include "tests/sim/network.h"

#include "tests/sim/ring.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <string.h>

#define WIRES_MAX 2048u

static struct wire wires[WIRES_MAX];
static unsigned touched;
static struct wire *free_wires;

/* No kernel's is so small that a reply of our own would not fit beside one of a backend. */
static void begin_half(struct half *half, unsigned room_min) {
    half->room = room_min + sim_below(sim_once_in(4) ? 600 : WIRE_OCTETS_MAX - room_min);
    half->at = half->length = 0;
    half->has_end = false;
}

void wires_begin(void) {
    touched = 0;
    free_wires = NULL;
}

struct wire *wire_open(void) {
    struct wire *wire = free_wires;
    if (wire != NULL)
        free_wires = wire->next;
    else if (touched < WIRES_MAX)
        wire = &wires[touched++];
    else
        return NULL;
    memset(wire, 0, offsetof(struct wire, to_us));
    wire->we_hold = wire->they_hold = true;
    begin_half(&wire->to_us, 1);
    begin_half(&wire->to_them, 1500);
    return wire;
}

unsigned wires_open(void) {
    unsigned count = 0;
    for (unsigned i = 0; i < touched; i++)
        count += (wires[i].we_hold || wires[i].they_hold) && !wires[i].is_probes;
    return count;
}

static void rouse_us(struct wire *wire) {
    flight_rouse(&wire->reader);
    flight_rouse(&wire->writer);
}

static void let_go(struct wire *wire, bool *hold) {
    *hold = false;
    if (wire->we_hold || wire->they_hold)
        return;
    wire->next = free_wires;
    free_wires = wire;
}

/* An RST on its way: what lies there unread may be lost with it. */
static void reset(bool *is_reset, struct half *unread) {
    *is_reset = true;
    if (sim_once_in(2))
        unread->length = 0;
}

static int put(struct half *half, const void *data, size_t length) {
    unsigned left = half->room > half->length ? half->room - half->length : 0;
    unsigned taken = length < left ? (unsigned)length : left;
    if (half->length == 0)
        half->at = 0;
    if (half->at + half->length + taken > WIRE_OCTETS_MAX) {
        memmove(half->data, half->data + half->at, half->length);
        half->at = 0;
    }
    memcpy(half->data + half->at + half->length, data, taken);
    half->length += taken;
    return (int)taken;
}

static int take(struct half *half, void *data, size_t length) {
    unsigned taken = length < half->length ? (unsigned)length : half->length;
    memcpy(data, half->data + half->at, taken);
    half->at += taken;
    half->length -= taken;
    return (int)taken;
}

int wire_they_write(struct wire *wire, const void *data, size_t length) {
    if (wire->they_are_reset)
        return -EPIPE;
    if (!wire->we_hold) { /* to a closed socket: the answer is an RST */
        reset(&wire->they_are_reset, &wire->to_them);
        return (int)length;
    }
    flight_rouse(&wire->reader);
    return put(&wire->to_us, data, length);
}

int wire_they_read(struct wire *wire, void *data, size_t length) {
    if (wire->to_them.length > 0) {
        flight_rouse(&wire->writer);
        return take(&wire->to_them, data, length);
    }
    if (wire->they_are_reset)
        return -ECONNRESET;
    return wire->to_them.has_end ? 0 : -EAGAIN;
}

void wire_they_shut(struct wire *wire) {
    wire->to_us.has_end = true;
    flight_rouse(&wire->reader);
}

void wire_they_close(struct wire *wire) {
    if (wire->to_them.length > 0)
        reset(&wire->we_are_reset, &wire->to_us);
    else
        wire->to_us.has_end = true;
    wire->them = NULL;
    rouse_us(wire);
    let_go(wire, &wire->they_hold);
}

void wire_they_reset(struct wire *wire) {
    reset(&wire->we_are_reset, &wire->to_us);
    wire->them = NULL;
    rouse_us(wire);
    let_go(wire, &wire->they_hold);
}

int wire_we_write(struct wire *wire, const void *data, size_t length) {
    if (wire->we_are_reset)
        return wire->reset_was_told ? -EPIPE : (wire->reset_was_told = true, -ECONNRESET);
    if (!wire->they_hold) {
        reset(&wire->we_are_reset, &wire->to_us);
        flight_rouse(&wire->reader);
        return (int)length;
    }
    agent_rouse(wire->them);
    return put(&wire->to_them, data, length);
}

int wire_we_read(struct wire *wire, void *data, size_t length) {
    if (wire->to_us.length > 0) {
        agent_rouse(wire->them);
        return take(&wire->to_us, data, length);
    }
    if (wire->we_are_reset && !wire->reset_was_told) {
        wire->reset_was_told = true;
        return -ECONNRESET;
    }
    return wire->to_us.has_end || wire->we_are_reset ? 0 : -EAGAIN;
}

void wire_we_shut(struct wire *wire) {
    wire->to_them.has_end = true;
    agent_rouse(wire->them);
}

void wire_we_close(struct wire *wire) {
    if (wire->to_us.length > 0)
        reset(&wire->they_are_reset, &wire->to_them);
    else
        wire->to_them.has_end = true;
    agent_rouse(wire->them);
    let_go(wire, &wire->we_hold);
}
