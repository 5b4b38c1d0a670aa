/* Receive buffers of one size for one ring. The kernel is lent a few at a time, and each that it uses is replaced at
 * once from a stack, last in, first out, so that the same warm ones go round and only as much memory is touched as is
 * really in use. io_uring.c alone calls this. Owns the buffers and the ring of those that are lent. Fatal here, by an
 * assert, is the release of a buffer that is not of this ring. */
#include "lb/engine/buffers.h"

#include "lb/base/memory.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

static void lend(struct buffers *buffers, unsigned id) {
    io_uring_buf_ring_add(buffers->ring, buffers_at(buffers, id), (unsigned)buffers->octets, (unsigned short)id,
                          io_uring_buf_ring_mask(buffers->lent_max), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
    buffers->lent_count++;
}

static size_t ring_bytes(const struct buffers *buffers) {
    return buffers->lent_max * sizeof(struct io_uring_buf);
}

int buffers_init(struct buffers *buffers, struct io_uring *ring) {
    assert(buffers->count >= buffers->lent_max);
    buffers->free_stack = malloc(buffers->count * sizeof *buffers->free_stack);
    buffers->memory = memory_reserve(buffers->count * buffers->octets);
    buffers->ring = memory_populate(ring_bytes(buffers));
    if (buffers->free_stack == NULL || buffers->memory == NULL || buffers->ring == NULL)
        return -ENOMEM;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)buffers->ring,
        .ring_entries = buffers->lent_max,
        .bgid = buffers->group,
    };
    int result = io_uring_register_buf_ring(ring, &registration, 0);
    if (result < 0)
        return result;
    io_uring_buf_ring_init(buffers->ring);
    for (unsigned i = buffers->count; i > buffers->lent_max; i--)
        buffers->free_stack[buffers->free_count++] = (uint16_t)(buffers->first_id + i - 1);
    for (unsigned i = 0; i < buffers->lent_max; i++)
        lend(buffers, buffers->first_id + i);
    return 0;
}

void buffers_finish(struct buffers *buffers) {
    memory_release(buffers->ring, ring_bytes(buffers));
    memory_release(buffers->memory, buffers->count * buffers->octets);
    free(buffers->free_stack);
}

void buffers_on_used(struct buffers *buffers) {
    buffers->lent_count--;
    if (buffers->free_count > 0)
        lend(buffers, buffers->free_stack[--buffers->free_count]);
}

bool buffers_take(struct buffers *buffers, unsigned *ret_id) {
    if (buffers->free_count == 0)
        return false;
    *ret_id = buffers->free_stack[--buffers->free_count];
    return true;
}

void buffers_release(struct buffers *buffers, unsigned id) {
    assert(id >= buffers->first_id && id - buffers->first_id < buffers->count);
    if (buffers->lent_count < buffers->lent_max)
        lend(buffers, id);
    else
        buffers->free_stack[buffers->free_count++] = (uint16_t)id;
}
