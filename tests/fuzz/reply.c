/* Replies of a backend: any split of the octets must give the same reply, and none may be read beyond. */
#include "lb/smtp/reply.h"

#include "lb/smtp/ehlo.h"

#include "tests/fuzz/fuzz.h"

/* Feeds all of it in pieces of `step`; returns the octets taken up to the end of the first reply. */
static size_t feed(const uint8_t *data, size_t size, size_t step, struct reply_parser *parser,
                   enum reply_status *ret_status) {
    size_t at = 0;
    reply_parser_init(parser, 512, 4096);
    *ret_status = REPLY_MORE;
    while (at < size && *ret_status == REPLY_MORE) {
        size_t length = size - at < step ? size - at : step;
        uint8_t *piece = fuzz_copy(data + at, length);
        size_t taken = reply_parser_feed(parser, piece, length, ret_status);
        free(piece);
        MUST(taken <= length);
        MUST(*ret_status != REPLY_MORE || taken == length);
        at += taken;
    }
    return at;
}

/* An offer as text is printable, and the same as its intersection with itself. */
static void read_offer(const uint8_t *reply, size_t length) {
    char lines[EHLO_LINES_MAX], both[EHLO_LINES_MAX], keywords[EHLO_LINES_MAX];
    memset(lines, 'x', sizeof lines);
    ehlo_lines_read(reply, length, lines);
    MUST(memchr(lines, '\0', sizeof lines) != NULL);
    for (const char *at = lines; *at != '\0'; at++)
        MUST((*at >= ' ' && *at <= '~') || *at == '\n');
    memcpy(both, lines, sizeof both);
    ehlo_lines_intersect(both, lines);
    MUST(strcmp(both, lines) == 0);
    ehlo_lines_lacking(lines, both, keywords, sizeof keywords);
    MUST(keywords[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct reply_parser whole, split;
    enum reply_status status, split_status;
    size_t taken = feed(data, size, size + 1, &whole, &status);
    for (size_t step = 1; step <= 7; step += 2) {
        size_t split_taken = feed(data, size, step, &split, &split_status);
        MUST(split_status == status);
        if (status != REPLY_COMPLETE)
            continue;
        MUST(split_taken == taken && split.code == whole.code);
        MUST(split.enhanced.class == whole.enhanced.class && split.enhanced.subject == whole.enhanced.subject &&
             split.enhanced.detail == whole.enhanced.detail);
    }
    if (status != REPLY_COMPLETE)
        return 0;
    MUST(whole.code >= 200 && whole.code <= 599 && taken <= 4096);
    (void)reply_is_verdict_on_client(&whole);
    char excerpt[80];
    uint8_t *reply = fuzz_copy(data, taken);
    memset(excerpt, 'x', sizeof excerpt);
    reply_excerpt(reply, taken, excerpt, sizeof excerpt);
    MUST(memchr(excerpt, '\0', sizeof excerpt) != NULL);
    for (const char *at = excerpt; *at != '\0'; at++)
        MUST(*at >= ' ' && *at <= '~');
    (void)reply_offers(reply, taken, "PIPELINING");
    read_offer(reply, taken);
    free(reply);
    return 0;
}
