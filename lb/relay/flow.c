/* The one buffer of a direction: filled, added to, given back. All stages that hold octets of the client or for it call
 * this. A flow owns its buffer, which is of the ring's. Fatal here, by asserts, are an order of a flow's offsets that
 * cannot be, and more octets than there is room for. */
#include "lb/relay/flow.h"

#include <assert.h>
#include <string.h>

void flow_release(struct session *session, struct flow *flow) {
    if (flow->has_buffer)
        io_buffer_release(session_io(session), flow->buffer);
    flow->has_buffer = false;
    flow->offset = flow->shown = flow->cleared = flow->length = flow->sending = 0;
}

void flow_fill(struct flow *flow, uint16_t buffer, unsigned offset, unsigned length) {
    flow->has_buffer = true;
    flow->buffer = buffer;
    flow->offset = flow->shown = flow->cleared = (uint32_t)offset;
    flow->length = length;
    flow->sending = 0;
}

/* What is being sent can't be moved to make room. */
unsigned flow_room(const struct flow *flow) {
    if (!flow->has_buffer)
        return IO_BUFFER_SIZE;
    size_t held = flow->sending > 0 ? flow->length : flow->length - flow->offset;
    size_t room = io_buffer_size(flow->buffer) - held;
    return room < IO_BUFFER_SIZE ? (unsigned)room : IO_BUFFER_SIZE;
}

void flow_check(const struct flow *flow) {
    assert(flow->offset <= flow->cleared && flow->cleared <= flow->shown && flow->shown <= flow->length);
    assert(flow->sending <= flow->cleared - flow->offset);
    assert(flow->has_buffer ? flow->length <= io_buffer_size(flow->buffer) : flow->length == 0);
}

static void make_room(struct io *io, struct flow *flow) {
    uint8_t *data = io_buffer(io, flow->buffer);
    memmove(data, data + flow->offset, flow->length - flow->offset);
    flow->shown -= flow->offset;
    flow->cleared -= flow->offset;
    flow->length -= flow->offset;
    flow->offset = 0;
}

void flow_take(struct session *session, struct flow *flow, uint16_t received, unsigned length) {
    struct io *io = session_io(session);
    if (!flow->has_buffer) {
        flow_fill(flow, received, 0, length);
        return;
    }
    assert(length <= flow_room(flow));
    flow_check(flow);
    if (flow->sending == 0)
        make_room(io, flow);
    memcpy(io_buffer(io, flow->buffer) + flow->length, io_buffer(io, received), length);
    flow->length += length;
    io_buffer_release(io, received);
}
