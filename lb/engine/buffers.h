/* Receive buffers of one size, lent to the kernel through a provided buffer ring (io_uring_register_buf_ring(3)): the
 * kernel takes one only when octets are there, so an idle connection holds none. Belongs to one ring's thread; for
 * io_uring.c only. */
#ifndef POSTERN_ENGINE_BUFFERS_H
#define POSTERN_ENGINE_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_uring;
struct io_uring_buf_ring;

struct buffers {
    uint8_t *memory;
    size_t octets; /* of each */
    unsigned count;
    unsigned first_id;
    uint16_t group;
    uint16_t lent_max; /* a power of two */
    unsigned lent_count;
    unsigned free_count;
    uint16_t *free_stack;
    struct io_uring_buf_ring *ring;
};

/* `group`, `octets`, `count` ≥ `lent_max`, `first_id` are the caller's. Returns 0 or -errno; finish it in both cases.
 */
int buffers_init(struct buffers *buffers, struct io_uring *ring);
/* After the ring's end. */
void buffers_finish(struct buffers *buffers);
/* The kernel has used one of those lent: it is replaced at once, if there is another. */
void buffers_on_used(struct buffers *buffers);
/* One for our own use; false when there is none. */
bool buffers_take(struct buffers *buffers, unsigned *ret_id);
void buffers_release(struct buffers *buffers, unsigned id);

static inline uint8_t *buffers_at(const struct buffers *buffers, unsigned id) {
    return buffers->memory + (size_t)(id - buffers->first_id) * buffers->octets;
}

#endif
