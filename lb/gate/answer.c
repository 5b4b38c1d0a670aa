/* A reply of the gate's. This is the one place where a reply's code decides whether the session goes on behind it.
 * Pure. Fatal here, by an assert, is a code that is none of SMTP's. */
#include "lb/gate/answer.h"

#include <assert.h>
#include <stdio.h>

void answer_finish(struct gate_answer *ret_answer, unsigned code, size_t length) {
    assert(code >= 200 && code <= 599);
    ret_answer->length = length < sizeof ret_answer->text ? length : sizeof ret_answer->text - 1;
    ret_answer->code = (uint16_t)code;
    ret_answer->closes = code == 221 || code == 421 || code == 521;
}

enum gate_next answer_say(struct gate_answer *ret_answer, unsigned code, const char *text) {
    int length = snprintf(ret_answer->text, sizeof ret_answer->text, "%u %s\r\n", code, text);
    answer_finish(ret_answer, code, (size_t)length);
    return GATE_REPLIES;
}

enum gate_next answer_say_named(struct gate_answer *ret_answer, unsigned code, const char *enhanced,
                                const char *hostname, const char *text) {
    int length = snprintf(ret_answer->text, sizeof ret_answer->text, "%u %s %s %s\r\n", code, enhanced, hostname, text);
    answer_finish(ret_answer, code, (size_t)length);
    return GATE_REPLIES;
}
